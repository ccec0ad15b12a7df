"""``adapt``: a recipe in, an adapted model with its proof out.

Knows the order of things: load, check, measure, train, keep the best, measure again, write. Does not know how
a step is computed (:mod:`asr_adapt.training.learning.loop`) nor how a summary is worded.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedDataParallelKwargs
from torch import distributed

from asr_adapt.destinations import mark_folder
from asr_adapt.errors import RecipeError
from asr_adapt.manifest import Manifest, require_rows
from asr_adapt.models import (
    DecoderSettings,
    Dropout,
    Recogniser,
    choose_device,
    load_recogniser,
    set_vocabulary,
    weights_fingerprint,
)
from asr_adapt.training.data.batches import BatchLimits, BatchPlan, Silent
from asr_adapt.training.data.corpus import Corpus, silent_rows
from asr_adapt.training.data.windows import Packing
from asr_adapt.training.device.batch_size import (
    DEFAULT_ROWS,
    PACKED_ROWS,
    resumed_batch,
    settle_batch,
    with_default,
)
from asr_adapt.training.device.forecast import Forecast, forecast, worth_telling
from asr_adapt.training.device.memory import DeviceMemory
from asr_adapt.training.device.recomputing import recompute_layers
from asr_adapt.training.device.speedups import Speedups
from asr_adapt.training.labels.choice import fitted, speller, train_vocabulary
from asr_adapt.training.labels.replayed import self_labelled
from asr_adapt.training.labels.rows import LabelledRows, labelled_rows
from asr_adapt.training.learning import sharding
from asr_adapt.training.learning.attachments import Attachment, attach
from asr_adapt.training.learning.averaging import BestAverage, MovingAverage, pull_to_start
from asr_adapt.training.learning.checkpoints import Learning, remove_checkpoints
from asr_adapt.training.learning.choosing import choose_weights
from asr_adapt.training.learning.loop import Run, train
from asr_adapt.training.learning.optimisers import build_optimiser
from asr_adapt.training.learning.schedule import parameter_groups
from asr_adapt.training.learning.strategies import LearningPlan, expected_boundary, learning_plan
from asr_adapt.training.learning.tracking import Tracker
from asr_adapt.training.learning.unfreezing import Unfreezing
from asr_adapt.training.measuring.encoder_context import as_pretrained, choose_context
from asr_adapt.training.measuring.sets import Measuring, times_measured
from asr_adapt.training.measuring.wer import spread
from asr_adapt.training.outcome import Outcome, write_outcome
from asr_adapt.training.precision import mixed_precision
from asr_adapt.training.prefix.cache import PrefixCache
from asr_adapt.training.prefix.estimate import expected_draws
from asr_adapt.training.prefix.measured import MeasuredPrefix
from asr_adapt.training.recipe.advice import advised
from asr_adapt.training.recipe.file import expand, save_recipe
from asr_adapt.training.recipe.language import in_language
from asr_adapt.training.recipe.remarks import remarks
from asr_adapt.training.recipe.schema import Recipe
from asr_adapt.training.recipe.starting_values import with_starting_values
from asr_adapt.training.retention.mixture import retain
from asr_adapt.training.run_folder import KIND, Identity, clear, finished_summary, settle_identity, taken
from asr_adapt.training.throughput import Meter
from asr_adapt.training.watching import Watch

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sets:
    """The manifests of a run, opened."""

    train: Manifest
    dev: Manifest
    guard: Manifest | None
    replay: Manifest | None


def adapt(
    recipe: Recipe,
    output: str | Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    quiet: bool = False,
    prepare: Callable[[Recogniser], Recogniser] | None = None,
    memory: DeviceMemory | None = None,
) -> Outcome:
    """Adapt ``recipe.model`` and leave the model, metrics and summary in ``output``.

    ``output`` becomes a plain transformers directory with ``recipe.yaml``, ``metrics.jsonl``,
    ``summary.json`` and ``README.md`` (model card) beside it. Only one run at a time may have it, and it
    holds nothing else. With ``resume`` a killed run continues from its last whole checkpoint, and a
    finished one is left as it is; ``overwrite`` replaces an earlier run. ``prepare`` may exchange the loaded
    recogniser for one that learns otherwise (with an auxiliary loss, say). ``memory`` stands for the device's
    own where ``batch.seconds`` is auto. Raises :class:`~asr_adapt.errors.RecipeError`,
    :class:`~asr_adapt.errors.DataError` and, for a folder that is in use or holds other things,
    :class:`~asr_adapt.errors.UsageError`.
    """
    folder = Path(output)
    if resume and (summary := finished_summary(folder, recipe)) is not None:
        logger.warning("%s is already finished: there is nothing to resume.", folder)
        return Outcome.finished(recipe, summary)
    with taken(folder, recipe, resume=resume, overwrite=overwrite):
        return _adapt(recipe, folder, Ways(resume, overwrite, quiet, prepare or _as_it_is, memory))


@dataclass(frozen=True)
class Ways:
    """How a recipe is carried out; see :func:`adapt`."""

    resume: bool
    overwrite: bool
    quiet: bool
    prepare: Callable[[Recogniser], Recogniser]
    memory: DeviceMemory | None


def _adapt(recipe: Recipe, folder: Path, ways: Ways) -> Outcome:
    resume = ways.resume
    recipe = resumed_batch(recipe, folder, resume)
    accelerator = _accelerator(recipe, folder)
    _seed(recipe.seed)
    watch = Watch(quiet=ways.quiet or not accelerator.is_main_process)
    watch.begin("other")
    ready = _ready(recipe, accelerator, ways.prepare, folder, watch)
    recipe, recogniser, measuring = ready.recipe, ready.recogniser, ready.measuring
    _begin(ready, folder, ways)
    started = _started(ready, folder, watch, ways)
    run, tracker, cache = started.run, started.tracker, started.cache
    recipe, outcome = run.recipe, started.outcome
    if accelerator.is_main_process:
        save_recipe(recipe, folder / "recipe.yaml")  # as it is carried out
    if worth_telling(run):
        watch.say(forecast(run, cache, measuring).sentence())
    if not resume:
        cache.on_boundary(recogniser.stack.boundary)
    measuring.prepare(recogniser)
    with as_pretrained(recogniser):
        before = measuring.whole(recogniser, as_base=True)
    recogniser.has_learnt(run.learning.names, silence=bool(run.corpus.parts[2]))
    with _fast(run, cache, measuring.prefix), tracker.training():
        progress = train(run, resume=resume)
    tracker.close()
    accelerator.wait_for_everyone()
    best = tracker.best_path(progress.best_step)
    settled = _settled(run, started.shown(), best, started.added, watch)
    outcome = replace(
        outcome,
        recipe=recipe,
        progress=progress,
        advice=ready.advice,
        labels=ready.labelled.styles,
        prefix_cache=cache.decisions,
        measured_prefix=measuring.prefix.decisions,
        tests=measuring.tests,
        before=before,
        after=measuring.whole(run.recogniser, as_base=False),
        time=watch.breakdown(),
        **settled,
    )
    tracker.phases(watch.breakdown())
    measuring.prefix.close()
    if accelerator.is_main_process:
        _write(outcome, run, started.added, folder)
    accelerator.end_training()  # ends the process group
    return outcome


@dataclass(frozen=True)
class Started:
    """A run that is ready for its first step."""

    run: Run
    shown: Callable[[], Recogniser]
    tracker: Tracker
    cache: PrefixCache
    added: Attachment | None
    outcome: Outcome


def _started(ready: Ready, folder: Path, watch: Watch, ways: Ways) -> Started:
    """What learns is chosen, the batch is settled, and what a step costs is counted."""
    recipe, recogniser = ready.recipe, ready.recogniser
    added = attach(recogniser, recipe)
    plan = learning_plan(recogniser.stack, recipe.strategy, added)
    plan.apply(0)
    outcome = Outcome.start(recipe, recogniser, plan.names, ready.corpus, ready.labelled.dropped)
    tracker = Tracker(folder, recipe, ready.accelerator, watch, resume=ways.resume)
    meter = Meter(recogniser, ready.accelerator)
    run, shown = _run(ready, plan, tracker, meter, ready.measuring)
    outcome = replace(outcome, batch_size=settle_batch(run, ways.memory))
    meter.on_boundary(recogniser.stack.boundary)
    ready.measuring.prefix.on_boundary(recogniser.stack.boundary)
    return Started(run, shown, tracker, _prefix_cache(run, watch), added, outcome)


def estimate(recipe: Recipe) -> Forecast:
    """What :func:`adapt` would take on this computer; every row is checked, nothing is written or trained.

    Labels that the base would give are left out of the trial: their rows count as measured ones.
    """
    unheard: dict[str, Any] = {"labels": recipe.labels.model_copy(update={"style": "plain"})}
    if recipe.replay is not None and recipe.replay.labels == "base":
        unheard["replay"] = None
    ways = Ways(False, False, True, _as_it_is, None)
    with TemporaryDirectory(prefix="asr-adapt-") as place:
        accelerator = _accelerator(recipe, Path(place))
        watch = Watch(quiet=True)
        ready = _ready(recipe.model_copy(update=unheard), accelerator, ways.prepare, Path(place), watch)
        started = _started(ready, Path(place), watch, ways)
        found = forecast(started.run, started.cache, ready.measuring)
        started.tracker.close()
    return found


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


def _write(outcome: Outcome, run: Run, added: Attachment | None, folder: Path) -> None:
    """The result's files; what only a resumed run needs goes."""
    if added is not None:
        added.write(folder)
    write_outcome(outcome, run.recogniser, folder)
    mark_folder(folder, KIND)
    remove_checkpoints(run.folder)


