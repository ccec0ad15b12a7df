"""How much arithmetic a recogniser costs per second of sound, below and above a boundary of its stack.

Knows torch's FLOP counter and straight lines. Does not know recipes or rows. Counted rather than derived, so
that it holds for every family; one multiply–add is two operations.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from asr_adapt.models.contract import Hidden, Recogniser

#: Lengths of the two clips that are measured, in seconds.
SHORT, LONG = 2.0, 6.0
#: Width of the matrices whose product shows the device's peak; a GPU is not filled by what fills a CPU.
PEAK_SIZES = {"cpu": 2048, "cuda": 8192}


@dataclass(frozen=True)
class Line:
    """``constant + slope · seconds`` of one clip."""

    constant: float
    slope: float

    def __call__(self, seconds: float | np.ndarray) -> Any:
        return self.constant + self.slope * seconds

    @staticmethod
    def through(short: float, long: float) -> Line:
        """The line through the values of the two measured lengths."""
        slope = (long - short) / (LONG - SHORT)
        return Line(short - slope * SHORT, slope)


@dataclass(frozen=True)
class Costs:
    """FLOP of one clip: frozen prefix (forward), trained part (forward and backward); values it gives."""

    prefix: Line
    trained: Line
    values: Line


def forward_costs(recogniser: Recogniser, boundary: int) -> Costs:
    """Costs where nothing learns: ``trained`` is what lies above the boundary, forward alone."""
    with torch.no_grad():
        return _costs(recogniser, boundary, learns=False)


def count_costs(recogniser: Recogniser, boundary: int) -> Costs:
    """Costs of the recogniser as it is set up to learn; its gradients are cleared."""
    learns = any(p.requires_grad for p in recogniser.model.parameters())
    return _costs(recogniser, boundary, learns=learns)


def _costs(recogniser: Recogniser, boundary: int, *, learns: bool) -> Costs:
    """Two lengths counted; one where the network computes the same window for every clip."""
    short = long = _count(recogniser, boundary, SHORT, learns=learns)
    whole = recogniser.heard_seconds(SHORT) == recogniser.heard_seconds(LONG)
    cut = learns and recogniser.learns_in_part(boundary)
    if cut or not whole or recogniser.settings.context != "full":
        long = _count(recogniser, boundary, LONG, learns=learns)
        if short[0] > long[0]:  # the first clip also paid for what is computed once and kept
            short = _count(recogniser, boundary, SHORT, learns=learns)
    return Costs(*(Line.through(a, b) for a, b in zip(short, long, strict=True)))


def _count(
    recogniser: Recogniser, boundary: int, seconds: float, *, learns: bool
) -> tuple[float, float, float]:
    sound = np.zeros(round(seconds * recogniser.sample_rate), dtype=np.float32)
    inputs = recogniser.inputs([sound], seeds=[0]).to(recogniser.device)

    def prefix() -> Hidden:
        with torch.no_grad():
            if learns:
                return recogniser.learnt_states(inputs, boundary, [len(sound)])
            return recogniser.encode(inputs, boundary)

    below, hidden = _counted(prefix)
    labels = recogniser.labels(["a e"])

    def above() -> None:
        losses = recogniser.losses(hidden, boundary, labels).sum()
        if learns:
            losses.backward()

    flops, _ = _counted(above)
    recogniser.model.zero_grad(set_to_none=True)
    return below, flops, float(hidden.lengths.sum()) * hidden.states[0, 0].numel()


def _counted(work: Callable[[], Any]) -> tuple[float, Any]:
    with FlopCounterMode(display=False) as counter:
        result = work()
    return float(counter.get_total_flops()), result


def peak_flops(device: torch.device, dtype: torch.dtype) -> float:
    """Operations per second of a large matrix product, best of three: what 100 % utilisation means here."""
    size = PEAK_SIZES.get(device.type, PEAK_SIZES["cpu"])
    matrix = torch.randn(size, size, device=device).to(dtype)
    best = float("inf")
    for _ in range(4):  # the first one warms up
        _wait(device)
        started = time.perf_counter()
        matrix @ matrix
        _wait(device)
        best = min(best, time.perf_counter() - started)
    return 2.0 * size**3 / best


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
