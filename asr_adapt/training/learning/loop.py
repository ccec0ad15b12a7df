"""THE training loop: one loop for every family, strategy and number of processes.

Knows steps, gradients, evaluation, early stopping and checkpoints. Does not know architectures,
recipes' files, where rows come from, or how results are written up.

Everything random in a step is a function of (seed, step or row), so a resumed run repeats the killed one and
the trajectory does not depend on how micro-batches are shared among processes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor, nn

from asr_adapt.errors import DataError
from asr_adapt.models import Hidden, Recogniser, SpecAugment
from asr_adapt.training.data.batches import BatchPlan, Position, deal
from asr_adapt.training.data.corpus import Corpus, Example, prefetched
from asr_adapt.training.learning import sharding
from asr_adapt.training.learning.averaging import BestAverage
from asr_adapt.training.learning.checkpoints import (
    Learning,
    Progress,
    load_checkpoint,
    newest_checkpoint,
    save_checkpoint,
    whole,
)
from asr_adapt.training.learning.schedule import rate_factor
from asr_adapt.training.learning.unfreezing import Unfreezing
from asr_adapt.training.prefix.cache import SEED_STRIDE, prefix_output, row_seed
from asr_adapt.training.recipe.schema import Recipe
from asr_adapt.training.throughput import Meter

FLOP_UNIT = 1e9  # float32 adds up billions


class Observer(Protocol):
    """Who is told what happens; the loop itself prints and writes nothing."""

    def step(self, values: dict[str, Any]) -> None:
        """After every optimiser step."""

    def evaluation(self, values: dict[str, Any]) -> None:
        """After every evaluation."""

    def best(self, state: dict[str, Tensor], values: dict[str, Any]) -> None:
        """When a new best model was found; ``state`` holds its trainable weights."""


class LossModule(nn.Module):
    """The part that learns, as one module that DDP and FSDP can wrap."""

    def __init__(self, recogniser: Recogniser, boundary: int, label_smoothing: float) -> None:
        super().__init__()
        #: Only handed on where it is asked for.
        self.options = {"label_smoothing": label_smoothing} if label_smoothing else {}
        self.model = recogniser.model
        self._recogniser = [
            recogniser
        ]  # a list hides it from nn.Module, which would register the model twice
        self.boundary = boundary

    def forward(self, hidden: Hidden, labels: list[list[int]], masking: SpecAugment | None) -> Tensor:
        """Loss of each row (batch,) in nats."""
        return self._recogniser[0].losses(hidden, self.boundary, labels, masking, **self.options)


@dataclass
class Run:
    """What the loop needs: parts that learn, data, and who measures."""

    recipe: Recipe
    recogniser: Recogniser
    corpus: Corpus
    plan: BatchPlan
    learning: Learning
    averages: BestAverage
    unfreezing: Unfreezing
    accelerator: Accelerator
    folder: Path
    observer: Observer
    #: () → {"dev": wer, "guard": wer, …}; ``dev`` decides.
    measure: Any
    meter: Meter
    progress: Progress = field(default_factory=Progress)
    #: Told the boundary of the frozen prefix before the first step and whenever more layers are freed.
    on_boundary: list[Callable[[int], None]] = field(default_factory=list)

    @property
    def optimiser(self) -> torch.optim.Optimizer:
        """The optimiser as Accelerate prepared it."""
        return self.learning.optimiser


def train(run: Run, *, resume: bool) -> Progress:
    """Carry the recipe out and return how far it came; the best weights went to the observer."""
    if resume and (newest := newest_checkpoint(run.folder)):
        run.progress = load_checkpoint(newest, run.learning)
        if run.accelerator.scaler is not None and run.progress.scale:
            run.accelerator.scaler.load_state_dict(run.progress.scale)
    run.unfreezing.begin(run.progress)
    wrapped = _wrapped(run, None)
    if run.progress.step == 0 and not run.progress.history:
        _evaluate(run)
    while not run.progress.finished:
        _train_phase(run, wrapped)
        if run.unfreezing.due(run.progress) and not run.progress.finished:
            run.unfreezing.begin(run.progress)
            wrapped = _wrapped(run, wrapped)
    return run.progress


def _wrapped(run: Run, former: nn.Module | None) -> nn.Module:
    """The part that learns now, ready for all processes; ``former`` is what learnt before."""
    boundary = run.recogniser.stack.boundary
    module = LossModule(run.recogniser, boundary, run.recipe.regularisation.label_smoothing)
    for listener in run.on_boundary:
        listener(boundary)
    if former is None and sharding.wanted():
        return sharding.shard(module, run.recogniser, run.learning, run.accelerator)
    if former is None:
        wrapped, run.learning.optimiser = run.accelerator.prepare(module, run.learning.optimiser)
        return wrapped
    run.accelerator.free_memory(former)  # DDP only hears of parameters that learnt when it was made
    return run.accelerator.prepare(module)


def _train_phase(run: Run, wrapped: nn.Module) -> None:
    """Steps until training ends or more layers are freed; a phase begins as a resumed run does."""
    boundary = run.recogniser.stack.boundary
    run.recogniser.stack.set_modes()
    with closing(_steps(run)) as steps:
        started = time.perf_counter()  # waiting for data counts
        for batches in steps:
            values, work = _optimise(run, wrapped, boundary, batches)
            elapsed = time.perf_counter() - started
            run.progress.seconds += elapsed
            rates = run.meter.rates(values["audio_seconds"], *work, elapsed)
            run.observer.step(values | rates | {"seconds": run.progress.seconds})
            if _after_step(run) or run.unfreezing.due(run.progress):
                return
            started = time.perf_counter()
    run.progress.finished = True


def _steps(run: Run) -> Generator[Any, None, None]:
    """Micro-batches of one optimiser step at a time, decoded ahead, until the schedule ends."""
    accelerator, recipe = run.accelerator, run.recipe
    per_step = recipe.batch.accumulate * accelerator.num_processes
    rank = accelerator.process_index
    start = Position(run.progress.epoch, run.progress.batch)
    stream = run.plan.stream(start)

    def planned() -> Iterator[list[tuple[Position, list[int]]]]:
        for _ in range(run.progress.step, recipe.schedule.steps):
            yield list(islice(stream, per_step))

    def load(step: list[tuple[Position, list[int]]]) -> list[tuple[int, list[Example]]]:
        places = deal([run.plan.cost(rows) for _, rows in step], accelerator.num_processes)[rank]
        chosen = [(place, *step[place]) for place in places]
        return [(n, run.corpus.batch(rows, at.epoch)) for n, at, rows in chosen]

    for step, examples in prefetched(planned(), load, recipe.batch.prefetch):
        position = step[-1][0]
        tokens = sum(len(run.corpus.labels[row]) for _, rows in step for row in rows)
        run.progress.epoch, run.progress.batch = position.epoch, position.batch + 1
        yield examples, tokens, position.epoch


def _optimise(
    run: Run, wrapped: nn.Module, boundary: int, batches: Any
) -> tuple[dict[str, Any], tuple[float, float]]:
    """One optimiser step; the loss is nats per label over the step's micro-batches of all processes.

    Returns what is logged, and the work done by all processes: seconds of sound, FLOP.
    """
    examples, tokens, epoch = batches
    accelerator, recipe, step = run.accelerator, run.recipe, run.progress.step
    factor = rate_factor(recipe.schedule, step)
    for group in run.optimiser.param_groups:
        group["lr"] = group["peak"] * factor * run.unfreezing.rate(group, run.progress)
    total = torch.zeros((), device=accelerator.device)
    padded = spoken = flops = 0.0
    for place, batch in examples:  # the place in the step, whichever process has it
        torch.manual_seed((recipe.seed * SEED_STRIDE + step) * 1009 + place)
        losses = row_losses(run, wrapped, boundary, batch, epoch)
        loss = losses.sum() / tokens
        accelerator.backward(loss * accelerator.num_processes)  # DDP averages over processes; we want the sum
        total += loss.detach()
        padded += len(batch) * max(e.seconds for e in batch)
        spoken += sum(e.seconds for e in batch)
        flops += run.meter.flops(batch)
    norm = _clip(run)
    run.optimiser.step()
    run.optimiser.zero_grad(set_to_none=True)
    run.progress.step += 1
    run.learning.average.update(run.progress.step)
    sums = torch.stack([total, *(torch.full_like(total, v) for v in (padded, spoken, flops / FLOP_UNIT))])
    value, padded, spoken, flops = accelerator.reduce(sums, "sum").tolist()
    _refuse_nan(value, run, [batch for _, batch in examples])
    values = {
        "step": run.progress.step,
        "epoch": epoch,
        "loss": value,
        "gradient_norm": norm if math.isfinite(norm) else None,  # float16's scale is being found
        "rate": factor * recipe.optimiser.learning_rate,
        "tokens": tokens,
        "audio_seconds": padded,
    }
    return values, (spoken, flops * FLOP_UNIT)


def row_losses(run: Run, wrapped: nn.Module, boundary: int, batch: list[Example], epoch: int) -> Tensor:
    """The loss of each row of a micro-batch (batch,) in nats, frozen prefix included."""
    recipe, recogniser, device = run.recipe, run.recogniser, run.accelerator.device

    def seeds(examples: Sequence[Example]) -> list[int]:
        return [row_seed(recipe.seed, epoch, example.number) for example in examples]

    def encode(examples: Sequence[Example]) -> Hidden:
        waves = [example.samples for example in examples]
        inputs = recogniser.inputs(waves, seeds=seeds(examples))
        hidden = recogniser.encode(inputs.to(device), boundary)
        return recogniser.learnt(hidden, boundary, [len(wave) for wave in waves])

    with torch.no_grad(), run.accelerator.autocast():
        hidden = prefix_output(batch, encode, device) if boundary else encode(batch)
    settings = recipe.regularisation.spec_augment
    masking = None
    if settings.time_share or settings.feature_share:
        masking = SpecAugment(
            settings.time_share,
            settings.time_length,
            settings.feature_share,
            settings.feature_length,
            seeds(batch),
        )
    return wrapped(hidden, [example.labels for example in batch], masking)


def _clip(run: Run) -> float:
    parameters = [p for group in run.optimiser.param_groups for p in group["params"]]
    limit = run.recipe.optimiser.gradient_clip or float("inf")
    return float(whole(run.accelerator.clip_grad_norm_(parameters, limit)))


def _refuse_nan(value: float, run: Run, examples: list[list[Example]]) -> None:
    if value == value and abs(value) != float("inf"):
        return
    numbers = [n for batch in examples for e in batch for n in (e.number, *e.others)]
    rows = gather_object([run.corpus.rows[number].id for number in numbers])
    raise DataError(
        f"the loss became {value} at step {run.progress.step} with rows {', '.join(rows[:20])}: "
        "lower the learning rate or set precision: float32."
    )


def _after_step(run: Run) -> bool:
    """Evaluate and save where due; True when training must stop."""
    recipe, progress = run.recipe, run.progress
    last = progress.step >= recipe.schedule.steps
    stop = False
    if progress.step % recipe.evaluation.every == 0 or last:
        _evaluate(run)  # which leaves everything in eval mode
        run.recogniser.stack.set_modes()
        patience = recipe.evaluation.patience
        stop = patience is not None and progress.stale_evaluations >= patience
        stop = stop and not run.unfreezing.waits(progress)
    progress.finished = last or stop
    if progress.step % recipe.checkpoint_every == 0 or last or stop:
        main = run.accelerator.is_main_process
        if run.accelerator.scaler is not None:
            progress.scale = run.accelerator.scaler.state_dict()
        save_checkpoint(run.folder, run.learning, progress, main=main)
        if main:
            run.averages.prune(progress.history)
    return stop


def _evaluate(run: Run) -> None:
    """Measure the weights, or their moving average, and keep them where they are among the best."""
    progress = run.progress
    with run.learning.average.applied():
        values: dict[str, Any] = {"step": progress.step, **run.measure()}
        state = run.learning.state()
    improved = values["dev"] < progress.best_wer
    if improved:
        progress.best_wer, progress.best_step, progress.stale_evaluations = values["dev"], progress.step, 0
    else:
        progress.stale_evaluations += 1
    values["best"] = improved
    progress.history.append(values)
    if improved:
        run.observer.best(state, values)
    if run.accelerator.is_main_process:
        run.averages.keep(state, progress.history)
    run.observer.evaluation(values)
