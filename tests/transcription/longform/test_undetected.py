"""Sound in which the voice-activity detector hears nobody: short clips are heard, longer ones are named."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr_adapt.cli.app import run
from asr_adapt.decoding import Decoding
from asr_adapt.transcription.hearing import Hearing
from asr_adapt.transcription.reading import Tally, pieces_of
from asr_adapt.transcription.sources import Source

RATE = 16_000
CUT = [("auto", True), ("silero", True), ("silero", False)]


def rustle(seconds: float, level: float = 0.1) -> np.ndarray:
    """Noise that no detector takes for speech."""
    noise = np.random.default_rng(3).standard_normal(round(seconds * RATE))
    return (level * noise).clip(-1, 1).astype(np.float32)


def cut(samples: np.ndarray, segmenter: str, timed: bool) -> tuple[list[np.ndarray], list[str]]:
    tally = Tally()
    options = Decoding(segmenter=segmenter)
    source = Source("array", "array", samples=samples, duration=len(samples) / RATE)
    pieces = list(pieces_of(source, Hearing(RATE, 30.0, timed), options, tally))
    return [piece.samples for piece in pieces], tally.remarks


@pytest.mark.parametrize(("segmenter", "timed"), CUT)
def test_a_short_clip_is_heard_whole_where_the_detector_hears_nobody(segmenter: str, timed: bool) -> None:
    samples = rustle(1.4)
    pieces, remarks = cut(samples, segmenter, timed)
    assert len(pieces) == 1 and (pieces[0] == samples).all() and not remarks


@pytest.mark.parametrize(("segmenter", "timed"), CUT)
def test_longer_sound_without_speech_is_named(segmenter: str, timed: bool) -> None:
    pieces, remarks = cut(rustle(7.5), segmenter, timed)
    assert not pieces
    assert remarks == [
        "no speech was detected in 7.5 s of sound: --segmenter windows transcribes everything."
    ]


@pytest.mark.parametrize("seconds", [1.4, 7.5])
def test_silence_is_neither_heard_nor_named(seconds: float) -> None:
    assert cut(rustle(seconds, 1e-4), "auto", True) == ([], [])


def test_the_command_says_what_it_heard_nobody_in(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    soundfile.write(tmp_path / "rain.wav", rustle(5.0), RATE)
    assert run(["transcribe", str(tmp_path / "rain.wav"), "--model", "nano-whisper", "-f", "json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["text"] == "" and "no speech was detected in 5.0 s" in printed["warnings"][0]
    assert "rain.wav: no speech was detected" in caplog.text
