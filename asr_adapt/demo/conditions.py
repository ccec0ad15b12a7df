"""Recording conditions for synthetic speech: rooms, noise, microphones, telephone lines.

Knows cheap numpy models of what lies between a mouth and a file. Does not know where the speech comes
from, and is not the training room's augmentation: it is baked into a corpus once, per clip.
All waveforms are float32 mono (samples,) at 16 kHz.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import soxr

SAMPLE_RATE = 16_000  # Hz
TELEPHONE_RATE = 8_000  # Hz


@dataclass(frozen=True, slots=True)
class Conditions:
    """How often each disturbance occurs in a clip that is not left clean."""

    clean: float = 0.35
    equaliser: float = 0.6
    room: float = 0.45
    noise: float = 0.6
    telephone: float = 0.15
    clipping: float = 0.04


def record(
    wave: np.ndarray, chance: np.random.Generator, others: Sequence[np.ndarray], conditions: Conditions
) -> np.ndarray:
    """``wave`` as if recorded somewhere; ``others`` are clips from which babble is made."""
    if chance.random() >= conditions.clean:
        if chance.random() < conditions.equaliser:
            wave = equalise(wave, chance)
        if chance.random() < conditions.room:
            wave = reverberate(wave, chance)
        if chance.random() < conditions.noise:
            wave = add_noise(wave, chance, others)
        if chance.random() < conditions.telephone:
            wave = telephone(wave, chance)
        if chance.random() < conditions.clipping:
            wave = np.clip(wave, *np.quantile(wave, (0.01, 0.99)))
    return level(wave, float(10 ** chance.uniform(-1.5, -0.03)))


def level(wave: np.ndarray, peak: float) -> np.ndarray:
    """Scaled to the given peak amplitude (0–1)."""
    loudest = float(np.abs(wave).max())
    return (wave * (peak / max(loudest, 1e-9))).astype(np.float32)


def pad(wave: np.ndarray, chance: np.random.Generator, longest: float = 0.4) -> np.ndarray:
    """Up to ``longest`` seconds of silence before and after."""
    before, after = (int(chance.uniform(0, longest) * SAMPLE_RATE) for _ in range(2))
    return np.pad(wave, (before, after))


def change_speed(wave: np.ndarray, factor: float) -> np.ndarray:
    """Played ``factor`` times as fast: pitch and formants move with it, like a shorter vocal tract."""
    return np.asarray(soxr.resample(wave, SAMPLE_RATE * factor, SAMPLE_RATE, quality="MQ"), np.float32)


def equalise(wave: np.ndarray, chance: np.random.Generator) -> np.ndarray:
    """Random smooth frequency response of ±10 dB: microphones and distances."""
    bands = np.log(np.array([60, 200, 500, 1200, 2600, 5000, 8000.0]))
    gains = chance.normal(0, 4, bands.size).clip(-10, 10) + np.linspace(0, chance.normal(0, 6), bands.size)
    spectrum = np.fft.rfft(wave)
    frequencies = np.log(np.maximum(np.fft.rfftfreq(wave.size, 1 / SAMPLE_RATE), 1.0))
    response = 10 ** (np.interp(frequencies, bands, gains) / 20)
    return np.fft.irfft(spectrum * response, wave.size).astype(np.float32)


def reverberate(wave: np.ndarray, chance: np.random.Generator) -> np.ndarray:
    """A room as the direct sound plus exponentially decaying noise (T60 0.1–0.6 s, 0–15 dB below it)."""
    decay = chance.uniform(0.1, 0.6)
    length = int(decay * 0.8 * SAMPLE_RATE)
    times = np.arange(length) / SAMPLE_RATE
    tail = chance.standard_normal(length) * 10 ** (-3 * times / decay)
    tail[: int(0.002 * SAMPLE_RATE)] = 0
    tail *= 10 ** (-chance.uniform(0, 15) / 20) / np.sqrt(np.sum(tail**2))
    tail[0] = 1.0
    size = 1 << (wave.size + length - 1).bit_length()
    wet = np.fft.irfft(np.fft.rfft(wave, size) * np.fft.rfft(tail, size), size)
    return wet[: wave.size].astype(np.float32)


def add_noise(wave: np.ndarray, chance: np.random.Generator, others: Sequence[np.ndarray]) -> np.ndarray:
    """White to brown noise at 5–40 dB below the speech, or babble of ``others`` at 8–35 dB."""
    babble = len(others) >= 3 and chance.random() < 0.3
    noise = _babble(wave.size, chance, others) if babble else _coloured(wave.size, chance)
    decibels = chance.uniform(8, 35) if babble else chance.uniform(5, 40)
    power = float(np.mean(wave**2)) / max(float(np.mean(noise**2)), 1e-12)
    return (wave + noise * np.sqrt(power) * 10 ** (-decibels / 20)).astype(np.float32)


def telephone(wave: np.ndarray, chance: np.random.Generator) -> np.ndarray:
    """Sampled at 8 kHz and back; half of the time without what lies below 300 Hz as well."""
    narrow = soxr.resample(wave, SAMPLE_RATE, TELEPHONE_RATE, quality="MQ")
    if chance.random() < 0.5:
        spectrum = np.fft.rfft(narrow)
        frequencies = np.fft.rfftfreq(narrow.size, 1 / TELEPHONE_RATE)
        narrow = np.fft.irfft(spectrum / (1 + (300 / np.maximum(frequencies, 1)) ** 4), narrow.size)
    return np.asarray(soxr.resample(narrow, TELEPHONE_RATE, SAMPLE_RATE, quality="MQ"), np.float32)


def _coloured(size: int, chance: np.random.Generator) -> np.ndarray:
    spectrum = np.fft.rfft(chance.standard_normal(size).astype(np.float32))
    frequencies = np.maximum(np.fft.rfftfreq(size, 1 / SAMPLE_RATE), 50)
    return np.fft.irfft(spectrum * frequencies ** -chance.uniform(0, 1.1), size).astype(np.float32)


def _babble(size: int, chance: np.random.Generator, others: Sequence[np.ndarray]) -> np.ndarray:
    voices = [others[int(index)] for index in chance.integers(0, len(others), chance.integers(1, 6))]
    return np.sum(
        [np.resize(np.roll(voice, int(chance.integers(voice.size))), size) for voice in voices], axis=0
    )