@dataclass(frozen=True)
class Ready:
    """What a run starts from: a recipe without anything left to choose, its model and its rows."""

    recipe: Recipe
    accelerator: Accelerator
    sets: Sets
    recogniser: Recogniser
    corpus: Corpus
    batches: BatchPlan
    advice: Any
    labelled: LabelledRows
    measuring: Measuring


def _ready(
    recipe: Recipe,
    accelerator: Accelerator,
    prepare: Callable[[Recogniser], Recogniser],
    folder: Path,
    watch: Watch,
) -> Ready:
    """Load and check everything that the recipe names; labels that had to be made are kept in ``folder``."""
    sets = _open(recipe)
    for sentence in remarks(recipe):
        logger.warning("note: %s", sentence)
    loaded, spell = _recogniser(recipe, sets, accelerator)
    recogniser = prepare(loaded)
    given = recipe.decoder.language
    recipe = in_language(recipe, recogniser, sets.train)
    recogniser.configure(DecoderSettings(**recipe.decoder.model_dump()))
    recipe, advice = advised(recipe, recogniser, float(np.nansum(sets.train.durations)) / 3600)
    recipe = with_starting_values(recipe, recogniser)
    measuring = _measuring(recipe, sets, recogniser, watch, given)

    def hear(rows: Manifest) -> list[str]:
        return measuring.heard(recogniser, rows)

    if recipe.replay is not None and sets.replay is not None and recipe.replay.labels == "base":
        sets = replace(sets, replay=self_labelled(recipe, sets.replay, hear))
    labelled = labelled_rows(recipe, recogniser, sets.train, sets.replay, folder, spell, hear)
    pack = packing(recipe, recogniser)
    recipe = with_default(recipe, recogniser.heard_seconds, DEFAULT_ROWS if pack is None else PACKED_ROWS)
    silent = silent_rows(silence_of(recipe, recogniser), recogniser) if recipe.silence.share else None
    corpus, batches = _corpus(recipe, recogniser, labelled.parts, silent, pack)
    sharding.require_shardable(recipe)
    _set_dropout(recogniser, recipe)
    return Ready(recipe, accelerator, sets, recogniser, corpus, batches, advice, labelled, measuring)


