"""Gradual unfreezing: when the next layers begin to learn, and at which rate.

Knows phases and a run's progress, from which alone everything follows: a resumed run needs no further state.
Does not know which parameters a phase holds (:mod:`.strategies`) nor how they are trained.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from asr_adapt.training.learning.strategies import LearningPlan
from asr_adapt.training.progress import Progress
from asr_adapt.training.recipe.strategy import Gradual

logger = logging.getLogger(__name__)


class Unfreezing:
    """Carries a plan's phases out (Howard & Ruder 2018); a plan of one phase is never due.

    ``steps`` is the length of the schedule. Phase p begins ``every`` steps after phase p - 1, or once dev WER
    has not fallen for ``patience`` evaluations.
    """

    def __init__(self, plan: LearningPlan, settings: Gradual, steps: int) -> None:
        self.plan, self.settings = plan, settings
        self.last = len(plan.phases) - 1
        self.steps = steps
        self.every = settings.every or max(1, steps // 2 // max(1, self.last))

    def begin(self, progress: Progress) -> None:
        """Free what is due, and let exactly the parameters of the current phase learn."""
        while self.due(progress):
            progress.freed.append(progress.step)
            progress.stale_evaluations = 0  # what was just freed deserves its own patience
            logger.info("step %d: phase %d of %d learns", progress.step, len(progress.freed), self.last)
        self.plan.apply(len(progress.freed))

    def due(self, progress: Progress) -> bool:
        """Whether the next phase begins before the next step."""
        if len(progress.freed) >= self.last:
            return False
        if self.settings.trigger == "plateau":
            return progress.stale_evaluations >= self.settings.patience
        return progress.step >= self.every * (len(progress.freed) + 1)

    def phase_steps(self, progress: Progress) -> int:
        """How long the current phase lasts from its first step; on a plateau an even share of what is left.

        Does not depend on how far into the phase the run is: a resumed run plans as the killed one did.
        """
        begun = progress.freed[-1] if progress.freed else 0
        left = self.last - len(progress.freed)
        if left and self.settings.trigger != "plateau":
            return max(1, self.every * (len(progress.freed) + 1) - begun)
        return max(1, (self.steps - begun) // (left + 1))

    def rate(self, group: Mapping[str, Any], progress: Progress) -> float:
        """Factor on the rate of an optimiser group: ``factor`` of what was freed late, warmed up."""
        phase = group["phase"]
        if phase == 0 or phase > len(progress.freed):
            return 1.0
        done = progress.step - progress.freed[phase - 1] + 1
        return self.settings.factor * min(1.0, done / max(1, self.settings.warmup))

    def waits(self, progress: Progress) -> bool:
        """Whether a lack of progress frees more layers, so that it must not end the run."""
        return self.settings.trigger == "plateau" and len(progress.freed) < self.last
