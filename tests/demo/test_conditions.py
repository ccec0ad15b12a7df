"""Recording conditions, measured on the signals themselves."""

from __future__ import annotations

import numpy as np
import pytest

from asr_adapt.demo import conditions
from asr_adapt.demo.conditions import Conditions, change_speed, level, pad, record

RATE = conditions.SAMPLE_RATE


@pytest.fixture
def tone() -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)).astype(np.float32)


def _noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(RATE).astype(np.float32)


def test_the_same_chance_gives_the_same_recording(tone):
    others = [_noise(n) for n in range(4)]
    first, second = (record(tone, np.random.default_rng(5), others, Conditions(clean=0)) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("seed", range(12))
def test_recordings_keep_length_and_stay_in_range(tone, seed):
    wave = record(tone, np.random.default_rng(seed), [_noise(n) for n in range(4)], Conditions(clean=0))
    assert wave.dtype == np.float32
    assert wave.size == tone.size
    assert np.isfinite(wave).all()
    assert 0.01 < np.abs(wave).max() <= 1.0


def test_noise_has_the_stated_strength(tone):
    for seed in range(20):
        added = conditions.add_noise(tone, np.random.default_rng(seed), []) - tone
        decibels = 10 * np.log10(np.mean(tone**2) / np.mean(added**2))
        assert 4.9 < decibels < 40.1


def test_telephone_removes_what_lies_above_4_khz():
    wave = conditions.telephone(_noise(1), np.random.default_rng(0))
    spectrum = np.abs(np.fft.rfft(wave)) ** 2
    frequencies = np.fft.rfftfreq(wave.size, 1 / RATE)
    assert spectrum[frequencies > 4200].sum() < 1e-3 * spectrum.sum()


def test_a_room_rings_on_after_the_sound():
    click = np.zeros(RATE, np.float32)
    click[100] = 1.0
    wave = conditions.reverberate(click, np.random.default_rng(2))
    assert wave[100] == pytest.approx(1.0, abs=1e-4)
    assert np.abs(wave[200:800]).max() > 0
    assert np.mean(wave[200:1000] ** 2) > 10 * np.mean(wave[12_000:] ** 2)


def test_speed_level_and_padding(tone):
    assert change_speed(tone, 1.1).size == pytest.approx(tone.size / 1.1, abs=2)
    assert np.abs(level(tone, 0.5)).max() == pytest.approx(0.5)
    assert tone.size <= pad(tone, np.random.default_rng(0)).size <= tone.size + RATE
