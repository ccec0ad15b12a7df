"""A live run: sound in as it comes, updates out, and what is said of it in the end.

Knows the order of things, and when the recogniser is too slow. Does not know options, screens or files.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from asr_adapt.decoding import Decoding
from asr_adapt.models import Recogniser
from asr_adapt.transcription.live.clock import LiveClock, percentile
from asr_adapt.transcription.live.lines import LiveUpdate
from asr_adapt.transcription.live.stream import LiveStream
from asr_adapt.transcription.result import Transcript

#: Whoever is so many steps behind does not keep up.
STEPS_BEHIND = 3.0


@dataclass
class LiveReport:
    """What a run did; seconds of latency are None where sound came faster than it was spoken."""

    transcript: Transcript
    words: int
    audio_seconds: float
    compute_seconds: float
    median_latency: float | None = None
    latency_95: float | None = None
    most_behind: float = 0.0
    remarks: list[str] = field(default_factory=list)

    @property
    def real_time_factor(self) -> float:
        """Seconds of computing for each second of sound."""
        return self.compute_seconds / self.audio_seconds if self.audio_seconds else 0.0


class LiveRun:
    """Hears ``blocks`` with ``recogniser``; ``late`` is told once, when it falls behind, by how much."""

    def __init__(
        self,
        recogniser: Recogniser,
        options: Decoding,
        clock: LiveClock,
        *,
        step: float,
        late: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        self.clock, self.step = clock, step
        self.stream = LiveStream(recogniser, options, step=step, may_skip=self._next_waits)
        self._late: Callable[[float], None] | None = late
        self._words = 0

    def updates(self, blocks: Iterable[np.ndarray]) -> Iterator[LiveUpdate]:
        """An update for each hearing, and those of the end."""
        for block in blocks:
            yield from self._told(self.stream.feed(block))
        yield from self._told(self.stream.finish())

    def report(self, source: str, remarks: Iterable[str] = ()) -> LiveReport:
        """What has been done so far."""
        transcript = self.stream.transcript(source)
        found = LiveReport(transcript, self._words, transcript.duration, self.stream.compute_seconds)
        found.remarks = [*remarks, *self.stream.remarks]
        found.most_behind = self.clock.most_behind
        late = self.clock.latencies
        if late and not self.clock.recorded:
            found.median_latency, found.latency_95 = percentile(late, 0.5), percentile(late, 0.95)
        return found

    def _next_waits(self, second: float) -> bool:
        return self.clock.waits(second + self.step)

    def _told(self, updates: Iterable[LiveUpdate]) -> Iterator[LiveUpdate]:
        for update in updates:
            self._words += len(update.words)
            for word in update.words:
                self.clock.written(min(word.end, update.heard))
            behind = self.clock.heard(update.heard)
            if self._late is not None and behind > self.limit and not self.clock.recorded:
                self._late(behind)
                self._late = None
            yield update

    @property
    def limit(self) -> float:
        """Seconds behind which a run does not keep up."""
        return STEPS_BEHIND * max(1.0, self.step)


def advice(seconds: float) -> str:
    """What is said to whoever has a computer too slow for the model."""
    return (
        f"Hearing is {math.ceil(seconds)} s behind the sound; nothing is left out. "
        "A smaller model, --runtime auto or a longer --step keeps up."
    )
