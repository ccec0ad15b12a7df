"""An encoder that an :mod:`anatomy <asr_adapt.models.ctc.anatomy>` describes, run stage by stage: what CTC
and transducer families have in common.

Knows inputs, frames, the encoder's stages and layer drop. Does not know what is made of its output: losses,
decoding, text.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from asr_adapt.models.contract import Dropout, Hidden, Recogniser
from asr_adapt.models.masking import SpecAugment

WINDOW_SECONDS = 20.0
#: Samples that every batch is padded to a multiple of (0.32 s): few distinct shapes, because a CPU compiles
#: its kernels anew for each (seen: 0.5 s a step with known shapes, 4 s with new ones).
PADDING_MULTIPLE = 5_120


class EncoderRecogniser(Recogniser, ABC):
    """The contract's methods about sound; they are documented there."""

    window_seconds = WINDOW_SECONDS
    #: The encoder's pieces, see :class:`~asr_adapt.models.ctc.anatomy.Wav2Vec2Anatomy`.
    anatomy: Any

    def __init__(self, model: Any, processor: Any, name: str, anatomy: Any) -> None:
        self.model, self.processor, self.name = model, processor, name
        self.anatomy = anatomy(model)
        self.adaptable = self.anatomy.adaptable
        self.sample_rate = int(processor.feature_extractor.sampling_rate)
        self._layer_drop = float(getattr(self.anatomy.config, "layerdrop", 0.0))
        self._multiple = PADDING_MULTIPLE if self.anatomy.input_name == "input_values" else None

    def set_dropout(self, dropout: Dropout) -> None:
        """Set the rates of the encoder's dropout modules; layer drop is this object's own."""
        if dropout.layer_drop is not None:
            self._layer_drop = dropout.layer_drop
        self.anatomy.set_dropout(dropout)

    def frames(self, samples: int) -> int:
        """How many frames the encoder gives for ``samples`` samples."""
        return self.anatomy.frames(self.anatomy.units(samples, self.processor.feature_extractor))

    def inputs(self, waveforms: Sequence[np.ndarray], *, seeds: Sequence[int] | None = None) -> Hidden:
        """Normalised, zero-padded inputs: (batch, samples), or (batch, frames, mels) for mel models."""
        extractor = self.processor.feature_extractor
        shortest = self.minimum_samples
        padded = [np.pad(w, (0, max(0, shortest - len(w)))) for w in waveforms]
        out = extractor(
            padded,
            sampling_rate=self.sample_rate,
            padding=True,
            pad_to_multiple_of=self._multiple,
            return_attention_mask=True,
            return_tensors="pt",
        )
        return Hidden(out[self.anatomy.input_name], out["attention_mask"].sum(-1))

    @cached_property
    def minimum_samples(self) -> int:
        """The fewest samples that give one frame."""
        low, high = 0, self.sample_rate
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self.frames(middle) >= 1 else (middle, high)
        return high

    def encode(self, batch: Hidden, boundary: int) -> Hidden:
        """Run the stages below ``boundary``."""
        return self._run(batch, 0, boundary, None)

    def encode_each(self, batch: Hidden, boundaries: Sequence[int]) -> Iterator[Hidden]:
        """As the contract says, every stage run once."""
        done = 0
        for boundary in boundaries:
            batch, done = self._run(batch, done, boundary, None), boundary
            yield batch

    def _run(self, batch: Hidden, start: int, stop: int, masking: SpecAugment | None) -> Hidden:
        anatomy, layers = self.anatomy, self.stack.layers
        states, lengths = batch.states, batch.lengths
        if start == 0 < stop:
            states, lengths = anatomy.front_end(states.to(self.dtype), lengths)
        if start <= 1 < stop:
            states, masking = anatomy.embed(states, lengths, masking), None
        first, last = max(start, layers[0]), min(stop, layers[-1] + 1)
        if first < last:
            if masking is not None:
                states = masking(states, lengths)
            states = self._run_layers(states, lengths, range(first - layers[0], last - layers[0]))
        if start <= layers[-1] + 1 < stop:
            states, lengths = anatomy.finish(states, lengths)
        if start < stop == len(self.stack):
            states = anatomy.head(states)
        return Hidden(states, lengths)

    def _run_layers(self, states: Tensor, lengths: Tensor, indices: range) -> Tensor:
        context = self.anatomy.context(states, lengths)
        drop, ran = self._layer_drop, False
        for index in indices:
            training = self.anatomy.layers[index].training
            skipped = training and drop > 0 and torch.rand(()).item() < drop
            if skipped and (ran or index != indices[-1]):  # were all skipped, nothing might be left to learn
                continue
            ran = ran or training
            states = self.anatomy.layer(index, states, context)
        return states

    @cached_property
    def seconds_per_frame(self) -> float:
        """Frame step in seconds."""
        minute = 60 * self.sample_rate
        return 60.0 / (self.frames(2 * minute) - self.frames(minute))
