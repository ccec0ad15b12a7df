"""What can be hung on a run: moments of training, each a method with a name.

Knows when a :class:`~asr_adapt.training.learning.trainer.Trainer` calls. Does not know what is done there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from torch import Tensor

from asr_adapt.training.data.corpus import Example
from asr_adapt.training.progress import Progress


class Callback:
    """Told what happens while a run trains; every method does nothing unless a subclass overrides it.

    Callbacks are called in the order in which the trainer was given them, in every process.
    """

    def training(self) -> AbstractContextManager[object]:
        """Entered before the first step, left behind the last one or when the run fails."""
        return nullcontext()

    def measuring(self) -> AbstractContextManager[object]:
        """Around everything that measures the network instead of training it."""
        return nullcontext()

    def boundary_moves(self) -> None:
        """The frozen prefix is about to end elsewhere: before the first step, and when layers are freed."""

    def boundary_moved(self, boundary: int) -> None:
        """The frozen prefix now ends at stage ``boundary``; called inside :meth:`measuring`."""

    def batch_done(self, batch: Sequence[Example]) -> None:
        """A micro-batch of this process has gone forward and backward."""

    def step_done(self, values: dict[str, Any], elapsed: float) -> None:
        """An optimiser step was made in ``elapsed`` seconds; ``values`` may be added to."""

    def evaluated(self, values: Mapping[str, Any], weights: Mapping[str, Tensor], progress: Progress) -> None:
        """The run was measured: ``values`` has WERs and whether they are the ``best`` so far, ``weights`` are
        CPU copies of those that learn."""

    def stops(self, progress: Progress) -> bool:
        """Whether training shall end here; asked behind every evaluation."""
        del progress
        return False

    def checkpoint_saved(self, progress: Progress) -> None:
        """A checkpoint was written: what was before it will not be asked for again."""
