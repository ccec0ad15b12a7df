"""A prepared run trained: what learns is chosen, the batch is settled, callbacks are hung on, steps are made.

Knows which callbacks a recipe asks for. Does not know how a step is computed
(:mod:`asr_adapt.training.learning.trainer`), nor how results are written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from asr_adapt.errors import RecipeError
from asr_adapt.models import Recogniser
from asr_adapt.training.callback import Callback
from asr_adapt.training.callbacks.keeping import KeepBest
from asr_adapt.training.callbacks.meter import Meter
from asr_adapt.training.callbacks.metrics import Metrics
from asr_adapt.training.callbacks.stopping import EarlyStopping
from asr_adapt.training.callbacks.trackers import Trackers
from asr_adapt.training.device.batch_size import StepTrial, settle_batch, with_seconds
from asr_adapt.training.device.frozen_weights import as_in_steps, kept_in_steps
from asr_adapt.training.device.memory import DeviceMemory
from asr_adapt.training.device.recomputing import recompute_layers
from asr_adapt.training.device.room import fitted
from asr_adapt.training.learning import sharding
from asr_adapt.training.learning.attachments import Attachment, attach
from asr_adapt.training.learning.averaging import BestAverage, MovingAverage, pull_to_start
from asr_adapt.training.learning.objective import Objective
from asr_adapt.training.learning.optimisers import build_optimiser
from asr_adapt.training.learning.schedule import parameter_groups
from asr_adapt.training.learning.state import Learning
from asr_adapt.training.learning.strategies import LearningPlan, learning_plan
from asr_adapt.training.learning.trainer import CHECKPOINTS, Trainer
from asr_adapt.training.learning.unfreezing import Unfreezing
from asr_adapt.training.outcome import Outcome
from asr_adapt.training.prefix.cache import PrefixCache
from asr_adapt.training.prefix.estimate import expected_draws
from asr_adapt.training.preparing import Ready
from asr_adapt.training.recipe.schema import Recipe
from asr_adapt.training.watching import Watch


@dataclass(frozen=True)
class Learner:
    """A run that is ready for its first step; ``trial`` holds its recipe, corpus and what learns.

    ``shown`` gives the recogniser to measure, ``added`` is what was put into the network to learn.
    """

    trial: StepTrial
    meter: Meter
    cache: PrefixCache
    added: Attachment | None
    shown: Callable[[], Recogniser]
    outcome: Outcome


def learner(ready: Ready, watch: Watch, memory: DeviceMemory | None = None) -> Learner:
    """What learns is chosen, the batch is settled (see :func:`settle_batch`), a step's arithmetic counted."""
    recipe, recogniser, accelerator = ready.recipe, ready.recogniser, ready.accelerator
    added = attach(recogniser, recipe)
    plan = learning_plan(recogniser.stack, recipe.strategy, added)
    plan.apply(0)
    outcome = Outcome.start(recipe, recogniser, plan.names, ready.corpus, ready.labelled.dropped)
    learning = _learning(recipe, recogniser, plan)
    objective = Objective(recogniser, recipe.regularisation, recipe.seed, accelerator)
    kept = as_in_steps(recipe, recogniser.stack, accelerator)
    trial = StepTrial(recipe, objective, ready.corpus, learning, kept)
    size = settle_batch(trial, memory)
    if ready.default_batch:
        size = fitted(trial, size, memory)
    trial = replace(trial, recipe=with_seconds(recipe, size.seconds, size.accumulate))
    meter = Meter(recogniser, accelerator)
    for callback in (meter, ready.measuring.prefix):
        callback.boundary_moved(recogniser.stack.boundary)
    cache = _prefix_cache(trial, meter, watch)
    shown = sharding.measured(recogniser, learning)
    return Learner(trial, meter, cache, added, shown, replace(outcome, recipe=trial.recipe, batch_size=size))


def _learning(recipe: Recipe, recogniser: Recogniser, plan: LearningPlan) -> Learning:
    """What learns, with its optimiser, its moving average and the pull to where it starts."""
    if recipe.regularisation.label_smoothing and not recogniser.capabilities.label_smoothing:
        raise RecipeError(
            f"the {recogniser.family} family has no single target a step to smooth: set it to 0.",
            field="regularisation.label_smoothing",
        )
    if recipe.gradient_checkpointing:
        recompute_layers(recogniser.model)
    optimiser = build_optimiser(parameter_groups(recogniser.stack, plan, recipe.optimiser), recipe.optimiser)
    pull_to_start(optimiser, recipe.regularisation.pull)
    average = MovingAverage(recogniser.model, plan.names, recipe.averaging.ema)
    unfreezing = Unfreezing(plan, recipe.strategy.gradual, recipe.schedule.steps)
    return Learning(recogniser.model, plan.names, optimiser, average, unfreezing)


def _prefix_cache(trial: StepTrial, meter: Meter, watch: Watch) -> PrefixCache:
    """The cache of the run's frozen prefix; how often rows are drawn follows from recipe and phase."""
    recipe, corpus, learning = trial.recipe, trial.corpus, trial.learning
    accelerator = trial.objective.accelerator

    def draws() -> np.ndarray:
        per_step = recipe.batch.accumulate * accelerator.num_processes
        steps = learning.unfreezing.phase_steps(learning.progress)
        return expected_draws(corpus.plan, per_step * steps)

    recogniser = trial.objective.recogniser
    return PrefixCache(recipe, recogniser, corpus, accelerator, lambda: meter.costs, draws, watch)


def averages(recipe: Recipe, folder: Path) -> BestAverage:
    """The weights of the best evaluations, kept among the checkpoints of the run in ``folder``."""
    return BestAverage(folder / CHECKPOINTS / "candidates", recipe.averaging.best)


def fit(
    ready: Ready,
    learner: Learner,
    metrics: Metrics,
    folder: Path,
    *,
    resume: bool,
    more: Sequence[Callback] = (),
) -> None:
    """Make the steps of the recipe, or those that are left of them; ``more`` callbacks are called last."""
    trial, accelerator = learner.trial, ready.accelerator
    recipe, learning = trial.recipe, trial.learning
    main = accelerator.is_main_process
    config = {"model": recipe.model, "seed": recipe.seed}
    callbacks: list[Callback] = [
        learner.meter,
        learner.cache,
        ready.measuring.prefix,
        *kept_in_steps(recipe, ready.recogniser.stack, accelerator, compiled=recipe.compile),
        KeepBest(folder / CHECKPOINTS, averages(recipe, folder), main=main),
        metrics,
        Trackers(recipe.trackers, folder, config, main=main),
        EarlyStopping(recipe.evaluation.patience, learning.unfreezing),
        *more,
    ]
    trainer = Trainer(
        ready.recogniser,
        trial.corpus,
        learning,
        recipe,
        callbacks,
        accelerator=accelerator,
        measure=measure_of(ready, learner),
    )
    silence = bool(trial.corpus.parts[2])
    for recogniser in (ready.recogniser, learner.shown()):  # under FSDP the second is a copy
        recogniser.has_learnt(learning.names, silence=silence)
    trainer.fit(resume=resume)


def measure_of(ready: Ready, learner: Learner) -> Callable[[], Mapping[str, Any]]:
    """A call that measures dev and guard; before the first step as the base is measured."""
    progress = ready.measuring.progress
    return lambda: progress(learner.shown(), as_base=not learner.trial.learning.progress.step)
