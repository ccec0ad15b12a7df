"""Which weights a run ends with: the best evaluation's, or the mean of the best ones.

Knows WERs on dev. Does not know how weights were trained or are written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from asr_adapt.training.learning.averaging import BestAverage
from asr_adapt.training.learning.kept_weights import kept_weights
from asr_adapt.training.learning.state import Learning


def choose_weights(
    learning: Learning,
    best_path: Path,
    averages: BestAverage,
    measure: Callable[[], Mapping[str, Any]],
) -> dict[str, Any] | None:
    """Put the best weights into the model; returns how the mean of the best fared, None where there is none.

    The mean is kept when its dev WER is not worse than the best single one's; the untrained base makes way
    only for a better one. Raises :class:`~asr_adapt.errors.DataError` where kept weights are lost.
    """
    progress = learning.progress
    best = kept_weights(best_path)
    mean = averages.mean(progress.history)
    if mean is None:
        learning.put(best, best_path)
        return None
    learning.put(mean, averages.folder)
    wer = measure()["dev"]
    kept = wer <= progress.best_wer if progress.best_step else wer < progress.best_wer
    if not kept:
        learning.put(best, best_path)
    steps = sorted(averages.steps(progress.history))
    return {"steps": steps, "dev_wer": wer, "best_single_dev_wer": progress.best_wer, "kept": kept}
