"""Measuring one recording: is it whole, audible, unclipped, really sampled at its rate, and seen before.

Knows samples and headers. Does not judge: the thresholds that turn measurements into findings are in the
manifest room.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr_adapt.audio.decode import open_segment, require_channel
from asr_adapt.audio.mixing import mixed
from asr_adapt.audio.opening import Input
from asr_adapt.audio.types import AudioError, Samples

#: Changes when a measurement changes, so that cached ones are not reused.
HEALTH_VERSION = 2
#: A sample at or above this magnitude sits on the rail.
FULL_SCALE = 0.999
#: Telephone speech ends here; energy above tells real wide-band speech from upsampled.
NARROW_BAND_HZ = 4_000
_GUARD_HZ = 300
_FRAME_SECONDS = 0.032
#: Frames looked at for the spectrum; more change nothing and cost time.
_SPECTRUM_FRAMES = 400


@dataclass(frozen=True, slots=True)
class AudioHealth:
    """Measurements of one file or segment; levels in dB relative to full scale, times in seconds.

    ``claimed`` is the header's duration of the whole file and ``duration`` what was decoded of the file or
    segment. ``clipped`` is the share of samples in runs on the rail. ``high_band`` is the level of everything
    above 4 kHz relative to everything below (NaN where the rate leaves no such band). ``channel_gap`` is the
    level of the channels' difference relative to their sum; a positive value means that averaging cancels.
    ``missing_bytes`` counts bytes that a header promises and the file lacks. ``digest`` identifies the
    sound itself, whatever the file format.
    """

    sample_rate: int
    channels: int
    claimed: float
    duration: float
    peak: float
    level: float
    loud_seconds: float
    offset: float
    clipped: float
    high_band: float
    channel_gap: float
    invalid_samples: int
    missing_bytes: int
    digest: str

    def to_json(self) -> dict[str, Any]:
        """Plain values; NaN and infinity become None."""
        return {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in asdict(self).items()
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> AudioHealth:
        """The inverse of :meth:`to_json`."""
        known: dict[str, Any] = {name: math.nan if v is None else v for name, v in values.items()}
        return cls(**known)


def measure_health(
    path: str | Path, *, offset: float = 0.0, duration: float | None = None, channel: int | None = None
) -> AudioHealth:
    """Decode a file, or a segment (seconds) or a channel of it, once and measure it.

    Raises AudioError when it cannot be opened or holds no samples; damage that leaves samples is measured.
    """
    given = Input.of(path)
    with open_segment(given, offset, duration) as segment:
        info = segment.decoder.info
        require_channel(info, channel)
        blocks = list(segment.decoder.blocks(segment.start, segment.stop))
    if not blocks:
        raise AudioError(
            f"the segment starts at {offset:g} s but the audio ends at {info.duration:.3f} s.", path=path
        )
    samples = blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
    if channel is not None:
        samples = samples[:, channel : channel + 1]
    finite = np.isfinite(samples)
    invalid = int(samples.size - np.count_nonzero(finite))
    if invalid:
        samples = np.where(finite, samples, np.float32(0))
    mono = mixed(samples, lambda: None)
    return AudioHealth(
        sample_rate=info.sample_rate,
        channels=info.channels,
        claimed=info.duration if math.isfinite(info.duration) else offset + len(samples) / info.sample_rate,
        duration=len(samples) / info.sample_rate,
        peak=_decibels(float(np.abs(samples).max())),
        level=_decibels(_rms(mono)),
        loud_seconds=_loud_seconds(mono, info.sample_rate),
        offset=float(mono.mean(dtype=np.float64)),
        clipped=_clipped(samples),
        high_band=_high_band(mono, info.sample_rate),
        channel_gap=_channel_gap(samples),
        invalid_samples=invalid,
        missing_bytes=given.structure().missing,
        digest=_digest(mono),
    )


def _rms(samples: NDArray[np.floating]) -> float:
    return math.sqrt(float(np.vdot(samples, samples)) / len(samples))


def _decibels(value: float) -> float:
    return 20 * math.log10(max(value, 1e-6))


def _loud_seconds(mono: Samples, rate: int) -> float:
    """Seconds of 20 ms frames above −50 dB."""
    size = max(1, rate // 50)
    frames = mono[: len(mono) - len(mono) % size].reshape(-1, size)
    if not len(frames):
        return 0.0
    power = np.einsum("ij,ij->i", frames, frames) / size
    return float(np.count_nonzero(power > 10 ** (-50 / 10))) * size / rate


def _clipped(samples: Samples) -> float:
    """Share of samples on the rail together with a neighbour: lone peaks are normal, plateaus are not."""
    rail = np.abs(samples) >= FULL_SCALE
    if not rail.any():
        return 0.0
    return float(np.count_nonzero(rail[1:] & rail[:-1])) / len(samples)


def _high_band(mono: Samples, rate: int) -> float:
    """Level above 4.3 kHz (and below 95 % of Nyquist) relative to the level below 4 kHz, in dB."""
    if rate < 2.2 * (NARROW_BAND_HZ + _GUARD_HZ):
        return math.nan
    size = 1 << round(math.log2(_FRAME_SECONDS * rate))
    count = len(mono) // size
    if count < 4:
        return math.nan
    frames = mono[: count * size].reshape(count, size)
    if count > _SPECTRUM_FRAMES:
        frames = frames[np.linspace(0, count - 1, _SPECTRUM_FRAMES).astype(int)]
    spectra = np.fft.rfft(frames * np.hanning(size), axis=1)
    power = (spectra.real**2 + spectra.imag**2).mean(axis=0)
    frequencies = np.arange(len(power)) * rate / size
    low = float(power[(frequencies > 80) & (frequencies < NARROW_BAND_HZ)].sum())
    high = float(power[(frequencies > NARROW_BAND_HZ + _GUARD_HZ) & (frequencies < 0.475 * rate)].sum())
    return 10 * math.log10(max(high, 1e-20) / max(low, 1e-20)) if low > 1e-12 else math.nan


def _channel_gap(samples: Samples) -> float:
    """dB of half the difference over half the sum of the first two channels; −∞ is identical."""
    if samples.shape[1] < 2:
        return -math.inf
    half_sum = _rms((samples[:, 0] + samples[:, 1]) / 2)
    half_difference = _rms((samples[:, 0] - samples[:, 1]) / 2)
    if half_difference < 1e-5:
        return -math.inf
    return 20 * math.log10(half_difference / max(half_sum, 1e-6))


def _digest(mono: Samples) -> str:
    """Of the 16-bit samples, so that a WAV and its FLAC copy are the same sound."""
    pcm = np.minimum(np.rint(np.clip(mono, -1, 1) * 32768), 32767).astype("<i2")
    return hashlib.blake2b(pcm.tobytes(), digest_size=8).hexdigest()


__all__ = ["HEALTH_VERSION", "AudioHealth", "measure_health"]
