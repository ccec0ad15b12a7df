"""Rows whose frozen prefix was computed before, transcribed from there.

Knows batches of kept states and how a transcript is made of one piece. Does not know where states are kept,
audio, or what is done with a transcript. Gives the text that the whole way from the sound gives.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from asr_adapt.manifest import Utterance
from asr_adapt.models import Hypothesis, Recogniser
from asr_adapt.models.states import stack_states
from asr_adapt.transcription.assembly import assemble
from asr_adapt.transcription.batching import batches
from asr_adapt.transcription.cores import core_threads
from asr_adapt.transcription.result import Transcript


class States(Protocol):
    """Outputs of the frozen prefix, by row."""

    @property
    def boundary(self) -> int:
        """Where the prefix ends."""

    def has(self, row: Utterance) -> bool:
        """Whether the row's states are kept."""

    def read(self, row: Utterance) -> Tensor:
        """States (frames, width) of a row that :meth:`has`."""


@dataclass(frozen=True)
class KnownRows:
    """What need not be computed again: ``states`` of rows, and what a model wrote before.

    With the fingerprint of its ``weights``, what they wrote under equal settings is read back, and what they
    write is kept (:mod:`asr_adapt.transcription.rows.kept_predictions`).
    """

    states: States | None = None
    weights: str | None = None


UNKNOWN = KnownRows()


def transcribe_states(
    recogniser: Recogniser,
    rows: Sequence[Utterance],
    states: States,
    *,
    batch_seconds: float,
    language: str | None = None,
    on_batch: Callable[[float, float], None] | None = None,
) -> Iterator[tuple[int, Transcript]]:
    """The number of each row and its transcript, batch by batch; every row must have states and a duration.

    ``on_batch`` is told the seconds of audio and of work of each batch.
    """
    rate = recogniser.sample_rate
    samples = [round((row.duration or 0.0) * rate) for row in rows]
    plan = batches(samples, budget=round(batch_seconds * rate))

    def decode(batch: list[int]) -> list[Hypothesis]:
        return _decoded(recogniser, states, [(rows[n], samples[n]) for n in batch], language)

    with core_threads(recogniser) as cores:
        last = time.perf_counter()
        decoded = map(decode, plan) if cores is None else cores.map(decode, plan)
        for batch, heard in zip(plan, decoded, strict=True):
            now = time.perf_counter()
            seconds = sum(rows[n].duration or 0.0 for n in batch)
            if on_batch is not None:
                on_batch(seconds, now - last)
            for number, hypothesis in zip(batch, heard, strict=True):
                share = (now - last) * (rows[number].duration or 0.0) / seconds if seconds else 0.0
                yield number, _transcript(recogniser, rows[number], samples[number], hypothesis, share)
            last = time.perf_counter()


def _decoded(
    recogniser: Recogniser, states: States, batch: list[tuple[Utterance, int]], language: str | None
) -> list[Hypothesis]:
    """One batch; where memory runs out, its halves."""
    hidden = stack_states([states.read(row) for row, _ in batch], recogniser.device)
    samples = [count for _, count in batch]
    try:
        return recogniser.transcribe_hidden(hidden, states.boundary, samples, language=language)
    except torch.OutOfMemoryError:
        if len(batch) == 1:
            raise
        torch.cuda.empty_cache()
    half = len(batch) // 2
    first, second = batch[:half], batch[half:]
    return [
        *_decoded(recogniser, states, first, language),
        *_decoded(recogniser, states, second, language),
    ]


def _transcript(
    recogniser: Recogniser, row: Utterance, samples: int, hypothesis: Hypothesis, seconds: float
) -> Transcript:
    return Transcript(
        source=row.audio_filepath,
        segments=assemble({(0, samples): hypothesis}, recogniser.sample_rate),
        duration=row.duration or 0.0,
        model=recogniser.name,
        compute_seconds=seconds,
        task=recogniser.settings.task,
    )
