"""``batch.seconds: auto``: the most seconds a micro-batch may have on this device, found by trying.

Knows which shapes a limit allows, bisection, and where found numbers are remembered. Does not know how a loss
is computed (the loop's own function is called) nor how memory is watched
(:mod:`asr_adapt.training.device.memory`).

A number is found once: it is written into the saved recipe, which ``--resume`` and other machines obey, and
into a small file of the user's cache, which later runs of the same model, strategy and device read.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate.utils import broadcast_object_list
from torch import Tensor

from asr_adapt.errors import RecipeError
from asr_adapt.files import cache_folder, write_json
from asr_adapt.training.data.batches import LENGTH_STEP, BatchLimits, BatchPlan
from asr_adapt.training.data.corpus import Corpus, Example
from asr_adapt.training.device.memory import DeviceMemory
from asr_adapt.training.learning import sharding
from asr_adapt.training.learning.objective import Objective
from asr_adapt.training.learning.state import Learning
from asr_adapt.training.recipe.file import load_recipe
from asr_adapt.training.recipe.schema import Recipe

logger = logging.getLogger(__name__)

#: Padded seconds of a micro-batch, and rows of a family that computes a whole window for each (Whisper).
DEFAULT_SECONDS, DEFAULT_ROWS = 80.0, 16
#: Rows where several clips share one: as many clips as in DEFAULT_ROWS, and more.
PACKED_ROWS = 8
#: No more than this is tried, so that trials stay short; larger batches gain no speed on either device.
CEILING = {"cpu": 600.0, "cuda": 2400.0}
#: The bisection ends when the smallest limit that failed is less than this many times the largest that held.
PRECISION = 1.1
#: Share of what held that is used: fragmentation, and rows that layer drop left out of the trial.
MARGIN = 0.9


@dataclass(frozen=True)
class BatchSize:
    """A number of ``seconds`` and where it is from: ``recipe``, ``trials``, ``remembered`` or ``memory``.

    ``accumulate`` is how many micro-batches make a step, where that is not what the recipe says.
    """

    seconds: float
    origin: str
    trials: int = 0
    accumulate: int | None = None

    def to_json(self) -> dict[str, Any]:
        """For ``summary.json``."""
        return {"seconds": self.seconds, "origin": self.origin, "trials": self.trials}


def with_seconds(recipe: Recipe, seconds: float, accumulate: int | None = None) -> Recipe:
    """The recipe with a number in the place of ``auto``, and another of micro-batches where one is given."""
    values = {"seconds": seconds} | ({} if accumulate is None else {"accumulate": accumulate})
    return recipe.model_copy(update={"batch": recipe.batch.model_copy(update=values)})


def with_default(recipe: Recipe, heard: Callable[[float], float], rows: int = DEFAULT_ROWS) -> Recipe:
    """The recipe with a number where it names none: :data:`DEFAULT_SECONDS`, or room for ``rows`` of the
    windows that the network hears for the shortest clip (``heard``)."""
    if recipe.batch.seconds is not None:
        return recipe
    limits = BatchLimits(0.0, recipe.batch.quadratic_seconds)
    window = np.ceil(heard(0.0) / LENGTH_STEP) * LENGTH_STEP
    return with_seconds(recipe, max(DEFAULT_SECONDS, rows * float(limits.cost(np.array([window]))[0])))


def resumed_batch(recipe: Recipe, folder: Path, resume: bool) -> Recipe:
    """The recipe with the number that the run in ``folder`` was begun with, where it is to be resumed."""
    saved = folder / "recipe.yaml"
    if isinstance(recipe.batch.seconds, float) or not resume or not saved.is_file():
        return recipe
    batch = load_recipe(saved).batch
    return (
        with_seconds(recipe, batch.seconds, batch.accumulate) if isinstance(batch.seconds, float) else recipe
    )


@dataclass(frozen=True)
class StepTrial:
    """What a part of a step is tried with, before the run begins."""

    recipe: Recipe
    objective: Objective
    corpus: Corpus
    learning: Learning
    #: A context in which the weights are kept as in steps.
    as_in_steps: Callable[[], AbstractContextManager[object]] = nullcontext


def settle_batch(trial: StepTrial, memory: DeviceMemory | None = None) -> BatchSize:
    """The number for ``auto``, which the corpus is planned with from now on; every process must call this.

    The main process tries, the others take its number: they are taken to have devices like its own.
    ``memory`` replaces the device's own. Raises :class:`RecipeError` when not even one clip fits.
    """
    given = trial.recipe.batch.seconds
    if isinstance(given, float):
        return BatchSize(given, "recipe")
    if sharding.wanted():
        raise RecipeError(
            "auto tries the whole model on one device, which FSDP splits: give a number.",
            field="batch.seconds",
        )
    accelerator = trial.objective.accelerator
    found: list[Any] = [None]
    if accelerator.is_main_process:
        memory = memory or DeviceMemory.of(accelerator.device, accelerator.num_processes)
        found = [_remembered_or_found(trial, memory)]
    size: BatchSize = broadcast_object_list(found)[0]
    trial.corpus.plan.limits = replace(trial.corpus.plan.limits, seconds=size.seconds)
    logger.info("batch.seconds auto: %.1f (%s, %d trials)", size.seconds, size.origin, size.trials)
    return size


def default_folder() -> Path:
    """``$XDG_CACHE_HOME/asr-adapt/batch-size``; delete it to have numbers found anew."""
    return cache_folder() / "batch-size"


def _remembered_or_found(trial: StepTrial, memory: DeviceMemory) -> BatchSize:
    identity = _identity(trial, memory)
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True, default=str).encode()).hexdigest()
    path = default_folder() / f"{digest[:24]}.json"
    known = _remembered(path)
    if known is not None:
        return BatchSize(known, "remembered")
    tried: list[float] = []
    plan = trial.corpus.plan

    def holds(seconds: float) -> bool:
        tried.append(seconds)
        return all(
            memory.holds(partial(_step, trial, numbers, length)) for numbers, length in shapes(plan, seconds)
        )

    lengths = plan.lengths
    computed = np.array([plan.heard(length) for length in lengths])
    costs = plan.limits.cost(np.ceil(computed / LENGTH_STEP) * LENGTH_STEP)
    ceiling = min(CEILING[memory.device.type], float(costs.max()) * len(costs))
    with untouched(trial):
        most = largest(holds, float(costs.max()), ceiling)
    if most is None:
        raise RecipeError(
            f"one clip of {lengths.max():.1f} s does not fit into the memory of {memory.name}: leave out "
            "long clips or let fewer layers learn.",
            field="batch.seconds",
        )
    seconds = round(most * MARGIN, 1)
    shown = {k: identity[k] for k in ("model", "strategy", "precision", "device", "longest")}
    try:
        write_json(path, {"seconds": seconds, "trials": len(tried), **shown})
    except OSError as error:
        logger.warning("%s: the batch size cannot be saved for the next run (%s).", path, error)
    return BatchSize(seconds, "trials", len(tried))


def _remembered(path: Path) -> float | None:
    """The seconds in a file of the cache; None where it has none, which is said of a damaged file."""
    if not path.is_file():
        return None
    try:
        seconds = float(json.loads(path.read_text(encoding="utf-8"))["seconds"])
    except (OSError, ValueError, KeyError, TypeError):
        seconds = math.nan
    if 0 < seconds < math.inf:
        return seconds
    logger.warning("%s: the saved batch size cannot be read; it will be measured again.", path)
    return None


def largest(holds: Callable[[float], bool], lowest: float, ceiling: float) -> float | None:
    """The largest value to ``ceiling`` that ``holds``, to :data:`PRECISION`; None when ``lowest`` does not.

    Values rise by doubling before they are bisected, so that none is tried far above what fits.
    """
    good, bad = lowest, None
    if not holds(lowest):
        return None
    while good < ceiling and (bad is None or bad / good > PRECISION):
        middle = min(2 * good, ceiling) if bad is None else (good * bad) ** 0.5
        good, bad = (middle, bad) if holds(middle) else (good, middle)
    return good


def shapes(plan: BatchPlan, seconds: float) -> list[tuple[list[int], float]]:
    """The dearest micro-batches that the plan makes under a limit: row numbers, length of each in seconds.

    One is full of the longest clips, the other has the most rows.
    """
    limits = replace(plan.limits, seconds=seconds)
    lengths = plan.lengths
    longest = float(lengths.max())
    count = int(
        seconds / limits.cost(np.array([np.ceil(plan.heard(longest) / LENGTH_STEP) * LENGTH_STEP]))[0]
    )
    count = max(1, min(count, limits.rows or count))
    full = np.resize(np.argsort(-lengths, kind="stable"), count).tolist()
    crowded = max(plan.with_limits(limits).epoch(0), key=len)
    return [(full, longest), (crowded, float(lengths[crowded].max()))]


def _step(trial: StepTrial, numbers: list[int], seconds: float) -> None:
    """Forward and backward pass of silence with these rows' labels, and room for the optimiser's moments."""
    objective = trial.objective
    recogniser, accelerator = objective.recogniser, objective.accelerator
    boundary = recogniser.stack.boundary
    silence = np.zeros(int(seconds * recogniser.sample_rate), dtype=np.float32)
    batch = [Example(number, trial.corpus.labels[number], seconds, silence) for number in numbers]
    module = objective.module(boundary)
    learning = [p for p in recogniser.model.parameters() if p.requires_grad]
    kind = torch.uint8 if trial.recipe.optimiser.kind == "adamw_8bit" else None
    moments: list[Tensor] = [torch.ones_like(p, dtype=kind) for p in learning for _ in range(2)]
    try:
        with accelerator.autocast():
            loss = objective.row_losses(module, boundary, batch, 0).sum()
        loss.backward()
    finally:
        recogniser.model.zero_grad(set_to_none=True)
        moments.clear()


@contextmanager
def untouched(trial: StepTrial) -> Iterator[None]:
    """Let all that ever learns learn in the block; afterwards nothing has changed, chance included."""
    recogniser, plan = trial.objective.recogniser, trial.learning.unfreezing.plan
    model, device = recogniser.model, trial.objective.accelerator.device
    kept = {name: buffer.clone() for name, buffer in model.named_buffers()}
    devices = [device] if device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices=devices):
            plan.apply(len(plan.phases) - 1)
            recogniser.stack.set_modes()
            with trial.as_in_steps():
                yield
    finally:
        plan.apply(0)
        model.eval()
        with torch.no_grad():
            for name, buffer in model.named_buffers():
                buffer.copy_(kept[name])


def _identity(trial: StepTrial, memory: DeviceMemory) -> dict[str, Any]:
    """All that the number depends on, but for how full the memory happens to be."""
    recipe, model, accelerator = trial.recipe, trial.objective.recogniser.model, trial.objective.accelerator
    lengths = trial.corpus.plan.lengths
    learning = {n: list(p.shape) for n, p in model.named_parameters() if n in trial.learning.names}
    return {
        "model": recipe.model,
        "config": model.config.to_dict(),
        "learning": learning,
        "strategy": recipe.strategy.name,
        "frozen": [recipe.strategy.quantise, recipe.strategy.offload],
        "moments": recipe.optimiser.kind,
        "precision": str(accelerator.mixed_precision),
        "regularisation": recipe.regularisation.model_dump(mode="json"),
        "batch": recipe.batch.model_dump(mode="json", include={"quadratic_seconds", "rows"}),
        "device": memory.name,
        "processes": accelerator.num_processes,
        "longest": float(lengths.max()),
        "rows": len(lengths),
        "torch": torch.__version__,
    }
