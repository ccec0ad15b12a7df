"""Early stopping: a run ends once dev WER has not fallen for a while.

Knows how many evaluations brought nothing. Does not know how anything is measured.
"""

from __future__ import annotations

from asr_adapt.training.callback import Callback
from asr_adapt.training.learning.unfreezing import Unfreezing
from asr_adapt.training.progress import Progress


class EarlyStopping(Callback):
    """Stops behind ``patience`` evaluations without a better dev WER (None: never).

    Where such a plateau frees more layers (``unfreezing``), it does not end the run.
    """

    def __init__(self, patience: int | None, unfreezing: Unfreezing) -> None:
        self.patience, self.unfreezing = patience, unfreezing

    def stops(self, progress: Progress) -> bool:
        """Whether patience is at its end."""
        if self.patience is None or progress.stale_evaluations < self.patience:
            return False
        return not self.unfreezing.waits(progress)
