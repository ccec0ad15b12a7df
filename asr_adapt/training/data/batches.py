"""Batches by seconds of audio: length-homogeneous, shuffled, reproducible, with shares of replayed rows
and of rows in which nobody speaks.

Knows durations and seeds. Does not know audio, text or models. The order is a function of (seed, epoch)
alone; a position is two numbers, so that resuming mid-epoch needs nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Relative jitter of the lengths before sorting: enough to change neighbours, little enough to pad ≤ 3 %.
LENGTH_JITTER = 0.02
#: Lengths are rounded up to this many seconds before they are added up, so that few batch shapes occur.
LENGTH_STEP = 0.32
#: Candidate pool of replay: this factor times the rows needed, of the nearest length …
REPLAY_POOL = 8
#: … but from no more than this share of all, lest a small replay set bring in clips of any length.
REPLAY_SPREAD = 0.125


@dataclass(frozen=True)
class BatchLimits:
    """Most cost and rows of a micro-batch; a clip of d seconds costs d + d²/``quadratic_seconds``."""

    seconds: float
    quadratic_seconds: float = 60.0
    rows: int | None = None

    def cost(self, durations: NDArray[np.float64]) -> NDArray[np.float64]:
        """Cost of each clip in seconds (the formula of lhotse's samplers)."""
        return durations + durations**2 / self.quadratic_seconds


@dataclass(frozen=True)
class Silent:
    """Seconds of the rows in which nobody speaks, and their share of a micro-batch."""

    durations: NDArray[np.float64]
    share: float


@dataclass(frozen=True)
class Position:
    """The next micro-batch: its epoch and its place in that epoch."""

    epoch: int = 0
    batch: int = 0


def deal(costs: Sequence[float], processes: int) -> list[list[int]]:
    """Places of a step's micro-batches for each process: as many for each, and alike in cost.

    The dearest first, each to the process with the least so far that still has room (Graham 1969). Which
    process computes a micro-batch changes nothing but the time.
    """
    room = len(costs) // processes
    shares: list[list[int]] = [[] for _ in range(processes)]
    loads = [0.0] * processes
    for place in sorted(range(len(costs)), key=lambda i: (-costs[i], i)):
        least = min((p for p in range(processes) if len(shares[p]) < room), key=lambda p: (loads[p], p))
        shares[least].append(place)
        loads[least] += costs[place]
    return [sorted(share) for share in shares]


class BatchPlan:
    """Micro-batches of row numbers: target rows first (0 … n-1), then replayed rows, then silent ones.

    ``heard`` gives the seconds that the network computes for a clip: what a row costs.
    """

    def __init__(
        self,
        durations: NDArray[np.float64],
        limits: BatchLimits,
        *,
        seed: int,
        replay: NDArray[np.float64] | None = None,
        share: float = 0.0,
        silent: Silent | None = None,
        heard: Callable[[float], float] = float,
    ) -> None:
        self.durations = np.asarray(durations, dtype=np.float64)
        self.limits = limits
        self.seed = seed
        self.share = share if replay is not None and len(replay) else 0.0
        self.replay = np.zeros(0) if replay is None else np.asarray(replay, dtype=np.float64)
        self.silent = np.zeros(0) if silent is None else np.asarray(silent.durations, dtype=np.float64)
        self.silent_share = 0.0 if silent is None else silent.share
        #: Seconds of every row, target, replayed and silent.
        self.lengths = np.concatenate([self.durations, self.replay, self.silent])
        self.heard = heard
        self.computed = np.array([heard(d) for d in self.durations], dtype=np.float64)
        self._replay_order = np.argsort(self.replay, kind="stable")

    def epoch(self, epoch: int) -> list[list[int]]:
        """All micro-batches of one pass over the target rows."""
        random = np.random.default_rng((self.seed, epoch))
        jitter = 1.0 + LENGTH_JITTER * random.uniform(-1.0, 1.0, len(self.durations))
        order = np.argsort(self.durations * jitter, kind="stable")
        batches = self._cut(order)
        if self.share:
            batches = [self._with_replay(batch, random) for batch in batches]
        if self.silent_share:
            batches = [self._with_silence(batch, random) for batch in batches]
        random.shuffle(batches)
        return batches

    def stream(self, start: Position) -> Iterator[tuple[Position, list[int]]]:
        """Endless (position, micro-batch) pairs from ``start`` on."""
        epoch, batch = start.epoch, start.batch
        while True:
            batches = self.epoch(epoch)
            for number in range(batch, len(batches)):
                yield Position(epoch, number), batches[number]
            epoch, batch = epoch + 1, 0

    def cost(self, batch: list[int]) -> float:
        """What a micro-batch costs: its rows times the cost of the longest, in seconds."""
        longest = float(self.lengths[batch].max())
        return len(batch) * float(self.limits.cost(np.array([self.heard(longest)]))[0])

    def with_limits(self, limits: BatchLimits) -> BatchPlan:
        """The same rows and shares under other limits."""
        other = copy(self)
        other.limits = limits
        return other

    def padding(self, batches: list[list[int]]) -> float:
        """Share of padded seconds in ``batches``."""
        padded = sum(len(b) * self.lengths[b].max() for b in batches)
        return 1.0 - float(sum(self.lengths[b].sum() for b in batches)) / float(padded)

    def _cut(self, order: NDArray[np.int64]) -> list[list[int]]:
        own = 1.0 - self.share - self.silent_share
        budget = self.limits.seconds * own
        most_rows = max(1, round((self.limits.rows or len(order)) * own))
        costs = self.limits.cost(np.ceil(self.computed / LENGTH_STEP) * LENGTH_STEP)
        batches: list[list[int]] = []
        current: list[int] = []
        longest = 0.0
        for row in order.tolist():
            longest = max(longest, costs[row])
            if current and (longest * (len(current) + 1) > budget or len(current) >= most_rows):
                batches.append(current)
                current, longest = [], costs[row]
            current.append(row)
        return [*batches, current] if current else batches

    def _with_replay(self, batch: list[int], random: np.random.Generator) -> list[int]:
        exact = len(batch) * self.share / (1.0 - self.share - self.silent_share)
        count = int(exact + random.random())
        if count == 0:
            return batch
        longest = float(self.durations[batch].max())
        at = int(np.searchsorted(self.replay[self._replay_order], longest, side="right"))
        pool = max(count, min(count * REPLAY_POOL, round(len(self.replay) * REPLAY_SPREAD)))
        low = max(0, at - pool)  # the rows just below the longest, so that replay adds no padding
        near = self._replay_order[low : max(at, low + count)]
        chosen = random.choice(near, size=count, replace=len(near) < count)
        return batch + [len(self.durations) + int(i) for i in chosen]

    def _with_silence(self, batch: list[int], random: np.random.Generator) -> list[int]:
        """``batch`` with rows in which nobody speaks, so many that they are their share of it on average."""
        count = int(len(batch) * self.silent_share / (1.0 - self.silent_share) + random.random())
        first = len(self.durations) + len(self.replay)
        chosen = random.choice(len(self.silent), size=count, replace=len(self.silent) < count)
        return batch + [first + int(i) for i in chosen]
