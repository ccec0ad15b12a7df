"""Gradual unfreezing: when the next layers begin to learn, and at which rate.

Knows phases and a run's progress, from which alone everything follows: a resumed run needs no further state.
Does not know which parameters a phase holds (:mod:`asr_adapt.training.strategies`) nor how they are trained.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from asr_adapt.training.checkpoints import Progress
from asr_adapt.training.strategies import LearningPlan


class Unfreezing:
    """Carries a plan's phases out; a plan of one phase is never due."""

    def __init__(self, plan: LearningPlan) -> None:
        self.plan = plan

    def begin(self, progress: Progress) -> None:
        """Free what is due, and let exactly the parameters of the current phase learn."""
        while self.due(progress):
            progress.freed.append(progress.step)
            progress.stale_evaluations = 0
        self.plan.apply(len(progress.freed))

    def due(self, progress: Progress) -> bool:
        """Whether the next phase begins before the next step."""
        return False

    def rate(self, group: Mapping[str, Any], progress: Progress) -> float:
        """Factor on the rate of an optimiser group for what was freed lately."""
        return 1.0

    def waits(self, progress: Progress) -> bool:
        """Whether a lack of progress frees more layers, so that it must not end the run."""
        return False
