"""Speech packed into windows: every spoken sample is heard once, no window is too long, times come back."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_adapt.models import Phrase, Word
from asr_adapt.transcription.longform import PackingRules, packed_speech
from asr_adapt.transcription.longform.times import Clock

FRAME = 10
WINDOW = 400


class Marked:
    """A detector that hears exactly the samples that are not 0."""

    frame = FRAME

    def scores(self, samples: np.ndarray) -> np.ndarray:
        return (np.abs(samples).reshape(-1, self.frame).max(axis=1) > 0).astype(np.float32)


def rules(**changes: float) -> PackingRules:
    values = {"window": WINDOW, "pause": 30, "kept": 100, "shortest": 10, "pad": 20}
    return PackingRules(**(values | changes))


def numbered(spans: list[tuple[int, int]]) -> np.ndarray:
    """Talk and gap, in frames; every spoken sample has its own value, its number in the audio plus one."""
    marks = np.concatenate([np.r_[np.zeros(FRAME * gap), np.ones(FRAME * talk)] for talk, gap in spans])
    return (marks * (1 + np.arange(len(marks)))).astype(np.float32)


SPANS = st.lists(st.tuples(st.integers(1, 90), st.integers(1, 30)), min_size=1, max_size=15)


@settings(max_examples=150)
@given(SPANS, st.integers(1, 700))
def test_every_spoken_sample_is_heard_once(spans: list[tuple[int, int]], block: int) -> None:
    audio = numbered(spans)
    blocks = [audio[i : i + block] for i in range(0, len(audio), block)]
    pieces = list(packed_speech(blocks, Marked(), rules()))
    heard = np.concatenate([piece.samples for piece in pieces])
    assert sorted(heard[heard > 0]) == sorted(audio[audio > 0])
    for piece in pieces:
        assert len(piece.samples) <= WINDOW + FRAME
        parts = [audio[start : start + length] for start, length in piece.parts]
        assert (np.concatenate(parts) == piece.samples).all()
        assert piece.start == piece.parts[0][0] and piece.stop == sum(piece.parts[-1])
    for before, after in itertools.pairwise(pieces):
        assert before.stop <= after.start


@settings(max_examples=100)
@given(SPANS)
def test_the_cuts_do_not_depend_on_how_the_audio_comes(spans: list[tuple[int, int]]) -> None:
    audio = numbered(spans)
    whole = [p.parts for p in packed_speech([audio], Marked(), rules())]
    parts = [p.parts for p in packed_speech(np.array_split(audio, 7), Marked(), rules())]
    assert whole == parts


def test_long_silence_is_cut_out_and_short_is_kept() -> None:
    audio = numbered([(10, 5), (10, 8), (5, 30)])
    (piece,) = packed_speech([audio], Marked(), rules())
    assert piece.parts == ((30, 320), (610, 70))
    assert piece.speech == ((20, 120), (200, 300), (340, 390))


def test_a_window_ends_at_its_longest_pause() -> None:
    audio = numbered([(20, 1), (5, 4), (5, 9), (5, 4), (5, 4)])  # the window fills behind the longest pause
    first, second = packed_speech([audio], Marked(), rules())
    assert first.stop < 360 <= second.start + 20
    assert (first.samples > 0).sum() == 250


def test_times_come_back_to_the_file_and_words_leave_the_silence() -> None:
    audio = numbered([(10, 5), (10, 50)])
    (piece,) = packed_speech([audio], Marked(), rules())
    assert piece.parts == ((30, 140), (630, 120))
    rate = 100
    phrase = Phrase(0.2, 2.4, "one two", (Word("one", 0.0, 1.0, 1.0), Word("two", 1.0, 2.4, 1.0)))
    found = Clock(piece, rate).placed([phrase])
    start = piece.start / rate
    assert [(round(w.start + start, 2), round(w.end + start, 2)) for w in found.words] == [
        (0.5, 1.3),
        (6.5, 7.3),
    ]
    assert (found.phrases[0].start + start, found.phrases[0].end + start) == pytest.approx((0.5, 7.3))
