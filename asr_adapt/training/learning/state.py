"""All of a run that changes as it learns.

Knows named parameters and how they are copied out and put back. Does not know files, steps or losses.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn
from torch.distributed.tensor import DTensor

from asr_adapt.errors import DataError
from asr_adapt.training.learning.averaging import MovingAverage
from asr_adapt.training.learning.unfreezing import Unfreezing
from asr_adapt.training.progress import Progress


@dataclass
class Learning:
    """What a checkpoint holds: weights, moments, their average, and how far the run is.

    ``names`` are the parameters of ``model`` that ever learn, ``unfreezing`` says from when on.
    """

    model: nn.Module
    names: Collection[str]
    optimiser: torch.optim.Optimizer
    average: MovingAverage
    unfreezing: Unfreezing
    progress: Progress = field(default_factory=Progress)

    def state(self) -> dict[str, torch.Tensor]:
        """Detached CPU copies of the parameters that learn."""
        own = self.model.named_parameters()
        return {n: whole(p.detach()).cpu().clone().contiguous() for n, p in own if n in self.names}

    def put(self, stored: Mapping[str, torch.Tensor], source: Path) -> None:
        """Put stored weights back; raises :class:`DataError` when they are of another trainable set."""
        own = {n: p for n, p in self.model.named_parameters() if n in self.names}
        if stored.keys() != own.keys():
            raise DataError(
                "the checkpoint trains other parameters than the recipe: start a new run.", path=source
            )
        with torch.no_grad():
            for name, parameter in own.items():
                parameter.copy_(stored[name])


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor itself, or all of one that FSDP splits; then every process must call this."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
