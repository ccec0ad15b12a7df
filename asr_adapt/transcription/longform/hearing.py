"""The turns of many sources, batch after batch, until none is left that can be taken.

Knows batches of windows and running out of memory. Does not know what a turn says about the next.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import torch

from asr_adapt.models import Recogniser
from asr_adapt.transcription.longform.turns import Track, Turn

#: Windows in one batch on a CPU.
CPU_ROWS = 8

Owner = TypeVar("Owner")


class TurnBatches(Generic[Owner]):
    """Takes turns with ``recogniser``; ``rows`` bounds a batch and falls where memory runs out."""

    def __init__(self, recogniser: Recogniser, rows: int, *, words: bool) -> None:
        self.recogniser, self.rows, self.words = recogniser, rows, words
        self._waiting: deque[tuple[Owner, Track, Turn]] = deque()

    def run(
        self,
        tracks: Sequence[tuple[Owner, Track]],
        told: Callable[[Owner, Turn, float], None],
        *,
        more: bool = False,
    ) -> None:
        """Take turns of all tracks until none is ready; ``told`` gets the seconds of work of each.

        Where ``more`` audio is to come, a batch that is not full waits for it; turns of tracks that are no
        longer given are dropped.
        """
        known = {id(track) for _, track in tracks}
        self._waiting = deque(one for one in self._waiting if id(one[1]) in known)
        while True:
            for owner, track in tracks:
                self._waiting.extend((owner, track, turn) for turn in track.ready())
            count = min(self.rows, len(self._waiting))
            if not count or (more and count < self.rows):
                return
            self._take([self._waiting.popleft() for _ in range(count)], told)

    def _take(
        self, batch: list[tuple[Owner, Track, Turn]], told: Callable[[Owner, Turn, float], None]
    ) -> None:
        started = time.perf_counter()
        try:
            heard = self.recogniser.hear_windows([turn.window for _, _, turn in batch], words=self.words)
        except torch.OutOfMemoryError:
            if len(batch) == 1:
                raise
            torch.cuda.empty_cache()
            self.rows = max(1, self.rows // 2)
            self._take(batch[: len(batch) // 2], told)
            self._take(batch[len(batch) // 2 :], told)
            return
        seconds = (time.perf_counter() - started) / len(batch)
        for (owner, track, turn), said in zip(batch, heard, strict=True):
            track.take(turn, said)
            told(owner, turn, seconds)
