"""Waveform augmentation: speed, noise, rooms, gain, telephone band, codecs.

Knows mono float32 samples, folders of noises and impulse responses, seeds, and each setting with its default,
bounds and meaning, which recipes and their documentation take from here. Does not know recipes or training.
What happens to an utterance is a function of (seed, epoch, utterance id) alone, so that data order, workers
and resuming change nothing.
"""

from __future__ import annotations

import hashlib
import io
import math
from collections import Counter
from dataclasses import MISSING, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import soundfile
import soxr

from asr_adapt.audio.decode import read_audio
from asr_adapt.audio.media import MEDIA_SUFFIXES, files_below
from asr_adapt.audio.resample import resample
from asr_adapt.audio.types import AudioError, Samples

#: Containers and subtypes that libsndfile writes and reads back; ``gsm`` and ``ulaw`` are telephone codecs.
CODECS: dict[str, tuple[str, str]] = {
    "mp3": ("MP3", "MPEG_LAYER_III"),
    "vorbis": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"),
    "gsm": ("WAV", "GSM610"),
    "ulaw": ("WAV", "ULAW"),
}
_OPUS_RATES = (8_000, 12_000, 16_000, 24_000, 48_000)


def _setting(default: Any, meaning: str, **bounds: float) -> Any:
    """A field with its one line of help and its bounds, which pydantic reads for a recipe."""
    about = {"description": meaning} | bounds
    return field(metadata=about) if default is MISSING else field(default=default, metadata=about)


def _probability(default: float) -> Any:
    return _setting(default, "Probability of applying it to a row.", ge=0.0, le=1.0)


class Augmentation(Protocol):
    """One step. ``probability`` is how often it is applied at all."""

    @property
    def probability(self) -> float:
        """Between 0 and 1."""
        ...

    def __call__(self, samples: Samples, rate: int, rng: np.random.Generator) -> Samples:
        """Samples ``(n,)`` at ``rate`` Hz to augmented ones; only speed changes the length."""
        ...


