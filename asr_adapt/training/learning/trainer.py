"""THE training loop: one loop for every family, strategy and number of processes.

Knows steps, gradients, evaluation and checkpoints. Does not know architectures, recipes' files, where rows
come from, or what is done at its moments: that are :mod:`callbacks <asr_adapt.training.callback>`.

Everything random in a step is a function of (seed, step or row), so a resumed run repeats the killed one and
the trajectory does not depend on how micro-batches are shared among processes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor, nn

from asr_adapt.errors import DataError
from asr_adapt.models import Recogniser
from asr_adapt.training.callback import Callback
from asr_adapt.training.data.batches import Position, deal
from asr_adapt.training.data.corpus import Corpus, Example, prefetched
from asr_adapt.training.learning import sharding
from asr_adapt.training.learning.checkpoints import load_checkpoint, newest_checkpoint, save_checkpoint
from asr_adapt.training.learning.objective import Objective
from asr_adapt.training.learning.schedule import rate_factor
from asr_adapt.training.learning.state import Learning, whole
from asr_adapt.training.prefix.cache import SEED_STRIDE
from asr_adapt.training.progress import Progress
from asr_adapt.training.recipe.schema import Recipe

#: Of the accelerator's project folder: where checkpoints lie.
CHECKPOINTS = "checkpoints"


class Trainer:
    """Trains ``learning``, a part of ``recogniser``, on the planned batches of ``corpus``.

    ``settings`` are a recipe's. ``measure`` gives WERs (fractions) by set; ``dev`` decides which weights are
    best. Checkpoints go to the folder ``checkpoints`` of the accelerator's project folder.
    """

    def __init__(
        self,
        recogniser: Recogniser,
        corpus: Corpus,
        learning: Learning,
        settings: Recipe,
        callbacks: Sequence[Callback],
        *,
        accelerator: Accelerator,
        measure: Callable[[], Mapping[str, Any]],
    ) -> None:
        self.recogniser, self.corpus, self.learning = recogniser, corpus, learning
        self.settings, self.callbacks = settings, tuple(callbacks)
        self.accelerator, self.measure = accelerator, measure
        self.checkpoints = Path(accelerator.project_dir) / CHECKPOINTS
        self.objective = Objective(recogniser, settings.regularisation, settings.seed, accelerator)

    @property
    def progress(self) -> Progress:
        """Where the run stands."""
        return self.learning.progress

    def fit(self, *, resume: bool = False) -> Progress:
        """Train until the schedule ends or a callback stops it, from the newest checkpoint with ``resume``.

        Raises :class:`~asr_adapt.errors.DataError` where the loss is no number any more.
        """
        if resume and (newest := newest_checkpoint(self.checkpoints)):
            self.learning.progress = load_checkpoint(newest, self.learning)
            if self.accelerator.scaler is not None and self.progress.scale:
                self.accelerator.scaler.load_state_dict(self.progress.scale)
        unfreezing = self.learning.unfreezing
        with ExitStack() as around:
            for callback in self.callbacks:
                around.enter_context(callback.training())
            unfreezing.begin(self.progress)
            wrapped = self._wrapped(None)
            if self.progress.step == 0 and not self.progress.history:
                self._evaluate()
            while not self.progress.finished:
                self._train_phase(wrapped)
                if unfreezing.due(self.progress) and not self.progress.finished:
                    unfreezing.begin(self.progress)
                    wrapped = self._wrapped(wrapped)
        return self.progress

    def _measuring(self) -> ExitStack:
        around = ExitStack()
        for callback in self.callbacks:
            around.enter_context(callback.measuring())
        return around

    def _wrapped(self, former: nn.Module | None) -> nn.Module:
        """The part that learns now, ready for all processes; ``former`` is what learnt before."""
        boundary = self.recogniser.stack.boundary
        module = self.objective.module(boundary)
        for callback in self.callbacks:
            callback.boundary_moves()
        with self._measuring():
            for callback in self.callbacks:
                callback.boundary_moved(boundary)
        learning, accelerator = self.learning, self.accelerator
        if former is None and sharding.wanted():
            return sharding.shard(module, self.recogniser, learning, accelerator)
        if former is None:
            wrapped, learning.optimiser = accelerator.prepare(module, learning.optimiser)
            return wrapped
        accelerator.free_memory(former)  # DDP only hears of parameters that learnt when it was made
        return accelerator.prepare(module)

    def _train_phase(self, wrapped: nn.Module) -> None:
        """Steps until training ends or more layers are freed; a phase begins as a resumed run does."""
        boundary = self.recogniser.stack.boundary
        self.recogniser.stack.set_modes()
        with closing(self._steps()) as steps:
            started = time.perf_counter()  # waiting for data counts
            for batches in steps:
                values = self._optimise(wrapped, boundary, batches)
                elapsed = time.perf_counter() - started
                self.progress.seconds += elapsed
                values["seconds"] = self.progress.seconds
                for callback in self.callbacks:
                    callback.step_done(values, elapsed)
                if self._after_step() or self.learning.unfreezing.due(self.progress):
                    return
                started = time.perf_counter()
        self.progress.finished = True

    def _steps(self) -> Generator[Any, None, None]:
        """Micro-batches of one optimiser step at a time, decoded ahead, until the schedule ends."""
        accelerator, settings, corpus, plan = self.accelerator, self.settings, self.corpus, self.corpus.plan
        per_step = settings.batch.accumulate * accelerator.num_processes
        rank = accelerator.process_index
        stream = plan.stream(Position(self.progress.epoch, self.progress.batch))

        def planned() -> Iterator[list[tuple[Position, list[int]]]]:
            for _ in range(self.progress.step, settings.schedule.steps):
                yield list(islice(stream, per_step))

        def load(step: list[tuple[Position, list[int]]]) -> list[tuple[int, list[Example]]]:
            places = deal([plan.cost(rows) for _, rows in step], accelerator.num_processes)[rank]
            chosen = [(place, *step[place]) for place in places]
            return [(n, corpus.batch(rows, at.epoch)) for n, at, rows in chosen]

        for step, examples in prefetched(planned(), load, settings.batch.prefetch):
            position = step[-1][0]
            tokens = sum(len(corpus.labels[row]) for _, rows in step for row in rows)
            self.progress.epoch, self.progress.batch = position.epoch, position.batch + 1
            yield examples, tokens, position.epoch

    def _optimise(self, wrapped: nn.Module, boundary: int, batches: Any) -> dict[str, Any]:
        """One optimiser step; the loss is nats per label over the step's micro-batches of all processes."""
        examples, tokens, epoch = batches
        accelerator, settings, learning = self.accelerator, self.settings, self.learning
        step = self.progress.step
        factor = rate_factor(settings.schedule, step)
        for group in learning.optimiser.param_groups:
            group["lr"] = group["peak"] * factor * learning.unfreezing.rate(group, self.progress)
        total = torch.zeros((), device=accelerator.device)
        padded = 0.0
        for place, batch in examples:  # the place in the step, whichever process has it
            torch.manual_seed((settings.seed * SEED_STRIDE + step) * 1009 + place)
            loss = self.objective.row_losses(wrapped, boundary, batch, epoch).sum() / tokens
            # DDP averages over processes; we want the sum
            accelerator.backward(loss * accelerator.num_processes)
            total += loss.detach()
            padded += len(batch) * max(e.seconds for e in batch)
            for callback in self.callbacks:
                callback.batch_done(batch)
        norm = self._clip()
        learning.optimiser.step()
        learning.optimiser.zero_grad(set_to_none=True)
        self.progress.step += 1
        learning.average.update(self.progress.step)
        sums = torch.stack([total, torch.full_like(total, padded)])
        value, padded = accelerator.reduce(sums, "sum").tolist()
        self._refuse_nan(value, [batch for _, batch in examples])
        return {
            "step": self.progress.step,
            "epoch": epoch,
            "loss": value,
            "gradient_norm": norm if math.isfinite(norm) else None,  # float16's scale is being found
            "rate": factor * settings.optimiser.learning_rate,
            "tokens": tokens,
            "audio_seconds": padded,
        }

    def _clip(self) -> float:
        parameters = [p for group in self.learning.optimiser.param_groups for p in group["params"]]
        limit = self.settings.optimiser.gradient_clip or float("inf")
        return float(whole(self.accelerator.clip_grad_norm_(parameters, limit)))

    def _refuse_nan(self, value: float, examples: list[list[Example]]) -> None:
        if value == value and abs(value) != float("inf"):
            return
        numbers = [n for batch in examples for e in batch for n in (e.number, *e.others)]
        rows = gather_object([self.corpus.rows[number].id for number in numbers])
        raise DataError(
            f"the loss became {value} at step {self.progress.step} with rows {', '.join(rows[:20])}: "
            "lower the learning rate or set precision: float32."
        )

    def _after_step(self) -> bool:
        """Evaluate and save where due; True when training must stop."""
        settings, progress = self.settings, self.progress
        last = progress.step >= settings.schedule.steps
        stop = False
        if progress.step % settings.evaluation.every == 0 or last:
            self._evaluate()  # which leaves everything in eval mode
            self.recogniser.stack.set_modes()
            stop = any([callback.stops(progress) for callback in self.callbacks])
        progress.finished = last or stop
        if progress.step % settings.checkpoint_every == 0 or last or stop:
            if self.accelerator.scaler is not None:
                progress.scale = self.accelerator.scaler.state_dict()
            save_checkpoint(self.checkpoints, self.learning, main=self.accelerator.is_main_process)
            for callback in self.callbacks:
                callback.checkpoint_saved(progress)
        return stop

    def _evaluate(self) -> None:
        """Measure the weights, or their moving average; what is kept of them is the callbacks' business."""
        progress = self.progress
        with self.learning.average.applied():
            with self._measuring():
                values: dict[str, Any] = {"step": progress.step, **self.measure()}
            state: dict[str, Tensor] = self.learning.state()
        improved = values["dev"] < progress.best_wer
        if improved:
            progress.best_wer, progress.best_step, progress.stale_evaluations = (
                values["dev"],
                progress.step,
                0,
            )
        else:
            progress.stale_evaluations += 1
        values["best"] = improved
        progress.history.append(values)
        for callback in self.callbacks:
            callback.evaluated(values, state, progress)
