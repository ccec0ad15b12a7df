"""Where a run stands: what a checkpoint keeps of it besides weights and moments.

Knows counters and WERs. Does not know how they come about, nor files.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Progress:
    """Everything besides weights and optimiser moments that resuming needs."""

    step: int = 0
    epoch: int = 0
    batch: int = 0
    best_wer: float = float("inf")
    best_step: int = 0
    stale_evaluations: int = 0
    seconds: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)
    finished: bool = False
    #: Steps at which gradual unfreezing began a further phase.
    freed: list[int] = field(default_factory=list)
    #: State of the scale of float16's losses; empty in other types.
    scale: dict[str, float] = field(default_factory=dict)
