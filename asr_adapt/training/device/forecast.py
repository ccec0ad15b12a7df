"""What a run will cost, told before it starts: rows, steps, minutes, disk.

Knows a run that is ready, and tries a little of everything on this computer. Does not train: nothing is
changed. The figures are rough, and at most what it takes: rows that an earlier run computed cost nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from asr_adapt.manifest import read_waveform
from asr_adapt.models import Hidden, Recogniser
from asr_adapt.training.callbacks.meter import Meter
from asr_adapt.training.device.batch_size import StepTrial, untouched
from asr_adapt.training.device.memory import grown, held
from asr_adapt.training.measuring.sets import Measuring
from asr_adapt.training.prefix.cache import PrefixCache
from asr_adapt.training.prefix.estimate import GIGABYTE
from asr_adapt.training.prefix.shards import encoded
from asr_adapt.training.recipe.plan import plan
from asr_adapt.training.watching import spoken

#: A trial is worth its time where counted arithmetic alone says that the run takes longer than this.
WORTH_SECONDS = 30.0
#: Share of the peak rate of arithmetic that networks reach, for that first guess.
USUAL_SHARE = 0.3
#: Rows in the batch of transcripts that is tried.
DECODED_ROWS = 8
#: Parts of a micro-batch that are tried.
TRIED_SHARES = 0.25, 0.5


@dataclass(frozen=True)
class Forecast:
    """What is going to be done; rows to encode and to decode, steps, seconds of each, gigabytes."""

    #: What was chosen, in words: see :func:`asr_adapt.training.recipe.plan.plan`.
    plan: str
    training_rows: int
    encoded_rows: int
    decoded_rows: int
    steps: int
    step_seconds: float
    encoding_seconds: float
    training_seconds: float
    decoding_seconds: float
    gigabytes: float
    #: What a training step takes at its peak, all in all: on the GPU, else in main memory.
    memory_gigabytes: float

    @property
    def seconds(self) -> float:
        """The whole run."""
        return self.encoding_seconds + self.training_seconds + self.decoding_seconds

    def sentence(self) -> str:
        """For people."""
        return (
            f"estimate: {self.training_rows} training rows; the frozen prefix of {self.encoded_rows} rows "
            f"{spoken(self.encoding_seconds)} and {self.gigabytes:.1f} GB of disk, {self.steps} steps at "
            f"{self.step_seconds:.2g} s {spoken(self.training_seconds)}, {self.decoded_rows} transcripts "
            f"{spoken(self.decoding_seconds)}: about {spoken(self.seconds)} in all, in "
            f"{self.memory_gigabytes:.1f} GB of memory."
        )

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self) | {"seconds": self.seconds}


def worth_telling(trial: StepTrial, meter: Meter, measuring: Measuring) -> bool:
    """Whether steps and the frozen prefix of all rows are more than a few seconds, by counted arithmetic."""
    if meter.costs is None:
        return False
    seconds = float(trial.corpus.durations.mean())
    steps = trial.recipe.schedule.steps - trial.learning.progress.step
    rows = len(trial.corpus) + measuring.counts(steps)[0]
    work = rows * float(meter.costs.prefix(seconds))
    work += steps * _rows_of_a_step(trial) * float(meter.costs.trained(seconds))
    return work > WORTH_SECONDS * USUAL_SHARE * max(meter.peak, 1.0)


def forecast(trial: StepTrial, meter: Meter, cache: PrefixCache, measuring: Measuring) -> Forecast:
    """Try one clip, one transcript and parts of a step, and multiply."""
    recogniser, recipe, corpus = trial.objective.recogniser, trial.recipe, trial.corpus
    boundary = recogniser.stack.boundary
    clip = read_waveform(measuring.dev[len(measuring.dev) // 2], recogniser.sample_rate)
    encoding = _timed(lambda: encoded(recogniser, [clip], boundary)) if boundary else 0.0
    decoding = _decoding(recogniser, clip, boundary)
    step, memory = _step(trial)
    steps = recipe.schedule.steps - trial.learning.progress.step
    measured, decoded = measuring.counts(steps)
    kept = bool(boundary) and recipe.cache.mode != "off"
    trained = len(corpus) * cache.copies if corpus.pack is None else 0
    states = _gigabytes(trial, meter) if kept else 0.0
    if not kept:
        decoding += encoding
    if not trained or not kept:
        step += encoding * _rows_of_a_step(trial)
    return Forecast(
        plan=plan(recipe),
        training_rows=len(corpus),
        encoded_rows=trained + measured if kept else 0,
        decoded_rows=decoded,
        steps=steps,
        step_seconds=step,
        encoding_seconds=encoding * (trained + measured) if kept else 0.0,
        training_seconds=steps * step,
        decoding_seconds=max(decoding, 0.0) * decoded,
        gigabytes=states * (trained + measured),
        memory_gigabytes=memory / GIGABYTE,
    )


def _decoding(recogniser: Recogniser, clip: np.ndarray, boundary: int) -> float:
    """Seconds of a transcript from kept states, as one of a batch; from the sound where nothing is kept."""
    if not boundary:
        return _timed(lambda: recogniser.transcribe([clip]))
    hidden = _repeated(encoded(recogniser, [clip], boundary), DECODED_ROWS)
    samples = [len(clip)] * DECODED_ROWS
    return _timed(lambda: recogniser.transcribe_hidden(hidden, boundary, samples)) / DECODED_ROWS


def _repeated(hidden: Hidden, rows: int) -> Hidden:
    """A single row ``rows`` times."""
    states = hidden.states.expand(rows, *hidden.states.shape[1:]).contiguous()
    return Hidden(states, hidden.lengths.expand(rows).contiguous())


def _timed(work: Callable[[], object]) -> float:
    """Seconds of the second call: the first one warms up."""
    work()
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _rows_of_a_step(trial: StepTrial) -> float:
    """Rows that the network computes in a step; clips that share a window count in part."""
    corpus = trial.corpus
    batches = corpus.plan.epoch(0)
    clips = trial.recipe.batch.accumulate * sum(map(len, batches)) / len(batches)
    pack = corpus.pack
    if pack is None:
        return clips
    heard = sum(map(pack.heard, corpus.durations)) / len(corpus)
    return clips * heard / trial.objective.recogniser.heard_seconds(0.0)


def _step(trial: StepTrial) -> tuple[float, float]:
    """Seconds of what learns, and bytes in all, on silence with labels of two parts of a micro-batch.

    Part of a step's time does not depend on its rows, so two sizes are tried, and the line through both gives
    that of all rows.
    """
    rows = _rows_of_a_step(trial) / trial.recipe.batch.accumulate
    few, more = (max(1, round(share * rows)) for share in TRIED_SHARES)
    with untouched(trial), trial.objective.accelerator.autocast():
        took, grew = _tried(trial, few)
        slope = took / few if more == few else max(0.0, _tried(trial, more)[0] - took) / (more - few)
        trial.objective.recogniser.model.zero_grad(set_to_none=True)
    seconds = (took + slope * (rows - few)) * trial.recipe.batch.accumulate
    return seconds, _memory(trial.objective.recogniser, grew, rows / few)


def _tried(trial: StepTrial, rows: int) -> tuple[float, int]:
    """Seconds of forward and backward on ``rows`` rows, and by how many bytes memory grew."""
    objective, corpus = trial.objective, trial.corpus
    recogniser, boundary = objective.recogniser, objective.recogniser.stack.boundary
    numbers = corpus.plan.epoch(0)[0][:rows]
    samples = int(float(corpus.durations[numbers].max()) * recogniser.sample_rate)
    silence = [np.zeros(samples, dtype=np.float32)]
    labels = [corpus.labels[number] for number in numbers]
    module = objective.module(boundary)
    hidden = _repeated(encoded(recogniser, silence, boundary, learnt=True), len(numbers))

    def step() -> None:
        module(hidden, labels, None).sum().backward()

    with grown(recogniser.device) as peak:
        took = _timed(step)
    return took, peak()


def _memory(recogniser: Recogniser, grew: int, whole: float) -> float:
    """Bytes of a micro-batch ``whole`` times as large as the one that was tried, while memory ``grew``.

    What is held now (weights, library, rows), gradients and Adam's two moments, and activations.
    """
    learning = sum(p.numel() * p.element_size() for p in recogniser.model.parameters() if p.requires_grad)
    return held(recogniser.device) + 3 * learning + max(grew - learning, 0) * whole


def _gigabytes(trial: StepTrial, meter: Meter) -> float:
    """Of one row's states in float32."""
    costs = meter.costs
    values = 0.0 if costs is None else float(costs.values(float(trial.corpus.durations.mean())))
    return values * 4 / GIGABYTE
