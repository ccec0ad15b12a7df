"""Waveform augmentation as a recipe section.

Knows which augmentations of the audio room a recipe may name, and their order. Does not know their settings,
which :mod:`asr_adapt.audio.augment` declares, nor how sound is changed.
"""

from __future__ import annotations

from asr_adapt.audio.augment import (
    Augmentation,
    Augmenter,
    BandLimit,
    Codec,
    Gain,
    Noise,
    Room,
    Speed,
    audio_files,
)
from asr_adapt.training.recipe.section import Section


class Augment(Section):
    """Waveform augmentation, in this order; a row's changes follow from seed, epoch and row id alone."""

    speed: Speed | None = None
    room: Room | None = None
    noise: Noise | None = None
    gain: Gain | None = None
    band_limit: BandLimit | None = None
    codec: Codec | None = None

    def augmenter(self, seed: int) -> Augmenter | None:
        """The audio room's augmenter, or None where nothing is asked for; raises for an empty folder."""
        for step in (self.room, self.noise):
            if step is not None:
                audio_files(step.folder)
        asked: list[Augmentation | None] = [
            self.speed, self.room, self.noise, self.gain, self.band_limit, self.codec,
        ]  # fmt: skip
        steps = tuple(step for step in asked if step is not None)
        return Augmenter(steps, seed) if steps else None