@dataclass(frozen=True, slots=True)
class Speed:
    """Play faster or slower, pitch included.

    Ko et al., Audio Augmentation for Speech Recognition, 2015.
    """

    factors: tuple[float, ...] = _setting((0.9, 1.0, 1.1), "One is chosen for each row and epoch.")
    probability: float = _probability(1.0)

    def __post_init__(self) -> None:
        if not self.factors or min(self.factors) <= 0:
            raise ValueError("factors must be numbers above 0")

    def __call__(self, samples: Samples, rate: int, rng: np.random.Generator) -> Samples:
        """See :class:`Augmentation`; ``n`` becomes ``n / factor``."""
        factor = float(rng.choice(self.factors))
        if factor == 1.0:
            return samples
        return np.asarray(soxr.resample(samples, rate * factor, rate, quality="HQ"), dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Noise:
    """Noise from the audio files of a folder.

    A stretch of a random one is added at a signal-to-noise ratio drawn from ``snr``.
    """

    folder: Path = _setting(MISSING, "Folder of noises, searched recursively.")
    snr: tuple[float, float] = _setting((5.0, 20.0), "Signal-to-noise ratio range in dB.")
    probability: float = _probability(0.5)

    def __call__(self, samples: Samples, rate: int, rng: np.random.Generator) -> Samples:
        """See :class:`Augmentation`."""
        noise = _load(_choose(self.folder, rng), rate)
        stretch = _stretch(noise, len(samples), rng)
        speech_power, noise_power = _power(samples), _power(stretch)
        if speech_power == 0 or noise_power == 0:
            return samples
        ratio = 10 ** (rng.uniform(*self.snr) / 10)
        return samples + stretch * np.float32(math.sqrt(speech_power / (noise_power * ratio)))


@dataclass(frozen=True, slots=True)
class Room:
    """Room impulse responses from a folder.

    The samples are convolved with a random one; direct sound and level stay.
    """

    folder: Path = _setting(MISSING, "Folder of impulse responses, searched recursively.")
    probability: float = _probability(0.3)

    def __call__(self, samples: Samples, rate: int, rng: np.random.Generator) -> Samples:
        """See :class:`Augmentation`."""
        response = _load(_choose(self.folder, rng), rate)
        response = response[int(np.argmax(np.abs(response))) :]
        size = 1 << (len(samples) + len(response) - 2).bit_length()
        wet = np.fft.irfft(np.fft.rfft(samples, size) * np.fft.rfft(response, size), size)[: len(samples)]
        power = _power(wet)
        return (wet * math.sqrt(_power(samples) / power)).astype(np.float32) if power > 0 else samples


@dataclass(frozen=True, slots=True)
class Gain:
    """Level changes."""

    decibels: tuple[float, float] = _setting((-12.0, 6.0), "Range in dB; never beyond full scale.")
    probability: float = _probability(0.5)

    def __call__(self, samples: Samples, rate: int, rng: np.random.Generator) -> Samples:
        """See :class:`Augmentation`."""
        factor = 10 ** (rng.uniform(*self.decibels) / 20)
        peak = float(np.abs(samples).max(initial=0.0))
        return samples * np.float32(min(factor, max(1.0, 0.999 / peak) if peak > 0 else factor))


@dataclass(frozen=True, slots=True)
class BandLimit:
    """Down to a lower rate and back, as through a telephone."""

    rate: int = _setting(8_000, "Sampling rate passed through, Hz.", ge=4_000)
    probability: float = _probability(0.2)

    def __call__(self, samples: Samples, rate: int, rng: np.random.Generator) -> Samples:
        """See :class:`Augmentation`."""
        if rate <= self.rate:
            return samples
        return _fit(resample(resample(samples, rate, self.rate), self.rate, rate), len(samples))


@dataclass(frozen=True, slots=True)
class Codec:
    """Encode and decode with a lossy codec.

    A random one of ``codecs`` (names in ``CODECS``), at a random quality.
    """

    codecs: tuple[str, ...] = _setting(("mp3", "vorbis", "opus"), f"{', '.join(CODECS)}.")
    probability: float = _probability(0.2)

    def __post_init__(self) -> None:
        unknown = [name for name in self.codecs if name not in CODECS]
        if unknown or not self.codecs:
            raise ValueError(f"codec {unknown or '()'} is not among {', '.join(CODECS)}")

    def __call__(self, samples: Samples, rate: int, rng: np.random.Generator) -> Samples:
        """See :class:`Augmentation`."""
        name = str(rng.choice(self.codecs))
        container, subtype = CODECS[name]
        through = min(_OPUS_RATES, key=lambda known: (known < rate, known)) if name == "opus" else rate
        level = (
            {"compression_level": float(rng.uniform(0.3, 1.0))} if name in ("mp3", "vorbis", "opus") else {}
        )
        coded = io.BytesIO()
        clean = np.clip(resample(samples, rate, through), -1.0, 1.0)
        soundfile.write(coded, clean, through, format=container, subtype=subtype, **level)
        coded.seek(0)
        return _fit(read_audio(coded, sample_rate=rate), len(samples))


@dataclass(frozen=True, slots=True)
class Augmenter:
    """Steps in order. Each step draws from its own generator, so that adding one leaves the others alone."""

    steps: tuple[Augmentation, ...]
    seed: int = 0

    def __call__(self, samples: Samples, rate: int, *, epoch: int, utterance_id: str) -> Samples:
        """Augmented samples of one utterance: the same for the same seed, epoch and id, in any process."""
        seen: Counter[str] = Counter()
        for step in self.steps:
            name = type(step).__name__
            seen[name] += 1
            rng = _generator(self.seed, epoch, utterance_id, f"{name} {seen[name]}")
            if rng.random() < step.probability:
                samples = step(samples, rate, rng)
        return samples

    @property
    def shortest(self) -> float:
        """The smallest length relative to the utterance's own: CTC must still have frames enough."""
        fastest = [max(step.factors) for step in self.steps if isinstance(step, Speed)]
        return 1.0 / math.prod(fastest) if fastest else 1.0

    @property
    def longest(self) -> float:
        """The largest length relative to the utterance's own: for batches by seconds."""
        slowest = [min(step.factors) for step in self.steps if isinstance(step, Speed)]
        return 1.0 / math.prod(slowest) if slowest else 1.0


def audio_files(folder: Path) -> tuple[Path, ...]:
    """Audio files below a folder in a stable order. Raises AudioError when there are none."""
    return _files(str(folder))


def _generator(seed: int, epoch: int, utterance_id: str, step: str) -> np.random.Generator:
    name = f"{seed}\0{epoch}\0{step}\0{utterance_id}".encode("utf-8", "surrogatepass")
    return np.random.default_rng(int.from_bytes(hashlib.blake2b(name, digest_size=16).digest(), "little"))


@lru_cache(maxsize=64)
def _files(folder: str) -> tuple[Path, ...]:
    found = tuple(sorted(files_below(Path(folder), MEDIA_SUFFIXES)))
    if not found:
        raise AudioError("holds no audio to augment with; correct the path.", path=folder)
    return found


def _choose(folder: Path, rng: np.random.Generator) -> Path:
    files = audio_files(folder)
    return files[int(rng.integers(len(files)))]


@lru_cache(maxsize=128)
def _load(path: Path, rate: int) -> Samples:
    return read_audio(path, sample_rate=rate)


def _stretch(noise: Samples, size: int, rng: np.random.Generator) -> Samples:
    """``size`` samples from a random place, repeating noise that is too short."""
    if len(noise) < size:
        noise = np.tile(noise, -(-size // len(noise)))
    start = int(rng.integers(len(noise) - size + 1))
    return noise[start : start + size]


def _power(samples: np.ndarray) -> float:
    return float(np.mean(np.square(samples, dtype=np.float64))) if len(samples) else 0.0


def _fit(samples: Samples, size: int) -> Samples:
    """Cut or zero-pad to ``size``: codecs and resamplers differ by a few samples."""
    return samples[:size] if len(samples) >= size else np.pad(samples, (0, size - len(samples)))
