"""Pieces on one line: windows hold all speech, positions come back from the file, nothing is heard twice."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_adapt.transcription.longform.timeline import Cuts, Timeline
from asr_adapt.transcription.windows import Piece

CUTS = Cuts(window=400, pad=20, kept=100)
#: Of each piece: silence in front of it, then talk and pause in turns, in tens of samples.
PIECES = st.lists(
    st.tuples(st.integers(5, 90), st.lists(st.tuples(st.integers(2, 18), st.integers(4, 9)), min_size=1)),
    min_size=1,
    max_size=8,
)


def lines(given: list[tuple[int, list[tuple[int, int]]]]) -> tuple[Timeline, np.ndarray]:
    """The line, and the samples of the file that are speech; every sample is its own number."""
    line, at, spoken = Timeline(CUTS), 0, []
    for silence, parts in given:
        at += 10 * silence
        start, speech = at, []
        for talk, pause in parts:
            speech.append((at + 20 - start, at + 20 + 10 * talk - start))
            spoken.append(np.arange(at + 20, at + 20 + 10 * talk))
            at += 10 * (talk + pause)
        samples = np.arange(start, at, dtype=np.float32)
        line.add(Piece(start, samples, parts=((start, at - start),), speech=tuple(speech)))
    return line, np.concatenate(spoken)


@settings(max_examples=150)
@given(PIECES)
def test_windows_hold_all_speech_once_and_know_where_it_stands(
    given: list[tuple[int, list[tuple[int, int]]]],
) -> None:
    line, spoken = lines(given)
    heard, position = [], 0
    while (start := line.next(position)) is not None:
        position = line.window(start, CUTS.window, last=True)
        assert position is not None and start < position <= start + CUTS.window
        piece = line.piece(start, position)
        heard += [piece.samples[a:b] for a, b in piece.speech]
        placed = [np.arange(a, a + length) for a, length in piece.parts]
        assert np.array_equal(np.concatenate(placed), piece.samples)
        assert line.position(line.file_sample(position)) == position
        line.forget(position)
    assert np.array_equal(np.concatenate(heard), spoken)


def test_a_window_of_half_the_length_ends_at_a_pause_before() -> None:
    line, _ = lines([(5, [(9, 4), (9, 4), (9, 4)])])
    assert line.next(0) == 0
    assert line.window(0, 400, last=False) is None  # more could fill it
    assert line.window(0, 400, last=True) == 390
    assert line.window(0, 200, last=False) == 130
    assert line.window(0, 60, last=False) == 130  # its first stretch, at least
