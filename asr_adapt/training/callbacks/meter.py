"""How fast a run goes: seconds of sound a second, padding, and model FLOP utilisation.

Knows counted arithmetic and a clock's reading. Does not know how a step is computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from accelerate import Accelerator

from asr_adapt.models import Costs, Recogniser, count_costs, peak_flops
from asr_adapt.training.callback import Callback
from asr_adapt.training.data.corpus import Example
from asr_adapt.training.precision import TYPES

FLOP_UNIT = 1e9  # float32 adds up billions


@dataclass
class Meter(Callback):
    """Adds rates to what is said of a step; counts anew where the frozen prefix ends elsewhere."""

    recogniser: Recogniser
    accelerator: Accelerator
    costs: Costs | None = None
    _peak: float = field(default=0.0)
    _counted: tuple[Any, ...] | None = None
    _spoken: float = 0.0
    _flops: float = 0.0

    @property
    def peak(self) -> float:
        """Operations per second that a large matrix product reaches here; 0 before it was tried."""
        return self._peak

    def boundary_moved(self, boundary: int) -> None:
        """Count the arithmetic anew, where another part learns or another context is heard."""
        stack = self.recogniser.stack
        stack.set_modes()
        asked = boundary, self.recogniser.settings.context, tuple(stack.trainable_names())
        if asked != self._counted:
            self.costs = count_costs(self.recogniser, boundary)
            self._counted = asked
        if not self._peak:
            dtype = TYPES[str(self.accelerator.mixed_precision)]
            self._peak = peak_flops(self.accelerator.device, dtype)

    def flops(self, batch: Sequence[Example]) -> float:
        """Useful operations of a micro-batch: no padding, and no prefix for rows whose states were kept."""
        if self.costs is None:
            return 0.0
        below = sum(self.costs.prefix(e.seconds) for e in batch if e.states is None)
        return float(below + sum(self.costs.trained(e.seconds) for e in batch))

    def batch_done(self, batch: Sequence[Example]) -> None:
        """Add a micro-batch to the step."""
        self._spoken += sum(e.seconds for e in batch)
        self._flops += self.flops(batch)

    def step_done(self, values: dict[str, Any], elapsed: float) -> None:
        """Padding, speed and utilisation over the micro-batches of all processes."""
        device = self.accelerator.device
        own = torch.tensor([self._spoken, self._flops / FLOP_UNIT], device=device)
        spoken, flops = self.accelerator.reduce(own, "sum").tolist()
        self._spoken = self._flops = 0.0
        peak = self._peak * self.accelerator.num_processes
        values["padding"] = 1.0 - spoken / values["audio_seconds"]
        values["audio_seconds_per_second"] = spoken / elapsed
        values["mfu"] = flops * FLOP_UNIT / elapsed / peak if peak else None
