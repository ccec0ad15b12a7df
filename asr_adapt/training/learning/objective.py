"""What is minimised: the loss of each row, from the output of the frozen prefix on.

Knows a recogniser's inputs, prefix and losses, and from which seeds a row's masks follow. Does not know
optimisers, steps or which rows make a batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from asr_adapt.models import Hidden, Recogniser, SpecAugment
from asr_adapt.training.data.corpus import Example
from asr_adapt.training.prefix.cache import prefix_output, row_seed
from asr_adapt.training.recipe.schema import Regularisation


class LossModule(nn.Module):
    """The part that learns, as one module that DDP and FSDP can wrap."""

    def __init__(self, recogniser: Recogniser, boundary: int, label_smoothing: float) -> None:
        super().__init__()
        #: Only handed on where it is asked for.
        self.options = {"label_smoothing": label_smoothing} if label_smoothing else {}
        self.model = recogniser.model
        self._recogniser = [
            recogniser
        ]  # a list hides it from nn.Module, which would register the model twice
        self.boundary = boundary

    def forward(self, hidden: Hidden, labels: list[list[int]], masking: SpecAugment | None) -> Tensor:
        """Loss of each row (batch,) in nats."""
        return self._recogniser[0].losses(hidden, self.boundary, labels, masking, **self.options)


@dataclass(frozen=True)
class Objective:
    """The loss of ``recogniser`` under ``regularisation``; masks follow from ``seed``, epoch and row."""

    recogniser: Recogniser
    regularisation: Regularisation
    seed: int
    accelerator: Accelerator

    def module(self, boundary: int) -> LossModule:
        """What learns from stage ``boundary`` on."""
        return LossModule(self.recogniser, boundary, self.regularisation.label_smoothing)

    def row_losses(self, module: nn.Module, boundary: int, batch: list[Example], epoch: int) -> Tensor:
        """The loss of each row of a micro-batch (batch,) in nats, frozen prefix included.

        ``module`` is what :meth:`module` gave, wrapped for all processes.
        """
        recogniser, device = self.recogniser, self.accelerator.device

        def seeds(examples: Sequence[Example]) -> list[int]:
            return [row_seed(self.seed, epoch, example.number) for example in examples]

        def encode(examples: Sequence[Example]) -> Hidden:
            waves = [example.samples for example in examples]
            inputs = recogniser.inputs(waves, seeds=seeds(examples))
            return recogniser.learnt_states(inputs.to(device), boundary, [len(wave) for wave in waves])

        with torch.no_grad(), self.accelerator.autocast():
            hidden = prefix_output(batch, encode, device) if boundary else encode(batch)
        chosen = self.regularisation.spec_augment
        masking = None
        if chosen.time_share or chosen.feature_share:
            masking = chosen.settings(SpecAugment, seeds=seeds(batch))
        losses: Tensor = module(hidden, [example.labels for example in batch], masking)
        return losses