def _measuring(
    recipe: Recipe, sets: Sets, recogniser: Recogniser, watch: Watch, language: str | None
) -> Measuring:
    """What the run measures; dev and guard in part where the recipe says so, the tests whole."""
    boundary = expected_boundary(recogniser.stack, recipe.strategy)
    prefix = MeasuredPrefix(recipe.cache, times_measured(recipe), boundary, watch)
    keeps = recipe.cache.transcripts and recipe.initialise == "pretrained"
    known = weights_fingerprint(recogniser) if keeps else None
    return Measuring(recipe, sets.dev, sets.guard, _tests(recipe), prefix, watch, known, language)


def _run(
    ready: Ready, plan: LearningPlan, tracker: Tracker, meter: Meter, measuring: Measuring
) -> tuple[Run, Callable[[], Recogniser]]:
    """The loop's parts, and a call that gives the recogniser to measure."""
    recipe, recogniser, checkpoints = ready.recipe, ready.recogniser, tracker.checkpoints
    learning = _learning(recipe, recogniser, plan)
    shown = sharding.measured(recogniser, lambda: run.learning)
    run: Run = Run(
        recipe, recogniser, ready.corpus, ready.batches, learning,
        BestAverage(checkpoints / "candidates", recipe.averaging.best),
        Unfreezing(plan, recipe.strategy.gradual, recipe.schedule.steps),
        ready.accelerator, checkpoints, tracker,
        lambda: measuring.progress(shown(), as_base=not run.progress.step), meter,
    )  # fmt: skip
    return run, shown


