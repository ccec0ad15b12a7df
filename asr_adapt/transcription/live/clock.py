"""When sound was spoken, and how late its words are written.

Knows moments of a clock and counted seconds of sound. Does not know sound, words' text or recognisers.

Sound is *due* when it has arrived, but not before it can have been spoken: a recording piped at once counts
as if it were spoken from the moment at which the first of it came. Latency is the time from a word's end
being due to its being written; how far behind a run is, the time from the last heard sound being due.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field

#: Seconds of arrivals that are remembered behind what was heard: longer than any recogniser's window.
REMEMBERED = 120.0
#: Sound that comes so many seconds before it can have been spoken is a recording, which may wait.
RECORDING_AHEAD = 2.0
#: Arrivals that are kept before old ones are let go.
_MOST = 4096


@dataclass
class LiveClock:
    """Counts what arrives (one thread) and what is written (another); ``now`` gives seconds."""

    now: Callable[[], float] = time.monotonic
    began: float | None = None
    arrived: float = 0.0
    latencies: list[float] = field(default_factory=list)
    most_behind: float = 0.0
    ahead: float = 0.0
    _arrivals: list[tuple[float, float]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def arrival(self, seconds: float) -> None:
        """So many seconds more of sound are there."""
        with self._lock:
            moment = self.now()
            if self.began is None:
                self.began = moment - seconds  # it was spoken before it came
            self.arrived += seconds
            self._arrivals.append((self.arrived, moment))
            self.ahead = max(self.ahead, self.began + self.arrived - moment)

    def due(self, second: float) -> float:
        """The moment at which sound up to ``second`` was due."""
        with self._lock:
            place = bisect_left(self._arrivals, (second, float("-inf")))
            moment = self._arrivals[min(place, len(self._arrivals) - 1)][1] if self._arrivals else self.now()
            return max(moment, (self.began or 0.0) + second)

    def waits(self, second: float) -> bool:
        """Whether sound up to ``second`` is due already."""
        return self.arrived >= second and self.now() >= self.due(second)

    def heard(self, second: float) -> float:
        """Sound up to ``second`` has been heard now; gives how many seconds that is behind."""
        behind = max(0.0, self.now() - self.due(second))
        self.most_behind = max(self.most_behind, behind)
        self._forget(second)
        return behind

    def written(self, end: float) -> None:
        """A word that ended at second ``end`` is written now."""
        self.latencies.append(max(0.0, self.now() - self.due(end)))

    @property
    def recorded(self) -> bool:
        """Whether sound came faster than anybody speaks, so that latencies mean nothing."""
        return self.ahead > RECORDING_AHEAD

    def _forget(self, second: float) -> None:
        with self._lock:
            if len(self._arrivals) > _MOST:
                keep = bisect_left(self._arrivals, (second - REMEMBERED, float("-inf")))
                del self._arrivals[:keep]


def percentile(values: list[float], share: float) -> float:
    """The value below which a ``share`` of ``values`` lies (nearest rank)."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(share * len(ranked)))]
