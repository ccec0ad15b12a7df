"""Waveform augmentation as a recipe section.

Knows the fields, and which augmentation of the audio room each one means. Does not know how sound is changed.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from asr_adapt.audio import augment
from asr_adapt.training.recipe.section import Positive, Probability, Section


class Speed(Section):
    """Play faster or slower, pitch included."""

    factors: tuple[Positive, ...] = Field(
        (0.9, 1.0, 1.1), description="One is chosen for each row and epoch."
    )
    probability: Probability = Field(1.0, description="Probability of applying it to a row.")


class Noise(Section):
    """Noise from the audio files of a folder."""

    folder: str = Field(description="Folder of noises, searched recursively.")
    snr: tuple[float, float] = Field((5.0, 20.0), description="Signal-to-noise ratio range in dB.")
    probability: Probability = Field(0.5, description="Probability of applying it to a row.")


class Room(Section):
    """Room impulse responses from a folder."""

    folder: str = Field(description="Folder of impulse responses, searched recursively.")
    probability: Probability = Field(0.3, description="Probability of applying it to a row.")


class Gain(Section):
    """Level changes."""

    decibels: tuple[float, float] = Field((-12.0, 6.0), description="Range in dB; never beyond full scale.")
    probability: Probability = Field(0.5, description="Probability of applying it to a row.")


class BandLimit(Section):
    """Down to a lower rate and back, as through a telephone."""

    rate: int = Field(8_000, ge=4_000, description="Sampling rate passed through, Hz.")
    probability: Probability = Field(0.2, description="Probability of applying it to a row.")


class Codec(Section):
    """Encode and decode with a lossy codec."""

    codecs: tuple[str, ...] = Field(("mp3", "vorbis", "opus"), description="mp3, vorbis, opus, gsm, ulaw.")
    probability: Probability = Field(0.2, description="Probability of applying it to a row.")


class Augment(Section):
    """Waveform augmentation, in this order; a row's changes follow from seed, epoch and row id alone."""

    speed: Speed | None = None
    room: Room | None = None
    noise: Noise | None = None
    gain: Gain | None = None
    band_limit: BandLimit | None = None
    codec: Codec | None = None

    def augmenter(self, seed: int) -> augment.Augmenter | None:
        """The audio room's augmenter, or None where nothing is asked for; raises for an empty folder."""
        steps: list[augment.Augmentation] = []
        if self.speed:
            steps.append(augment.Speed(self.speed.factors, self.speed.probability))
        if self.room:
            steps.append(augment.Room(_folder(self.room.folder), self.room.probability))
        if self.noise:
            steps.append(augment.Noise(_folder(self.noise.folder), self.noise.snr, self.noise.probability))
        if self.gain:
            steps.append(augment.Gain(self.gain.decibels, self.gain.probability))
        if self.band_limit:
            steps.append(augment.BandLimit(self.band_limit.rate, self.band_limit.probability))
        if self.codec:
            steps.append(augment.Codec(self.codec.codecs, self.codec.probability))
        return augment.Augmenter(tuple(steps), seed) if steps else None


def _folder(path: str) -> Path:
    folder = Path(path)
    augment.audio_files(folder)
    return folder
