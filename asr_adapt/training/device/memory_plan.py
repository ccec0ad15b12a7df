"""What a training run needs of a device's memory, counted before its first step, and the rows that fit.

Knows the parts of that memory and how a step's share grows with rows and seconds. Does not know recipes or
files. The step is counted by running it on four small micro-batches (:mod:`live_bytes <.live_bytes>`), so it
holds for every family, strategy and precision, with and without gradient checkpointing. Lengths in between
are taken to lie on a line, for each operation: gradients grow in number while what layers kept goes, and
which operation is the peak depends on the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass
from functools import partial
from typing import Any

import torch
from torch import nn

from asr_adapt.models.compact import CompactLinear
from asr_adapt.training.device.live_bytes import LiveBytes

GIGABYTE = 10**9
#: AdamW's two moments, in bytes for each parameter that learns; its fused update takes nothing besides.
MOMENTS = 8
#: AdamW with moments in 8 bits: one byte each and a scale for 256, from this many weights of a tensor on.
MOMENTS_8BIT, SMALLEST_8BIT = 2 * (1 + 4 / 256), 4096
FLOAT = 4
#: Numbers of clips among which a peak is looked for.
MANY_ROWS = range(1, 4097)
#: What CUDA, its libraries and a fragmented pool take besides, in bytes and as a share of the rest.
CONTEXT, FRAGMENTED = 800_000_000, 0.08

#: (rows, seconds of each clip) → bytes that each operation of a forward and backward pass finds and takes, by
#: the landmark that it follows.
Step = Callable[[int, float], Mapping[str, Sequence[int]]]


@dataclass(frozen=True)
class Operation:
    """One operation of a pass: ``fixed`` + seconds · ``length`` + rows · (``row`` + seconds · ``second``).

    So many bytes it finds and takes. ``length``: what one clip at a time takes, however many there are.
    """

    fixed: float
    length: float
    row: float
    second: float

    @staticmethod
    def through(peaks: Sequence[int], short: float, long: float) -> Operation:
        """Of one and two clips of ``short`` seconds, then of ``long``; nothing is below zero."""
        one, two, long_one, long_two = peaks
        second = max(0.0, (long_two - long_one - two + one) / (long - short))
        row = max(0.0, two - one - short * second)
        length = max(0.0, (long_one - one) / (long - short) - second)
        return Operation(max(0.0, one - row - short * (second + length)), length, row, second)

    def __call__(self, rows: int, seconds: float) -> float:
        return self.fixed + seconds * self.length + rows * (self.row + seconds * self.second)

    def below(self, other: Operation) -> bool:
        """Whether ``other`` holds at least as much, whatever the rows and seconds."""
        return (
            self.fixed <= other.fixed
            and self.length <= other.length
            and self.row <= other.row
            and self.second <= other.second
        )


@dataclass(frozen=True)
class StepBytes:
    """A step's peak is that of its largest operation; which one that is depends on rows and seconds."""

    operations: tuple[Operation, ...]

    @staticmethod
    def counted(step: Step, short: float, long: float) -> StepBytes:
        """From micro-batches of one and two clips, of two lengths.

        Operations between two landmarks are compared one by one where all have as many, else only the largest
        (some are done for each row). What one of them went without (a layer was dropped) is left out.
        """
        found = [step(rows, seconds) for seconds in (short, long) for rows in (1, 2)]
        peaks: list[tuple[int, ...]] = []
        for landmark in set.intersection(*map(set, found)):
            own = [one[landmark] for one in found]
            alike = len(set(map(len, own))) == 1
            peaks += zip(*own, strict=True) if alike else [tuple(map(max, own))]
        return StepBytes(tuple(_highest(Operation.through(own, short, long) for own in peaks)))

    def __call__(self, rows: int, seconds: float) -> float:
        return max((operation(rows, seconds) for operation in self.operations), default=0.0)

    def rows(self, memory: float, seconds: float) -> int:
        """How many clips of ``seconds`` ``memory`` bytes hold; 0 where not one."""
        if self(1, seconds) > memory:
            return 0
        grow = [(s(0, seconds), s.row + seconds * s.second) for s in self.operations]
        return max(1, int(min(((memory - rest) / each for rest, each in grow if each), default=1)))

    def at(self, seconds: float) -> StepBytes:
        """Only those operations that are the peak for some number of clips of ``seconds``."""
        return StepBytes(tuple({max(self.operations, key=lambda s: s(n, seconds)) for n in MANY_ROWS}))


def _highest(operations: Iterable[Operation]) -> list[Operation]:
    """Without those that another one is never below."""
    kept: list[Operation] = []
    for one in sorted(set(operations), key=astuple, reverse=True):
        if not any(one.below(other) for other in kept):
            kept.append(one)
    return kept


