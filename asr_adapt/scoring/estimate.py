"""A WER with its interval, straight from two lists of texts.

Knows how counts and bootstrap go together for one set of utterances. Does not know files, groups or reports.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from asr_adapt.scoring.bootstrap import Blocks, Interval, speaker_blocks, wer_interval
from asr_adapt.scoring.counts import Counts, ErrorTable, count_errors


class Rates:
    """The rates of whatever holds counts."""

    counts: Counts

    @property
    def wer(self) -> float:
        """Corpus word error rate, a fraction."""
        return self.counts.wer

    @property
    def cer(self) -> float:
        """Corpus character error rate, a fraction."""
        return self.counts.cer


@dataclass(frozen=True)
class Estimate(Rates):
    """Counts of a set of utterances and the 95 % intervals of its WER and CER."""

    counts: Counts
    interval: Interval
    cer_interval: Interval

    def to_json(self) -> dict[str, Any]:
        """Counts and rates at the top level, the intervals under ``interval`` (WER) and ``cer_interval``."""
        return self.counts.to_json() | {
            "interval": self.interval.to_json(),
            "cer_interval": self.cer_interval.to_json(),
        }


def estimate(table: ErrorTable, blocks: Blocks, rows: np.ndarray | None = None, *, seed: int = 0) -> Estimate:
    """The estimate over ``rows`` (indices; default all) of a counted set."""
    if rows is None:
        rows = np.arange(len(table))
    chosen = blocks.take(rows)
    interval = wer_interval(table.errors[rows], table.words[rows], chosen, seed=seed)
    cer = wer_interval(table.character_errors[rows], table.characters[rows], chosen, seed=seed)
    return Estimate(table.total(rows), interval, cer)


def wer_with_interval(
    references: Sequence[str],
    hypotheses: Sequence[str],
    speakers: Sequence[str | None] | None = None,
    profile: str = "basic",
    seed: int = 0,
) -> Estimate:
    """Corpus WER with a 95 % interval over speakers (over utterances where fewer than 6 are known)."""
    table = count_errors(references, hypotheses, profile)
    return estimate(table, speaker_blocks(speakers, len(table)), seed=seed)
