"""Pieces of many sources in batches through one recogniser.

Knows how much fits into a batch, running out of memory, and cores side by side. Does not know how audio is
cut (``reading``), nor what is done with what was heard (``engine``).
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from typing import Generic, Protocol, TypeVar

import numpy as np
import torch

from asr_adapt.decoding import Decoding
from asr_adapt.models import Hypothesis, Recogniser
from asr_adapt.transcription.batching import batches
from asr_adapt.transcription.calibration import hear
from asr_adapt.transcription.windows import Piece

#: Padded seconds of audio in one batch on a CPU; more only leaves the caches.
CPU_BATCH_SECONDS = 40.0
#: Padded seconds of audio for each free GiB of an accelerator: large models stay well inside it.
BATCH_SECONDS_PER_GIB = 20.0
#: Pieces that a batch may hold at least, where the network computes a whole window for each (Whisper).
LEAST_ROWS = 8
#: Shorter pieces are padded with silence to this, so that every front end gives at least a frame.
SHORTEST_SECONDS = 0.1


class HasLanguage(Protocol):
    """Whose piece it is: the language in which it is heard is all that is asked."""

    @property
    def language(self) -> str | None:
        """None: the recogniser's own."""


Owner = TypeVar("Owner", bound=HasLanguage)
#: A piece that waits to be heard, behind its owner.
Waiting = tuple[Owner, Piece]


class PieceBatches(Generic[Owner]):
    """Hears pieces; ``deliver`` gets each batch, its hypotheses and the seconds of work, in order.

    ``budget`` is the padded seconds of audio in one batch, which halves where memory runs out.
    """

    def __init__(
        self,
        recogniser: Recogniser,
        options: Decoding,
        deliver: Callable[[Sequence[Waiting[Owner]], Sequence[Hypothesis], float], None],
    ) -> None:
        self._recogniser, self._options, self._deliver = recogniser, options, deliver
        # of a family that hears a whole window for any clip
        least = LEAST_ROWS * recogniser.heard_seconds(0.0)
        self.budget = max(options.batch_seconds or _automatic_batch(recogniser.device), least)

    def run(self, pieces: Sequence[Waiting[Owner]], cores: Executor | None) -> None:
        """Recognise all ``pieces``, side by side where there are ``cores``."""
        plan = self._plan(pieces)
        if cores is None or len(plan) == 1:
            for batch in plan:
                self._recognise(batch)
        else:
            self._recognise_at_once(plan, cores)

    def _plan(self, pieces: Sequence[Waiting[Owner]]) -> list[list[Waiting[Owner]]]:
        """Batches of pieces of one language and like length."""
        rate, hears = self._recogniser.sample_rate, self._recogniser.heard_seconds
        groups: dict[str | None, list[Waiting[Owner]]] = defaultdict(list)
        for job, piece in pieces:
            groups[job.language].append((job, piece))
        plan = []
        for group in groups.values():
            lengths = [round(hears(len(piece.samples) / rate) * rate) for _, piece in group]
            cut = batches(lengths, budget=round(self.budget * rate), rows=self._options.batch_size)
            plan += [[group[i] for i in batch] for batch in cut]
        return plan

    def _recognise_at_once(self, plan: list[list[Waiting[Owner]]], cores: Executor) -> None:
        """Run the batches side by side; each is delivered in its turn, with the time since the one before."""
        last = time.perf_counter()
        heard = cores.map(self._transcribe, plan)
        for batch, hypotheses in zip(plan, heard, strict=True):
            now = time.perf_counter()
            self._deliver(batch, hypotheses, now - last)
            last = now

    def _recognise(self, batch: list[Waiting[Owner]]) -> None:
        """Run one batch; where memory runs out, its halves, and smaller batches from then on."""
        started = time.perf_counter()
        try:
            hypotheses = self._transcribe(batch)
        except torch.OutOfMemoryError:
            if len(batch) == 1:
                raise
            torch.cuda.empty_cache()
            self.budget = max(1.0, self.budget / 2)
            self._recognise(batch[: len(batch) // 2])
            self._recognise(batch[len(batch) // 2 :])
            return
        self._deliver(batch, hypotheses, time.perf_counter() - started)

    def _transcribe(self, batch: Sequence[Waiting[Owner]]) -> list[Hypothesis]:
        pieces, language = [piece for _, piece in batch], batch[0][0].language
        shortest = round(SHORTEST_SECONDS * self._recogniser.sample_rate)
        waveforms = [np.pad(p.samples, (0, max(0, shortest - len(p.samples)))) for p in pieces]
        words = self._options.word_timestamps or any(piece.seam for piece in pieces)
        return hear(self._recogniser, waveforms, replace(self._options, language=language), words=words)


def _automatic_batch(device: torch.device) -> float:
    """Seconds of audio in a batch that suit the device."""
    if device.type != "cuda":
        return CPU_BATCH_SECONDS
    free, _ = torch.cuda.mem_get_info(device)
    return max(CPU_BATCH_SECONDS, free / 2**30 * BATCH_SECONDS_PER_GIB)
