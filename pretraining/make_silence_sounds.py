"""Make the sounds without speech in ``asr_adapt/assets/silence``, from which a run learns to write nothing.

    python pretraining/make_silence_sounds.py

All are computed, none is recorded: silence, noise of several colours that swells and ebbs, hum, engines,
ticking, knocks, crackle, whistles and calls of animals without the resonances of a vocal tract. Loudness
goes from that of a quiet room to that of speech. The same seed gives the same sounds.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import soundfile

from asr_adapt.manifest import Utterance, write_manifest

FOLDER = Path(__file__).resolve().parents[1] / "asr_adapt" / "assets" / "silence"
SEED, RATE = 20261126, 16_000
#: Shortest and longest sound in seconds, and decibels below full scale, RMS.
SECONDS, LEVELS = (4.0, 10.0), (-55.0, -18.0)
#: Sounds of each kind.
EACH = 3

Random = np.random.Generator
Samples = np.ndarray


def main() -> None:
    """Write audio and manifest, replacing an earlier set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--output", type=Path, default=FOLDER)
    given = parser.parse_args()
    shutil.rmtree(given.output, ignore_errors=True)
    given.output.mkdir(parents=True)
    rows = []
    for name, samples in sounds():
        path = given.output / f"{name}.ogg"
        soundfile.write(path, samples, RATE, format="OGG", subtype="OPUS")
        seconds = len(samples) / RATE
        rows.append(Utterance(path.name, id=name, duration=seconds, text="", root=given.output))
    write_manifest(given.output / "manifest.jsonl", rows)
    print(f"{len(rows)} sounds, {sum(row.duration or 0.0 for row in rows):.0f} s")


def sounds() -> Iterator[tuple[str, Samples]]:
    """Name and samples of every sound."""
    random = np.random.default_rng(SEED)
    for name, make in KINDS.items():
        for number in range(EACH):
            count = round(random.uniform(*SECONDS) * RATE)
            samples = make(random, count)
            level = 10 ** (random.uniform(*LEVELS) / 20)
            loud = float(np.sqrt(np.mean(samples**2)))
            samples = samples * (level / loud) if loud else samples
            yield f"{name}-{number + 1}", np.clip(samples, -0.99, 0.99).astype(np.float32)


def silence(random: Random, count: int) -> Samples:
    return np.zeros(count)


def coloured(random: Random, count: int, slope: float | None = None) -> Samples:
    """Noise whose power falls with frequency to the power ``slope``: 0 is white, 1 pink, 2 brown."""
    slope = random.uniform(0.0, 2.0) if slope is None else slope
    spectrum = np.fft.rfft(random.standard_normal(count))
    frequencies = np.fft.rfftfreq(count, 1 / RATE)
    return np.fft.irfft(spectrum / np.maximum(frequencies, 30.0) ** (slope / 2), count)


def swelling(random: Random, count: int) -> Samples:
    """Wind and waves: noise whose loudness moves slowly."""
    return coloured(random, count) * (0.05 + _slow(random, count, random.uniform(0.15, 0.8)) ** 2)


def hum(random: Random, count: int) -> Samples:
    """Mains and fans: harmonics of a low tone over faint noise."""
    pitch = random.choice([50.0, 60.0, 100.0, 120.0]) * random.uniform(0.98, 1.02)
    tones = _harmonics(np.full(count, pitch), random.uniform(0.2, 1.0, 12) / np.arange(1, 13))
    return tones + 0.05 * _unit(coloured(random, count, 1.0))


def engine(random: Random, count: int) -> Samples:
    """A motor: many harmonics of a tone that goes up and down, beaten by its own strokes."""
    pitch = random.uniform(40.0, 140.0) * (0.8 + 0.5 * _slow(random, count, 0.4))
    strokes = 1.0 + 0.5 * np.sin(2 * np.pi * np.cumsum(np.full(count, random.uniform(8.0, 25.0))) / RATE)
    return (
        _harmonics(pitch, 1 / np.arange(1, 25) ** 0.7) + 0.3 * _unit(coloured(random, count, 1.0))
    ) * strokes


def ticking(random: Random, count: int) -> Samples:
    """A clock, a keyboard: clicks at even or uneven distances."""
    gap, uneven = random.uniform(0.12, 1.0), random.uniform(0.0, 0.5)
    return _strikes(random, count, lambda: gap * (1 + uneven * random.uniform(-1, 1)), (0.002, 0.02))


