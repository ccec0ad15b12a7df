"""``adapt``: a recipe in, an adapted model with its proof out.

Knows the order of things: prepare, measure the base, fit, finish. Does not know how any of them is done.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from asr_adapt.models import Recogniser, portable
from asr_adapt.training.callback import Callback
from asr_adapt.training.callbacks.metrics import Metrics
from asr_adapt.training.device.accelerator import make_accelerator, seed_all
from asr_adapt.training.device.batch_size import resumed_batch
from asr_adapt.training.device.forecast import Forecast, forecast, worth_telling
from asr_adapt.training.device.memory import DeviceMemory
from asr_adapt.training.finishing import finish
from asr_adapt.training.fitting import Learner, fit, learner
from asr_adapt.training.learning.trainer import CHECKPOINTS
from asr_adapt.training.measuring.encoder_context import as_pretrained
from asr_adapt.training.outcome import Outcome
from asr_adapt.training.preparing import Ready
from asr_adapt.training.preparing import prepare as prepared
from asr_adapt.training.recipe.file import save_recipe
from asr_adapt.training.recipe.plan import plan
from asr_adapt.training.recipe.schema import Recipe
from asr_adapt.training.run_folder import Identity, clear, finished_summary, settle_identity, taken
from asr_adapt.training.watching import Watch

logger = logging.getLogger(__name__)


def adapt(  # noqa: PLR0913 - what, where, how, and what is hung on
    recipe: Recipe,
    output: str | Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    quiet: bool = False,
    prepare: Callable[[Recogniser], Recogniser] | None = None,
    memory: DeviceMemory | None = None,
    callbacks: Sequence[Callback] = (),
) -> Outcome:
    """Adapt ``recipe.model`` and leave the model, metrics and summary in ``output``.

    ``output`` becomes a plain transformers directory with ``recipe.yaml``, ``metrics.jsonl``,
    ``summary.json`` and ``README.md`` (model card) beside it. Only one run at a time may have it, and it
    holds nothing else. With ``resume`` a killed run continues from its last whole checkpoint, and a
    finished one is left as it is; ``overwrite`` replaces an earlier run. ``prepare`` may exchange the loaded
    recogniser for one that learns otherwise (with an auxiliary loss, say). ``memory`` stands for the device's
    own where ``batch.seconds`` is auto. ``callbacks`` are told of every step and evaluation, behind the run's
    own. Raises :class:`~asr_adapt.errors.RecipeError`,
    :class:`~asr_adapt.errors.DataError` and, for a folder that is in use or holds other things,
    :class:`~asr_adapt.errors.UsageError`.
    """
    folder = Path(output)
    if resume and (summary := finished_summary(folder, recipe)) is not None:
        logger.warning("%s is already finished: there is nothing to resume.", folder)
        return Outcome.finished(recipe, summary)
    with taken(folder, recipe, resume=resume, overwrite=overwrite):
        return _adapt(recipe, folder, Ways(resume, overwrite, quiet, prepare, memory, tuple(callbacks)))


@dataclass(frozen=True)
class Ways:
    """How a recipe is carried out; see :func:`adapt`."""

    resume: bool
    overwrite: bool
    quiet: bool
    exchange: Callable[[Recogniser], Recogniser] | None
    memory: DeviceMemory | None
    callbacks: tuple[Callback, ...] = ()


def _adapt(recipe: Recipe, folder: Path, ways: Ways) -> Outcome:
    resume = ways.resume
    recipe = resumed_batch(recipe, folder, resume)
    accelerator = make_accelerator(recipe, folder)
    main = accelerator.is_main_process
    seed_all(recipe.seed)
    watch = Watch(quiet=ways.quiet or not main)
    watch.begin("other")
    ready = prepared(recipe, accelerator, ways.exchange, folder, watch)
    _begin(ready, folder, ways)
    steps = ready.recipe.schedule.steps
    metrics = Metrics(folder, folder / CHECKPOINTS, watch, steps, main=main, resume=resume)
    begun = learner(ready, watch, ways.memory)
    if main:
        named = begun.trial.recipe.model_copy(update={"model": portable(recipe.model)})
        save_recipe(named, folder / "recipe.yaml", started_here=True)
    _tell_forecast(ready, begun, watch)
    recogniser, measuring = ready.recogniser, ready.measuring
    if not resume:
        begun.cache.boundary_moved(recogniser.stack.boundary)
    measuring.prepare(recogniser)
    with as_pretrained(recogniser):
        before = measuring.whole(recogniser, as_base=True)
    fit(ready, begun, metrics, folder, resume=resume, more=ways.callbacks)
    return finish(ready, begun, before, metrics, folder)


def _tell_forecast(ready: Ready, begun: Learner, watch: Watch) -> None:
    """One sentence on what the run will take, where that is long."""
    if not watch.quiet and worth_telling(begun.trial, begun.meter, ready.measuring):
        watch.say(forecast(begun.trial, begun.meter, begun.cache, ready.measuring).sentence())


def estimate(recipe: Recipe) -> Forecast:
    """What :func:`adapt` would take on this computer; every row is checked, nothing is written or trained.

    Labels that the base would give are left out of the trial: their rows count as measured ones.
    """
    unheard: dict[str, Any] = {"labels": recipe.labels.model_copy(update={"style": "plain"})}
    if recipe.replay is not None and recipe.replay.labels == "base":
        unheard["replay"] = None
    with TemporaryDirectory(prefix="asr-adapt-") as place:
        watch = Watch(quiet=True)
        accelerator = make_accelerator(recipe, Path(place))
        ready = prepared(recipe.model_copy(update=unheard), accelerator, None, Path(place), watch)
        begun = learner(ready, watch)
        found = forecast(begun.trial, begun.meter, begun.cache, ready.measuring)
        return replace(found, plan=plan(begun.trial.recipe.model_copy(update={"replay": recipe.replay})))


def _begin(ready: Ready, folder: Path, ways: Ways) -> None:
    """All is loaded and checked: an earlier run makes way, and the folder says who goes on here."""
    main = ready.accelerator.is_main_process
    folder.mkdir(parents=True, exist_ok=True)
    if ways.overwrite and not ways.resume and main:
        clear(folder)
    identity = Identity.of(
        ready.recipe,
        ready.recogniser.model,
        ready.corpus.rows,
        ready.sets.dev,
        ready.accelerator.num_processes,
    )
    settle_identity(folder, identity, resume=ways.resume, main=main)
