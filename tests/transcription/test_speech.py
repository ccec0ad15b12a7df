"""Speech segmentation: nothing spoken is lost, whatever the detector's frames and the window."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_adapt.decoding import Decoding
from asr_adapt.errors import UsageError
from asr_adapt.transcription.voice.speech import (
    EnergyDetector,
    SileroDetector,
    SpeechRules,
    Thresholds,
    speech_pieces,
)

RATE = 16_000


class Marked:
    """A detector that hears exactly the samples marked 1; real ones are tested below."""

    frame = 10

    def scores(self, samples: np.ndarray) -> np.ndarray:
        return samples.reshape(-1, self.frame).max(axis=1)


def rules(**changes) -> SpeechRules:
    values = {"window": 400, "overlap": 60, "join": 100, "silence": 30, "shortest": 10, "pad": 20}
    return SpeechRules(**(values | changes))


@settings(max_examples=200)
@given(
    st.lists(st.tuples(st.integers(1, 90), st.integers(1, 30)), min_size=1, max_size=20),
    st.integers(1, 700),
    st.integers(0, 40),
)
def test_every_spoken_sample_is_in_a_piece(spans, block, overlap):
    marks = np.concatenate([np.r_[np.zeros(10 * gap), np.ones(10 * talk)] for talk, gap in spans])
    marks = marks.astype(np.float32)
    blocks = [marks[i : i + block] for i in range(0, len(marks), block)]
    pieces = list(speech_pieces(blocks, Marked(), rules(overlap=overlap)))
    covered = np.zeros(len(marks), dtype=bool)
    for piece in pieces:
        assert len(piece.samples) <= 400 + Marked.frame
        assert (piece.samples == marks[piece.start : piece.stop]).all()
        covered[piece.start : piece.stop] = True
    assert covered[marks == 1].all()
    for before, after in itertools.pairwise(pieces):
        assert after.start > before.start
        assert (after.start >= before.stop) or (before.seam and after.seam)


def test_long_pieces_are_cut_at_silences():
    talk, short, long = np.ones(150), np.zeros(40), np.zeros(300)
    marks = np.concatenate([talk, short, talk, short, talk, long, talk]).astype(np.float32)
    pieces = list(speech_pieces([marks], Marked(), rules()))
    assert [(p.start, p.stop, p.seam) for p in pieces] == [
        (0, 360, False),
        (360, 550, False),
        (810, 980, False),
    ]


def test_a_click_is_not_speech():
    marks = np.zeros(2000, np.float32)
    marks[500:510] = 1
    assert list(speech_pieces([marks], Marked(), rules(shortest=20))) == []


@pytest.mark.parametrize(("asked", "stop"), [(None, 320), (0.3, 320), (0.45, 170), (0.5, 170)])
def test_soft_speech_ends_where_the_lower_threshold_says(asked: float | None, stop: int):
    """At 0.4, soft speech behind loud speech still is speech, unless another end is asked for."""
    marks = np.concatenate([np.ones(150), np.full(150, 0.4), np.zeros(300)]).astype(np.float32)
    thresholds = Thresholds.of(Decoding(speech_end_threshold=asked))
    (piece,) = speech_pieces([marks], Marked(), rules(thresholds=thresholds))
    assert piece.stop == stop


def test_energy_detector_finds_tones_in_noise(say):
    rng = np.random.default_rng(3)
    samples = np.concatenate(
        [np.zeros(RATE), say("bad cafe"), np.zeros(2 * RATE), say("gag"), np.zeros(RATE)]
    )
    samples = (samples + 1e-3 * rng.standard_normal(len(samples))).astype(np.float32)
    found = list(speech_pieces([samples], EnergyDetector(RATE), rules_seconds()))
    assert len(found) == 2
    assert abs(found[0].start / RATE - (1.1 - 0.2)) < 0.05
    assert found[1].start / RATE > 1 + 1.3 + 1


def rules_seconds() -> SpeechRules:
    return SpeechRules(
        window=20 * RATE, overlap=4 * RATE, join=RATE, silence=RATE // 2, shortest=RATE // 5, pad=RATE // 5
    )


def test_silero_needs_16_khz():
    with pytest.raises(UsageError, match="16 kHz"):
        SileroDetector(8_000)


@pytest.mark.realdata
def test_silero_finds_real_speech_between_silences(real_data):
    import torch

    from asr_adapt.audio import read_audio

    threads = torch.get_num_threads()
    clip = read_audio(next((real_data / "fsdd").rglob("7_jackson_0.wav")))
    silence = np.zeros(2 * RATE, np.float32)
    blocks = [silence, clip, silence, clip, silence]
    found = list(speech_pieces(blocks, SileroDetector(RATE), rules_seconds()))
    assert torch.get_num_threads() == threads
    assert len(found) == 2
    assert abs(found[0].start / RATE - 2) < 0.4
    assert abs(found[1].start / RATE - (4 + len(clip) / RATE)) < 0.4