def knocks(random: Random, count: int) -> Samples:
    """Doors, steps: few dull strokes."""
    return _strikes(random, count, lambda: random.uniform(0.2, 2.0), (0.02, 0.12), slope=1.5)


def crackle(random: Random, count: int) -> Samples:
    """Fire, paper: many faint clicks over noise."""
    return _strikes(random, count, lambda: random.exponential(0.03), (0.001, 0.006)) + 0.05 * _unit(
        coloured(random, count, 1.0)
    )


def whistles(random: Random, count: int) -> Samples:
    """Birds, alarms: pure tones that glide or are held."""
    return _calls(random, count, (900.0, 4000.0), (0.05, 0.6), partials=2)


def calls(random: Random, count: int) -> Samples:
    """Barks, crows and cries: bursts of harmonics whose pitch rises and falls, without formants."""
    return _calls(random, count, (250.0, 900.0), (0.1, 0.9), partials=12, rough=0.3)


def bursts(random: Random, count: int) -> Samples:
    """Sneezes, splashes, brakes: noise that comes suddenly and fades."""
    return _strikes(random, count, lambda: random.uniform(0.5, 3.0), (0.1, 0.5), slope=0.5)


KINDS: dict[str, Callable[[Random, int], Samples]] = {
    "silence": silence,
    "noise": coloured,
    "swelling": swelling,
    "hum": hum,
    "engine": engine,
    "ticking": ticking,
    "knocks": knocks,
    "crackle": crackle,
    "whistles": whistles,
    "calls": calls,
    "bursts": bursts,
}


def _unit(samples: Samples) -> Samples:
    return samples / max(1e-9, float(np.sqrt(np.mean(samples**2))))


def _slow(random: Random, count: int, hertz: float) -> Samples:
    """A curve between 0 and 1 that takes a new direction ``hertz`` times a second."""
    points = max(3, int(count / RATE * hertz) + 2)
    return np.interp(np.linspace(0, points - 1, count), np.arange(points), random.uniform(0, 1, points))


def _harmonics(pitch: Samples, strengths: Samples) -> Samples:
    """A tone of ``pitch`` (samples,) in hertz with its harmonics below half the sampling rate."""
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    found = np.zeros(len(pitch))
    for number, strength in enumerate(strengths, start=1):
        found += strength * np.sin(number * phase) * (number * pitch < RATE / 2)
    return found


def _strikes(
    random: Random, count: int, gap: Callable[[], float], fade: tuple[float, float], slope: float = 0.0
) -> Samples:
    """Strokes of noise, ``gap`` seconds apart, that fade within ``fade`` seconds."""
    found = np.zeros(count + RATE)
    place = random.uniform(0.0, 0.5)
    length = random.uniform(*fade)
    while place * RATE < count:
        size = int(6 * length * RATE) + 1
        stroke = _unit(coloured(random, size, slope)) * np.exp(-np.arange(size) / (length * RATE))
        start = int(place * RATE)
        end = min(len(found), start + size)
        found[start:end] += random.uniform(0.3, 1.0) * stroke[: end - start]
        place += max(0.003, gap())
    return found[:count] + 1e-3 * random.standard_normal(count)


def _calls(
    random: Random,
    count: int,
    pitches: tuple[float, float],
    lengths: tuple[float, float],
    partials: int,
    rough: float = 0.0,
) -> Samples:
    """Bursts of a tone whose pitch moves on an arc, with pauses, over faint noise."""
    found = 0.01 * _unit(coloured(random, count, 1.0))
    place = random.uniform(0.0, 0.8)
    while place * RATE < count:
        size = int(random.uniform(*lengths) * RATE)
        along = np.linspace(0.0, 1.0, size)
        arc = 1.0 + random.uniform(-0.4, 0.6) * np.sin(np.pi * along) + random.uniform(-0.3, 0.3) * along
        pitch = random.uniform(*pitches) * arc * (1 + 0.05 * rough * random.standard_normal(size))
        call = _harmonics(pitch, random.uniform(0.1, 1.0, partials) / np.arange(1, partials + 1))
        call = _unit(call) * np.sin(np.pi * along) ** 0.5 + rough * random.standard_normal(size) * 0.2
        start = int(place * RATE)
        end = min(count, start + size)
        found[start:end] += random.uniform(0.3, 1.0) * call[: end - start]
        place += size / RATE + random.uniform(0.1, 2.0)
    return found


if __name__ == "__main__":
    main()
