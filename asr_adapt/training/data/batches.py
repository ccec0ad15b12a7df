"""Batches by seconds of audio: length-homogeneous, shuffled, reproducible, with a share of replayed rows.

Knows durations and seeds. Does not know audio, text or models. The order is a function of (seed, epoch)
alone; a position is two numbers, so that resuming mid-epoch needs nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Relative jitter of the lengths before sorting: enough to change neighbours, little enough to pad ≤ 3 %.
LENGTH_JITTER = 0.02
#: Lengths are rounded up to this many seconds before they are added up, so that few batch shapes occur.
LENGTH_STEP = 0.32
#: Replayed rows are drawn among this many times as many rows of the nearest length …
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
    """Micro-batches of row numbers: target rows first (0 … n-1), replayed rows behind them.

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
        heard: Callable[[float], float] = float,
    ) -> None:
        self.durations = np.asarray(durations, dtype=np.float64)
        self.limits = limits
        self.seed = seed
        self.share = share if replay is not None and len(replay) else 0.0
        self.replay = np.zeros(0) if replay is None else np.asarray(replay, dtype=np.float64)
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
        lengths = [
            self.durations[i] if i < len(self.durations) else self.replay[i - len(self.durations)]
            for i in batch
        ]
        return len(batch) * float(self.limits.cost(np.array([self.heard(max(lengths))]))[0])

    def padding(self, batches: list[list[int]]) -> float:
        """Share of padded seconds in ``batches``."""
        lengths = np.concatenate([self.durations, self.replay])
        padded = sum(len(b) * lengths[b].max() for b in batches)
        return 1.0 - float(sum(lengths[b].sum() for b in batches)) / float(padded)

    def _cut(self, order: NDArray[np.int64]) -> list[list[int]]:
        budget = self.limits.seconds * (1.0 - self.share)
        most_rows = self.limits.rows or len(order)
        most_rows = max(1, round(most_rows * (1.0 - self.share)))
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
        exact = len(batch) * self.share / (1.0 - self.share)
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
