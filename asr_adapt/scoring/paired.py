"""Two systems on the same utterances: difference of WER, interval, p, and what could have been seen.

Knows sums of errors and words per block for both systems. Does not know text, files or groups.

The interval resamples the same blocks for both systems (Bisani & Ney 2004). The p-value swaps the systems'
results block by block (approximate randomisation, Noreen 1989): exact when the systems are exchangeable, for
any number of blocks, so a gate built on it keeps its false-alarm level.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any, Literal

import numpy as np
from scipy.special import stdtrit

from asr_adapt.scoring.bootstrap import (
    FLIPS,
    LEVEL,
    REPLICATES,
    Blocks,
    Interval,
    effective_blocks,
    expanded_percentiles,
    ratio,
    resampled_sums,
)

POWER = 0.8  #: chance with which the minimum detectable difference would be found
_EXACT_BLOCKS = 12  #: up to here all 2ⁿ swaps are tried
_CELLS = 4_000_000
Verdict = Literal["better", "worse", "no evidence", "underpowered"]


@dataclass(frozen=True)
class Difference:
    """WER of B minus WER of A. Negative: B is better. All rates are fractions.

    ``p`` is two-sided, ``p_rise`` one-sided for "B is worse"; ``detectable`` is the difference that this test
    set would reveal with 80 % power at the level of the interval.
    """

    wer_a: float
    wer_b: float
    interval: Interval
    p: float
    p_rise: float
    detectable: float

    @property
    def delta(self) -> float:
        """WER of B minus WER of A."""
        return self.wer_b - self.wer_a

    @property
    def relative(self) -> float | None:
        """``delta`` as a share of A's WER; none when A made no error."""
        return self.delta / self.wer_a if self.wer_a else None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"delta": self.delta, "relative": self.relative} | asdict(self)


@dataclass(frozen=True)
class PairedErrors:
    """Errors and words per utterance of both systems, each of shape (utterances,)."""

    errors_a: np.ndarray
    words_a: np.ndarray
    errors_b: np.ndarray
    words_b: np.ndarray

    def take(self, rows: np.ndarray) -> PairedErrors:
        """The same for some utterances."""
        return PairedErrors(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))

    def block_sums(self, blocks: Blocks) -> np.ndarray:
        """Sums per block, shape (blocks, 4): errors A, words A, errors B, words B."""
        columns = (self.errors_a, self.words_a, self.errors_b, self.words_b)
        return np.stack([blocks.sums(column) for column in columns], axis=1)


def paired_difference(
    pairs: PairedErrors, blocks: Blocks, *, level: float = LEVEL, replicates: int = REPLICATES, seed: int = 0
) -> Difference:
    """Difference of two corpus WERs on the same utterances, with interval, p-values and power."""
    sums = pairs.block_sums(blocks)
    total = sums.sum(axis=0)
    generator = np.random.default_rng(seed)
    drawn = resampled_sums(sums, replicates=replicates, generator=generator)
    deltas = ratio(drawn[:, 2], drawn[:, 3]) - ratio(drawn[:, 0], drawn[:, 1])
    effective = effective_blocks(sums[:, 1])
    wer_a, wer_b = float(ratio(total[0], total[1])), float(ratio(total[2], total[3]))
    low, high = expanded_percentiles(deltas, wer_b - wer_a, effective, level)
    p, p_rise = swap_test(sums, generator=generator)
    return Difference(
        wer_a=wer_a,
        wer_b=wer_b,
        interval=Interval(low, high, level, blocks.unit, blocks.count, replicates),
        p=p,
        p_rise=p_rise,
        detectable=_detectable(deltas, effective, level),
    )


def _detectable(deltas: np.ndarray, effective: float, level: float) -> float:
    n = max(effective, 2.0)
    error = float(np.std(deltas)) * np.sqrt(n / (n - 1))
    return float((stdtrit(n - 1, 0.5 + level / 2) + NormalDist().inv_cdf(POWER)) * error)


def swap_test(sums: np.ndarray, *, generator: np.random.Generator, flips: int = FLIPS) -> tuple[float, float]:
    """Two-sided p and one-sided p of "B worse" by swapping the systems within random blocks.

    ``sums`` (blocks, 4) as in :meth:`PairedErrors.block_sums`. Blocks on which both systems agree do not
    matter; with at most 12 others every swap is tried, otherwise ``flips`` random ones (and the observed).
    """
    change = sums[:, 2:] - sums[:, :2]
    change = change[np.any(change != 0, axis=1)]
    if not len(change):
        return 1.0, 1.0
    total = sums.sum(axis=0)
    observed = float(ratio(total[2], total[3]) - ratio(total[0], total[1]))
    moved = _swapped_changes(change, generator, flips)
    errors_a, words_a = total[0] + moved[:, 0], total[1] + moved[:, 1]
    errors_b, words_b = total[2] - moved[:, 0], total[3] - moved[:, 1]
    deltas = ratio(errors_b, words_b) - ratio(errors_a, words_a)
    tiny = 1e-12  # equal differences must count as equal in spite of rounding
    extra = 0 if len(change) <= _EXACT_BLOCKS else 1
    two_sided = (np.sum(np.abs(deltas) >= abs(observed) - tiny) + extra) / (len(deltas) + extra)
    rise = (np.sum(deltas >= observed - tiny) + extra) / (len(deltas) + extra)
    return float(two_sided), float(rise)


def _swapped_changes(change: np.ndarray, generator: np.random.Generator, flips: int) -> np.ndarray:
    blocks = len(change)
    if blocks <= _EXACT_BLOCKS:
        swaps = (np.arange(2**blocks)[:, None] >> np.arange(blocks)) & 1
        return swaps.astype(np.float64) @ change
    result = np.empty((flips, 2))
    step = max(1, _CELLS // blocks)
    for start in range(0, flips, step):
        size = min(step, flips - start)
        result[start : start + size] = (generator.random((size, blocks), np.float32) < 0.5) @ change
    return result


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment (1979): compare each result with the level as it stands."""
    adjusted = [0.0] * len(p_values)
    running = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = running
    return adjusted


def verdict(difference: Difference, p: float, *, meaningful: float, level: float = LEVEL) -> Verdict:
    """What may be said: ``p`` is the (adjusted) two-sided p-value, ``meaningful`` a difference worth finding.

    Without a significant difference it depends on power: "no evidence" where ``meaningful`` would have been
    found with 80 % power, "underpowered" where it could have been missed.
    """
    if p <= 1 - level + 1e-12:
        return "worse" if difference.delta > 0 else "better"
    return "no evidence" if difference.detectable <= meaningful else "underpowered"
