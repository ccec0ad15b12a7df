"""What a training run needs of a device's memory, counted before its first step, and the rows that fit.

Knows the parts of that memory and how a step's share grows with rows and seconds. Does not know recipes or
files. The step is counted by running it on three small micro-batches (:mod:`live_bytes <.live_bytes>`), so it
holds for every family, strategy and precision, with and without gradient checkpointing. Lengths in between
are taken to lie on a line.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

from asr_adapt.models.compact import CompactLinear
from asr_adapt.training.device.live_bytes import peak_bytes

GIGABYTE = 10**9
#: AdamW's two moments, in bytes for each parameter that learns; its fused update takes one more for a moment.
MOMENTS, UPDATE = 8, 4
#: AdamW with moments in 8 bits: one byte each and a scale for 256, from this many weights of a tensor on.
MOMENTS_8BIT, SMALLEST_8BIT = 2 * (1 + 4 / 256), 4096
FLOAT = 4
#: What CUDA, its libraries and a fragmented pool take besides, in bytes and as a share of the rest.
CONTEXT, FRAGMENTED = 800_000_000, 0.08

#: (rows, seconds of each clip) → bytes that one forward and backward pass holds at its peak.
Step = Callable[[int, float], int]


@dataclass(frozen=True)
class StepBytes:
    """A step's peak: ``fixed`` + rows · (``row`` + seconds · ``second``), in bytes."""

    fixed: float
    row: float
    second: float

    @staticmethod
    def counted(step: Step, short: float, long: float) -> StepBytes:
        """From three micro-batches of clips of two lengths; what does not grow is never below zero."""
        one, two, longer = step(1, short), step(2, short), step(1, long)
        second = max(0.0, (longer - one) / (long - short))
        row = max(0.0, two - one - short * second)
        return StepBytes(max(0.0, one - row - short * second), row, second)

    def __call__(self, rows: int, seconds: float) -> float:
        return self.fixed + rows * (self.row + seconds * self.second)


@dataclass(frozen=True)
class MemoryPlan:
    """Bytes of ``weights`` in steps, ``moments`` of what learns, the ``update``, what a ``step`` takes more.

    Models are measured in float32, which is ``measured`` bytes of weights.
    """

    weights: float
    moments: float
    update: float
    measured: float
    step: StepBytes

    @staticmethod
    def of(model: nn.Module, step: StepBytes, *, eight_bit: bool = False) -> MemoryPlan:
        """For the parameters of ``model`` as they learn, and in the types that they have, now.

        ``eight_bit``: the optimiser keeps its moments in 8 bits.
        """
        small = [module for module in model.modules() if isinstance(module, CompactLinear)]
        kept = {module.weight for module in small}  # where it is not on the host
        plain = [p for p in model.parameters() if p not in kept]
        learning = [p.numel() for p in plain if p.requires_grad]
        weights = sum(p.numel() * p.element_size() for p in model.parameters())
        weights += sum(module.scale_bytes for module in small)
        whole = sum(p.numel() for p in plain) + sum(module.numbers for module in small)
        moments = sum(_moments(numbers, eight_bit) for numbers in learning)
        update = 0 if eight_bit else UPDATE * sum(learning)
        return MemoryPlan(weights, moments, update, FLOAT * whole, step)

    def needed(self, rows: int, seconds: float) -> float:
        """Bytes at the peak of a run whose micro-batches hold ``rows`` clips of ``seconds``.

        Gradients are part of the step, and still there while the optimiser updates.
        """
        return max(self.in_steps(rows, seconds), self.moments + self.measured)

    def in_steps(self, rows: int, seconds: float) -> float:
        """The same without what measuring needs."""
        return self.moments + self.weights + max(self.step(rows, seconds), self.step.fixed + self.update)

    def rows(self, memory: float, seconds: float, *, overhead: bool = True) -> int:
        """How many clips of ``seconds`` fit into ``memory`` bytes; 0 where not even one does.

        With ``overhead`` what CUDA takes for itself is left free.
        """
        room = (memory - CONTEXT) / (1 + FRAGMENTED) if overhead else memory
        if self.needed(1, seconds) > room:
            return 0
        left = room - self.weights - self.moments - self.step.fixed
        return max(1, int(left / (self.step.row + seconds * self.step.second)))

    def to_json(self) -> dict[str, Any]:
        """Plain values, in bytes."""
        return asdict(self)


def _moments(numbers: int, eight_bit: bool) -> float:
    """Bytes of an optimiser's moments for a tensor of so many weights."""
    return numbers * (MOMENTS_8BIT if eight_bit and numbers >= SMALLEST_8BIT else MOMENTS)


def count_step(
    loss: Callable[[int, float], torch.Tensor], model: nn.Module, short: float, long: float
) -> StepBytes:
    """Count the passes of ``loss`` (rows, seconds) → scalar for clips between ``short`` and ``long`` seconds.

    While clips are few, a step's peak is that of its gradients and hides what a clip takes. So passes are
    counted that compute the gradients of vectors alone (biases, norms), which run through the whole network,
    and the gradients of all that learns are added, as if all of them were there at the peak. Gradients of
    ``model`` are cleared behind each pass.
    """
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    vectors = [parameter for parameter in learning if parameter.dim() < 2] or learning
    gradients = sum(p.numel() * p.element_size() for p in learning if vectors is not learning)

    def step(rows: int, seconds: float) -> int:
        def passes() -> None:
            loss(rows, seconds).backward(inputs=vectors)

        model.zero_grad(set_to_none=True)
        try:
            return peak_bytes(passes)
        finally:
            model.zero_grad(set_to_none=True)

    found = StepBytes.counted(step, short, long)
    return StepBytes(found.fixed + gradients, found.row, found.second)
