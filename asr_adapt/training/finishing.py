"""A trained run finished: the weights it ends with are chosen, measured and written.

Knows the order of averaging, context, blending and files. Does not know how any of them is done.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from asr_adapt.destinations import mark_folder
from asr_adapt.models import Recogniser
from asr_adapt.training.callbacks.metrics import Metrics
from asr_adapt.training.fitting import Learner, averages, measure_of
from asr_adapt.training.learning.checkpoints import remove_checkpoints
from asr_adapt.training.learning.choosing import choose_weights
from asr_adapt.training.learning.kept_weights import best_path
from asr_adapt.training.learning.trainer import CHECKPOINTS
from asr_adapt.training.measuring.encoder_context import choose_context
from asr_adapt.training.measuring.wer import Measured
from asr_adapt.training.outcome import Outcome
from asr_adapt.training.outcome_files import write_outcome
from asr_adapt.training.preparing import Ready
from asr_adapt.training.retention.mixture import retain
from asr_adapt.training.run_folder import KIND
from asr_adapt.training.watching import Watch


def finish(
    ready: Ready, learner: Learner, before: Mapping[str, Measured], metrics: Metrics, folder: Path
) -> Outcome:
    """Choose and measure the weights that the run ends with, and write the result into ``folder``."""
    accelerator, measuring, watch = ready.accelerator, ready.measuring, metrics.watch
    accelerator.wait_for_everyone()
    whole = learner.shown()
    settled = _settled(whole, learner, measure_of(ready, learner), folder, watch)
    progress = learner.trial.learning.progress
    outcome = replace(
        learner.outcome,
        progress=progress,
        advice=ready.advice,
        labels=ready.labelled.styles,
        prefix_cache=learner.cache.decisions,
        measured_prefix=measuring.prefix.decisions,
        tests=measuring.tests,
        before=before,
        after=measuring.whole(whole, as_base=False),
        time=watch.breakdown(),
        **settled,
    )
    metrics.phases(watch.breakdown())
    measuring.prefix.close()
    if accelerator.is_main_process:
        _write(outcome, whole, learner, folder)
    accelerator.end_training()  # ends the process group
    return outcome


def _settled(
    whole: Recogniser,
    learner: Learner,
    measure: Callable[[], Mapping[str, Any]],
    folder: Path,
    watch: Watch,
) -> dict[str, Any]:
    """Leave the weights that the run ends with in the plain network ``whole``; what was decided."""
    trial = learner.trial
    learning = replace(trial.learning, model=whole.model)
    best = best_path(folder / CHECKPOINTS, learning.progress.best_step)
    averaging = choose_weights(learning, best, averages(trial.recipe, folder), measure)
    if learner.added is not None:
        learner.added.detach()
    context = choose_context(whole, measure)  # the one in which mixtures are heard
    with watch.phase("blending", "blending", unit="mixtures"):
        retained = retain(trial.recipe, whole, measure)
    if retained is not None:
        context = choose_context(whole, measure)
        if learner.added is not None:
            learner.added.blended(retained.shares)
    return {"averaging": averaging, "retained": retained, "context": context}


def _write(outcome: Outcome, whole: Recogniser, learner: Learner, folder: Path) -> None:
    """The result's files; what only a resumed run needs goes."""
    if learner.added is not None:
        learner.added.write(folder)
    write_outcome(outcome, whole, folder)
    mark_folder(folder, KIND)
    remove_checkpoints(folder / CHECKPOINTS)