@dataclass(frozen=True)
class MemoryPlan:
    """Bytes of ``weights`` in steps, ``moments`` of what learns, and what a micro-batch takes more.

    ``step`` is for the first micro-batch of a step, ``again`` for those that follow (``accumulate``): all
    gradients are there then. Models are measured in float32, which is ``measured`` bytes of weights.
    """

    weights: float
    moments: float
    measured: float
    step: StepBytes
    again: StepBytes

    @staticmethod
    def of(model: nn.Module, counted: tuple[StepBytes, StepBytes], *, eight_bit: bool = False) -> MemoryPlan:
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
        return MemoryPlan(weights, moments, FLOAT * whole, *counted)

    def needed(self, rows: int, seconds: float, *, accumulate: bool = True) -> float:
        """Bytes at the peak of a run whose micro-batches hold ``rows`` clips of ``seconds``.

        Gradients are part of the step, and all that is left of it when the optimiser updates. ``accumulate``:
        several micro-batches make a step.
        """
        return max(self.in_steps(rows, seconds, accumulate=accumulate), self.moments + self.measured)

    def in_steps(self, rows: int, seconds: float, *, accumulate: bool = True) -> float:
        """The same without what measuring needs."""
        micro = max(step(rows, seconds) for step in self._steps(accumulate))
        return self.moments + self.weights + micro

    def rows(self, memory: float, seconds: float, *, overhead: bool = True, accumulate: bool = True) -> int:
        """How many clips of ``seconds`` fit into ``memory`` bytes; 0 where not even one does.

        With ``overhead`` what CUDA takes for itself is left free.
        """
        room = (memory - CONTEXT) / (1 + FRAGMENTED) if overhead else memory
        if self.needed(1, seconds, accumulate=accumulate) > room:
            return 0
        left = room - self.weights - self.moments
        return min(step.rows(left, seconds) for step in self._steps(accumulate))

    def _steps(self, accumulate: bool) -> tuple[StepBytes, ...]:
        return (self.step, self.again) if accumulate else (self.step,)

    def to_json(self) -> dict[str, Any]:
        """Plain values, in bytes."""
        return asdict(self)


def _moments(numbers: int, eight_bit: bool) -> float:
    """Bytes of an optimiser's moments for a tensor of so many weights."""
    return numbers * (MOMENTS_8BIT if eight_bit and numbers >= SMALLEST_8BIT else MOMENTS)


#: Counted for a network of which nothing is known but its weights.
NOTHING = StepBytes(()), StepBytes(())


def count_step(
    loss: Callable[[int, float], torch.Tensor], model: nn.Module, short: float, long: float
) -> tuple[StepBytes, StepBytes]:
    """Count the passes of ``loss`` (rows, seconds) → scalar for clips between ``short`` and ``long`` seconds.

    Gives what a first micro-batch holds, and one that finds the gradients of another. Gradients of ``model``
    are cleared behind each count.
    """
    first, again = (partial(_operations, loss, model, found) for found in (False, True))
    return StepBytes.counted(first, short, long), StepBytes.counted(again, short, long)


class LiveOperations(LiveBytes):
    """The peak of each operation of a pass, by the landmark that it follows.

    A landmark is a parameter's gradient, or that gradients begin or end to be wanted: behind the frozen
    prefix, in front of the backward pass, around each layer that is computed again. So passes of other sizes
    can be compared operation by operation.
    """

    def __init__(self) -> None:
        super().__init__()
        self._landmark = ""
        self.peaks: dict[str, list[int]] = {self._landmark: []}
        self._turns, self._wanted = 0, torch.is_grad_enabled()

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Count the operation."""
        if torch.is_grad_enabled() is not self._wanted:
            self._wanted = not self._wanted
            self._turns += 1
            self.passed(f"turn {self._turns}")
        result = super().__torch_dispatch__(function, types, args, kwargs)
        self.peaks[self._landmark].append(self.mark())
        return result

    def passed(self, landmark: str, _: torch.Tensor | None = None) -> None:
        """What follows is counted behind ``landmark``."""
        self._landmark = landmark
        self.peaks.setdefault(landmark, [])


def _operations(
    loss: Callable[[int, float], torch.Tensor], model: nn.Module, found: bool, rows: int, seconds: float
) -> dict[str, list[int]]:
    """Peak of each operation of a pass; ``found``: gradients were there."""
    model.zero_grad(set_to_none=True)
    live = LiveOperations()
    learning = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    hooks = [p.register_post_accumulate_grad_hook(partial(live.passed, name)) for name, p in learning]
    try:
        with live:
            if found:
                for _, parameter in learning:
                    parameter.grad = torch.zeros_like(parameter)
            loss(rows, seconds).backward()
    finally:
        for hook in hooks:
            hook.remove()
        model.zero_grad(set_to_none=True)
    return {landmark: peaks for landmark, peaks in live.peaks.items() if peaks}