@contextmanager
def _fast(run: Run, cache: PrefixCache, measured: MeasuredPrefix) -> Iterator[None]:
    """Counting, cache and speed-ups apply inside the block; evaluation bypasses them."""
    sharded = sharding.wanted()  # it has wrapped the layers in its own way
    # on a CPU it saves neither time (measured) nor room, because the originals stay there
    half = run.accelerator.mixed_precision == "bf16" and run.accelerator.device.type != "cpu" and not sharded
    speedups = Speedups(run.recogniser.stack, compiled=run.recipe.compile, half=half)
    measure = run.measure
    run.measure = speedups.plain(measure)
    run.on_boundary += [
        lambda _: speedups.restore(),
        speedups.plain(run.meter.on_boundary),
        cache.on_boundary,
        measured.on_boundary,
        speedups.on_boundary,
    ]
    try:
        yield
    finally:
        speedups.restore()
        run.measure = measure
        cache.close()


def _settled(
    run: Run, whole: Recogniser, best: Path, added: Attachment | None, watch: Watch
) -> dict[str, Any]:
    """Leave the weights that the run ends with in the plain network ``whole``; what was decided."""
    run.recogniser, run.learning = whole, replace(run.learning, model=whole.model)
    averaging = choose_weights(run.learning, best, run.averages, run.progress, run.measure)
    if added is not None:
        added.detach()
    context = choose_context(run.recogniser, run.measure)  # the one in which mixtures are heard
    with watch.phase("blending", "blending", unit="mixtures"):
        retained = retain(run.recipe, run.recogniser, run.measure)
    if retained is not None:
        context = choose_context(run.recogniser, run.measure)
    return {"averaging": averaging, "retained": retained, "context": context}


def _as_it_is(recogniser: Recogniser) -> Recogniser:
    return recogniser


def _accelerator(recipe: Recipe, folder: Path) -> Accelerator:
    if not distributed.is_initialized():
        # Accelerate keeps one global state; a second run in this process may want another precision or device
        AcceleratorState._reset_state(reset_partial_state=True)
    device = choose_device(recipe.device)
    return Accelerator(
        mixed_precision=mixed_precision(recipe.precision, device),
        cpu=device.type == "cpu",
        log_with="tensorboard",
        project_dir=str(folder),
        # layer drop, and mask embeddings without masks, leave parameters out of a step
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
    )


