"""Whether the default micro-batch fits on the GPU, and what takes its place where it does not.

Knows the memory that a step is counted to need and what a GPU has. Does not know how a loss is computed. The
numbers of a recipe are obeyed; only the default is cut to what fits, and as many more micro-batches make a
step, so that the objective stays what it is.
"""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from accelerate.utils import broadcast_object_list

from asr_adapt.errors import RecipeError
from asr_adapt.training.data.batches import LENGTH_STEP
from asr_adapt.training.data.corpus import Example
from asr_adapt.training.device.batch_size import BatchSize, StepTrial, untouched
from asr_adapt.training.device.memory import DeviceMemory
from asr_adapt.training.device.memory_plan import FRAGMENTED, GIGABYTE, MemoryPlan, count_step
from asr_adapt.training.learning import sharding

logger = logging.getLogger(__name__)

REMEDIES = "try strategy lora (with quantise: 4bit), gradient_checkpointing, or leave out long clips."


def step_plan(trial: StepTrial) -> MemoryPlan:
    """What a step needs, counted on silence with the labels of the longest row.

    Two clips are the most that is tried: of half the length where the whole does not fit. Raises
    :class:`RecipeError` where that does not fit either.
    """
    objective, lengths = trial.objective, trial.corpus.plan.lengths
    recogniser, number, longest = objective.recogniser, int(np.argmax(lengths)), float(lengths.max())

    def loss(rows: int, seconds: float) -> torch.Tensor:
        boundary = recogniser.stack.boundary
        silence = np.zeros(int(seconds * recogniser.sample_rate), dtype=np.float32)
        batch = [Example(number, trial.corpus.labels[number], seconds, silence)] * rows
        with objective.accelerator.autocast():
            return objective.row_losses(objective.module(boundary), boundary, batch, 0).sum()

    with untouched(trial):
        for length in (longest, longest / 2):
            try:
                counted = count_step(loss, recogniser.model, length / 2, length)
            except torch.cuda.OutOfMemoryError:
                continue
            eight_bit = trial.recipe.optimiser.kind == "adamw_8bit"
            return MemoryPlan.of(recogniser.model, counted, eight_bit=eight_bit)
    raise RecipeError(
        f"two clips of {longest / 2:.1f} s do not fit into the memory: {REMEDIES}", field="batch.seconds"
    )


def fitted(trial: StepTrial, size: BatchSize, memory: DeviceMemory | None = None) -> BatchSize:
    """The default ``size``, or a smaller one that fits, with more micro-batches a step; which is then said.

    Every process must call this; the main one decides. Only CUDA is asked, or ``memory``, whose limit is for
    everything that the run holds. Raises :class:`RecipeError` where not even one clip fits.
    """
    accelerator = trial.objective.accelerator
    if sharding.wanted() or (memory is None and accelerator.device.type != "cuda"):
        return size
    found = [_fitted(trial, size, memory) if accelerator.is_main_process else None]
    chosen: BatchSize = broadcast_object_list(found)[0]
    trial.corpus.plan.limits = replace(trial.corpus.plan.limits, seconds=chosen.seconds)
    return chosen


def _fitted(trial: StepTrial, size: BatchSize, memory: DeviceMemory | None) -> BatchSize:
    corpus, device = trial.corpus, trial.objective.accelerator.device
    longest = float(corpus.plan.lengths.max())
    heard = trial.objective.recogniser.heard_seconds(longest)
    cost = float(corpus.plan.limits.cost(np.array([np.ceil(heard / LENGTH_STEP) * LENGTH_STEP]))[0])
    wanted = max(1, int(size.seconds / cost))
    room = memory.limit if memory is not None else _free(device)
    plan = step_plan(trial)
    fits = partial(plan.rows, room / (1 + FRAGMENTED), longest, overhead=False)
    several = trial.recipe.batch.accumulate > 1
    if fits(accumulate=several) >= wanted:
        return size
    rows = min(fits(accumulate=True), wanted - 1)
    if rows < 1:
        needed = plan.needed(1, longest, accumulate=several or wanted > 1)
        raise RecipeError(
            f"one clip of {longest:.1f} s needs {needed / GIGABYTE:.1f} GB of "
            f"{room / GIGABYTE:.1f}: {REMEDIES}",
            field="batch.seconds",
        )
    more = math.ceil(wanted / rows)
    logger.warning(
        "memory: %.1f GB hold %d of the usual %d rows: %d micro-batches make a step. gradient_checkpointing "
        "would hold more.",
        room / GIGABYTE,
        rows,
        wanted,
        more * trial.recipe.batch.accumulate,
    )
    return replace(
        size, seconds=rows * cost, origin="memory", accumulate=more * trial.recipe.batch.accumulate
    )


def _free(device: torch.device) -> int:
    """Bytes that this process has or can have on a GPU."""
    return int(torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device))
