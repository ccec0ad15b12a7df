"""Whether keeping the frozen prefix's output pays, and why.

Knows counted arithmetic, how often rows are drawn, and sizes. Does not know files or models. It depends on
the recipe and the rows alone, never on a clock, so that a resumed run decides as the killed one did.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr_adapt.models import Costs
from asr_adapt.training.data.batches import BatchPlan

#: Smallest saving worth the disk, as a share of the run's arithmetic.
LEAST_SAVING = 0.05
GIGABYTE = 1e9


@dataclass(frozen=True)
class Use:
    """How the rows will be drawn: ``draws`` of each in all, kept in ``copies`` versions."""

    seconds: NDArray[np.float64]
    draws: NDArray[np.float64]
    copies: int


@dataclass(frozen=True)
class PrefixEstimate:
    """The decision with its figures, for the log and for summary.json."""

    pays: bool
    reason: str
    speed_up: float
    gigabytes: float

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def estimate(costs: Costs, use: Use, item_bytes: int, cap: float) -> PrefixEstimate:
    """Weigh one computation of each kept version against one at every draw; ``cap`` in gigabytes."""
    below, above = costs.prefix(use.seconds), costs.trained(use.seconds)
    kept = np.minimum(use.draws, use.copies)
    uncached = float((use.draws * (below + above)).sum())
    cached = float((kept * below + use.draws * above).sum())
    size = float((costs.values(use.seconds) * use.copies).sum()) * item_bytes / GIGABYTE
    speed_up = uncached / cached if cached else 1.0
    pays, reason = _judge(1.0 - 1.0 / speed_up, size, cap, float(use.draws.mean()))
    return PrefixEstimate(pays, reason, round(speed_up, 3), round(size, 4))


def _judge(saving: float, size: float, cap: float, draws: float) -> tuple[bool, str]:
    if size > cap:
        return False, f"it would take {size:.1f} GB, the cap is {cap:g} GB"
    if saving < LEAST_SAVING:
        return (
            False,
            f"rows are drawn {draws:.1f} times, which saves {max(saving, 0.0):.0%} of the arithmetic",
        )
    return True, f"rows are drawn {draws:.1f} times, which saves {saving:.0%} of the arithmetic"


def expected_draws(plan: BatchPlan, batches: int) -> NDArray[np.float64]:
    """How often each row is drawn in ``batches`` micro-batches; rows of one part each evenly."""
    epoch = plan.epoch(0)
    passes = batches / len(epoch)
    drawn = np.array([number for batch in epoch for number in batch])
    edges = np.cumsum([0, len(plan.durations), len(plan.replay), len(plan.silent)]).tolist()
    found = []
    for start, stop in pairwise(edges):
        count = np.count_nonzero((start <= drawn) & (drawn < stop))
        found.append(np.full(stop - start, passes * count / max(1, stop - start)))
    return np.concatenate(found)