def _seed(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def _open(recipe: Recipe) -> Sets:
    def opened(paths: list[str] | None) -> Manifest | None:
        return None if paths is None else require_rows(Manifest.open(expand(paths)))

    train_rows, dev = opened(recipe.train), opened(recipe.dev)
    assert train_rows is not None and dev is not None  # required fields of the recipe
    replay = opened(recipe.replay.manifest if recipe.replay else None)
    rows = recipe.evaluation.rows
    guard = opened(recipe.guard)
    return Sets(train_rows, spread(dev, rows), None if guard is None else spread(guard, rows), replay)


def _recogniser(
    recipe: Recipe, sets: Sets, accelerator: Accelerator
) -> tuple[Recogniser, Callable[[str], str]]:
    """The recogniser with its vocabulary, and a call that makes label texts of characters it can write."""
    recogniser = load_recogniser(
        recipe.model,
        device=str(accelerator.device),
        compute_type="float32",
        new_head=True,
        new_vocabulary=recipe.vocabulary.mode == "replace",
    )
    if recipe.initialise == "random":
        _seed(recipe.seed)
        _reinitialise(recogniser.model)
    if recipe.vocabulary.mode == "keep":
        return recogniser, speller(recogniser)
    found = train_vocabulary(recipe, recogniser, sets.train)
    spell = speller(recogniser, found, fitted(recipe, recogniser))
    return set_vocabulary(recogniser, found.characters, recipe.vocabulary.mode), spell


def _reinitialise(model: Any) -> None:
    """Fresh weights of the same architecture, as transformers initialises them."""
    fresh = type(model)(model.config)
    model.load_state_dict(fresh.state_dict())


def _corpus(
    recipe: Recipe, recogniser: Recogniser, parts: list[Corpus], silent: Corpus | None, pack: Packing | None
) -> tuple[Corpus, BatchPlan]:
    augmenter = recipe.augment.augmenter(recipe.seed)
    longest = augmenter.longest if augmenter else 1.0
    every = parts if silent is None else [*parts, silent]
    rows = [row for part in every for row in part.rows]
    labels = [ids for part in every for ids in part.labels]
    plan = BatchPlan(
        parts[0].durations * longest,
        BatchLimits(_given_seconds(recipe), recipe.batch.quadratic_seconds, recipe.batch.rows),
        seed=recipe.seed,
        replay=parts[1].durations * longest if len(parts) > 1 else None,
        share=recipe.replay.share if recipe.replay else 0.0,
        silent=None if silent is None else Silent(silent.durations * longest, recipe.silence.share),
        heard=recogniser.heard_seconds if pack is None else pack.heard,
    )
    quiet = 0 if silent is None else len(silent)
    corpus = Corpus(rows, labels, recogniser.sample_rate, augmenter, len(parts[0].rows), quiet)
    corpus.pack = pack
    return corpus, plan


def silence_of(recipe: Recipe, recogniser: Recogniser) -> Manifest:
    """The recipe's rows without speech, or the bundled ones.

    Raises RecipeError where the model cannot learn from them.
    """
    if not recogniser.capabilities.silence:
        raise RecipeError(
            f"{recogniser.name} cannot learn from rows without speech (Whisper can): set it to 0.",
            field="silence.share",
        )
    bundled = Path(str(resources.files("asr_adapt.assets"))) / "silence" / "manifest.jsonl"
    return Manifest.open(expand(recipe.silence.manifest) if recipe.silence.manifest else bundled)


def packing(recipe: Recipe, recogniser: Recogniser) -> Packing | None:
    """How clips are joined into windows; None where each is heard by itself.

    Raises RecipeError where ``batch.pack`` is asked for and cannot be.
    """
    chosen, window = recipe.batch.pack, recogniser.window_seconds
    whole = recogniser.capabilities.decoder and recogniser.heard_seconds(0.0) >= window
    kept = expected_boundary(recogniser.stack, recipe.strategy) >= recogniser.stack.prefix_limit
    if chosen is True and (not whole or kept):
        why = "the encoder is frozen and computed once" if whole else "it sees each clip at its own length"
        raise RecipeError(f"clips are not packed for {recogniser.name}: {why}.", field="batch.pack")
    cached = chosen == "auto" and recipe.cache.mode == "on"  # states of single clips cannot be joined
    if not chosen or not whole or kept or cached:
        return None

    def label(text: str, seconds: float) -> list[int]:
        return recogniser.labels([text], [seconds])[0]

    return Packing(window, recogniser.sample_rate, label, recipe.seed, recogniser.limits().max_labels)


def _given_seconds(recipe: Recipe) -> float:
    """The recipe's number; without limit until ``auto`` has been settled."""
    seconds = recipe.batch.seconds
    return seconds if isinstance(seconds, float) else float("inf")


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
    return Learning(recogniser.model, plan.names, optimiser, average)


def _prefix_cache(run: Run, watch: Watch) -> PrefixCache:
    """The cache of the run's frozen prefix; how often rows are drawn follows from recipe and phase."""
    recipe, accelerator = run.recipe, run.accelerator

    def draws() -> np.ndarray:
        per_step = recipe.batch.accumulate * accelerator.num_processes
        return expected_draws(run.plan, per_step * run.unfreezing.phase_steps(run.progress))

    return PrefixCache(recipe, run.recogniser, run.corpus, run.meter, draws, watch)


def _set_dropout(recogniser: Recogniser, recipe: Recipe) -> None:
    """Put the recipe's dropout into the modules; the saved configuration keeps the model's own."""
    chosen = recipe.regularisation
    recogniser.set_dropout(
        Dropout(
            hidden=chosen.hidden_dropout,
            attention=chosen.attention_dropout,
            activation=chosen.activation_dropout,
            final=chosen.final_dropout,
            layer_drop=chosen.layer_drop,
        )
    )


def _tests(recipe: Recipe) -> dict[str, Manifest]:
    """Manifests of the before/after figures, whole, by name."""
    tests = {"target": Manifest.open(expand(recipe.test or recipe.dev))}
    if recipe.guard:
        tests["guard"] = Manifest.open(expand(recipe.guard_test or recipe.guard))
    return tests
