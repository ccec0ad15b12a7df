"""Weights kept while a run goes on: those of the best evaluation, and those that may be averaged.

Knows WERs on dev and when a checkpoint makes older files needless. Does not know how weights are trained.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from asr_adapt.training.callback import Callback
from asr_adapt.training.learning.averaging import BestAverage
from asr_adapt.training.learning.checkpoints import oldest_checkpoint
from asr_adapt.training.learning.kept_weights import best_path, keep_weights
from asr_adapt.training.progress import Progress


class KeepBest(Callback):
    """Keeps the best weights beside the ``checkpoints``; only the ``main`` process writes.

    A file carries its step: a run that is killed and resumed still finds the best of its checkpoint.
    """

    def __init__(self, checkpoints: Path, averages: BestAverage, *, main: bool) -> None:
        self.checkpoints, self.averages, self.main = checkpoints, averages, main

    def evaluated(self, values: Mapping[str, Any], weights: Mapping[str, Tensor], progress: Progress) -> None:
        """Keep the weights where they are the best, or among those that will be averaged."""
        if not self.main:
            return
        if values["best"]:
            keep_weights(best_path(self.checkpoints, values["step"]), weights)
            folder = best_path(self.checkpoints, 0).parent
            older = [path for path in sorted(folder.glob("step_*")) if path <= self._needed()]
            for path in older[:-1]:
                path.unlink()
        self.averages.keep(weights, progress.history)

    def checkpoint_saved(self, progress: Progress) -> None:
        """Forget what no longer counts."""
        if self.main:
            self.averages.prune(progress.history)

    def _needed(self) -> Path:
        """The best weights of the oldest checkpoint are those of this step or the nearest one before it."""
        oldest = oldest_checkpoint(self.checkpoints)
        step = 0 if oldest is None else int(oldest.name.removeprefix("step_"))
        return best_path(self.checkpoints, step)
