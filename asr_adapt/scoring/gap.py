"""How unequally a recogniser serves groups: the worst group, the best, and the gap between them.

Knows a counted set and the rows of each group. Does not know where groups come from or who judges them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from asr_adapt.scoring.bootstrap import (
    LEVEL,
    REPLICATES,
    Blocks,
    Interval,
    effective_blocks,
    expanded_percentiles,
    ratio,
    resampled_sums,
)
from asr_adapt.scoring.counts import ErrorTable


@dataclass(frozen=True)
class Gap:
    """WER of the worst group minus WER of the best one, with the interval of this difference.

    The interval takes the two groups as given. That they were picked as extremes of several makes the gap
    itself an overestimate when groups are small or many; compare sets by their gaps on the same rows.
    """

    worst: str
    best: str
    gap: float
    interval: Interval

    def to_json(self) -> dict[str, Any]:
        """Plain values, WER differences as fractions."""
        return asdict(self)


def measure_gap(table: ErrorTable, blocks: Blocks, groups: Mapping[str, np.ndarray], *, seed: int = 0) -> Gap:
    """The gap over ``groups`` (value → row indices, at least two); groups without words are left out."""
    rates = {name: table.total(rows).wer for name, rows in groups.items() if table.words[rows].any()}
    rates = rates or dict.fromkeys(groups, 0.0)
    worst = max(rates, key=lambda name: rates[name])
    best = min(rates, key=lambda name: rates[name])
    pair = [groups[worst], groups[best]]
    low, high, count = _pair_interval(table, blocks, pair, np.random.default_rng(seed))
    interval = Interval(low, high, LEVEL, blocks.unit, count, REPLICATES)
    return Gap(worst, best, rates[worst] - rates[best], interval)


def _pair_interval(
    table: ErrorTable, blocks: Blocks, pair: list[np.ndarray], generator: np.random.Generator
) -> tuple[float, float, int]:
    parts = [np.unique(blocks.index[rows]) for rows in pair]
    sums = np.zeros((blocks.count, 4))
    for side, rows in enumerate(pair):
        for column, values in enumerate((table.errors, table.words)):
            sums[:, 2 * side + column] = np.bincount(
                blocks.index[rows], weights=values[rows], minlength=blocks.count
            )
    shared = np.union1d(*parts)
    if len(shared) == len(parts[0]) + len(parts[1]):  # no speaker in both: resample within each group
        drawn = np.hstack(
            [
                resampled_sums(sums[part][:, 2 * side : 2 * side + 2], generator=generator)
                for side, part in enumerate(parts)
            ]
        )
    else:
        drawn = resampled_sums(sums[shared], generator=generator)
    gaps = ratio(drawn[:, 0], drawn[:, 1]) - ratio(drawn[:, 2], drawn[:, 3])
    effective = min(effective_blocks(sums[parts[0], 1]), effective_blocks(sums[parts[1], 3]))
    total = sums.sum(axis=0)
    gap = float(ratio(total[0], total[1]) - ratio(total[2], total[3]))
    return *expanded_percentiles(gaps, gap, effective), len(shared)
