"""Measurements tell damaged recordings from sound ones."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from asr_adapt.audio import AudioError
from asr_adapt.audio.health import AudioHealth, measure_health

RATE = 16_000


def noise(seconds: float = 1.0, rate: int = RATE, level: float = 0.1) -> np.ndarray:
    return (level * np.random.default_rng(1).standard_normal(round(seconds * rate))).astype(np.float32)


def measured(
    tmp_path: Path, samples: np.ndarray, rate: int = RATE, subtype: str | None = None
) -> AudioHealth:
    path = tmp_path / "a.wav"
    soundfile.write(path, samples, rate, subtype=subtype)
    return measure_health(path)


def test_a_sound_recording(tmp_path: Path) -> None:
    health = measured(tmp_path, noise())
    assert health.level == pytest.approx(-20, abs=0.5)
    assert health.duration == health.claimed == 1.0
    assert (health.clipped, health.invalid_samples, health.missing_bytes) == (0.0, 0, 0)
    assert abs(health.offset) < 0.01
    assert health.high_band > -5
    assert AudioHealth.from_json(health.to_json()).digest == health.digest


def test_silence_clipping_offset_and_invalid_samples(tmp_path: Path) -> None:
    assert measured(tmp_path, np.zeros(RATE, dtype=np.float32)).loud_seconds == 0
    assert measured(tmp_path, np.clip(noise(level=2.0), -1, 1)).clipped > 0.1
    assert measured(tmp_path, noise() * 0.5 + 0.2).offset == pytest.approx(0.2, abs=0.01)
    broken = noise()
    broken[10:13] = [np.nan, np.inf, -np.inf]
    assert measured(tmp_path, broken, subtype="FLOAT").invalid_samples == 3


def test_upsampled_telephone_speech_is_told_from_wide_band(tmp_path: Path) -> None:
    narrow = soxr.resample(noise(rate=8_000), 8_000, RATE)
    assert measured(tmp_path, narrow).high_band < -57
    assert math.isnan(measured(tmp_path, noise(rate=8_000), 8_000).high_band)


def test_channels_are_compared(tmp_path: Path) -> None:
    mono = noise()
    other = np.roll(mono, 4_000)
    assert measured(tmp_path, np.stack([mono, mono], 1)).channel_gap == -math.inf
    assert measured(tmp_path, np.stack([mono, other], 1)).channel_gap == pytest.approx(0, abs=1)
    assert measured(tmp_path, np.stack([mono, -mono], 1)).channel_gap > 20


def test_a_cut_off_wav_lacks_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, noise(), RATE)
    path.write_bytes(path.read_bytes()[:-8_000])
    health = measure_health(path)
    assert health.missing_bytes == 8_000
    assert health.duration == pytest.approx(0.75)


def test_the_same_sound_has_one_digest_in_every_lossless_format(tmp_path: Path) -> None:
    pcm = (noise() * 32767).astype(np.int16)
    for name in ("a.wav", "b.flac", "c.aiff"):
        soundfile.write(tmp_path / name, pcm, RATE)
    digests = {measure_health(tmp_path / name).digest for name in ("a.wav", "b.flac", "c.aiff")}
    assert len(digests) == 1
    assert measure_health(tmp_path / "a.wav", duration=0.5).digest not in digests


def test_a_segment_behind_the_end_is_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", noise(), RATE)
    with pytest.raises(AudioError, match="audio ends at"):
        measure_health(tmp_path / "a.wav", offset=3.0)
