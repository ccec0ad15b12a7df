"""What a manifest holds: hours, speakers, labels, text.

Knows how rows are counted in one pass. Does not read audio and does not judge; see ``check``.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from asr_adapt.manifest.utterance import LABEL_FIELDS, Utterance

#: Values of a field that are listed; the rest are counted together.
LISTED_VALUES = 20


@dataclass(slots=True)
class FieldStats:
    """Rows and seconds for every value of one field."""

    rows: Counter[str] = field(default_factory=Counter)
    seconds: Counter[str] = field(default_factory=Counter)

    def add(self, value: str, seconds: float) -> None:
        """Count one row."""
        self.rows[value] += 1
        self.seconds[value] += seconds  # type: ignore[assignment]


@dataclass(slots=True)
class Stats:
    """Totals over rows; ``seconds`` counts rows with a duration only."""

    rows: int = 0
    rows_without_duration: int = 0
    rows_without_text: int = 0
    seconds: float = 0.0
    words: int = 0
    characters: Counter[str] = field(default_factory=Counter)
    durations: array[float] = field(default_factory=lambda: array("d"))
    fields: dict[str, FieldStats] = field(default_factory=dict)

    def add(self, row: Utterance, by: Iterable[str]) -> None:
        """Count one row."""
        self.rows += 1
        if row.duration is None:
            self.rows_without_duration += 1
        else:
            self.seconds += row.duration
            self.durations.append(row.duration)
        if row.text is None:
            self.rows_without_text += 1
        else:
            self.words += len(row.text.split())
            self.characters.update(row.text)
        for name in by:
            value = row.get(name)
            if value is not None:
                self.fields.setdefault(name, FieldStats()).add(str(value), row.duration or 0.0)

    def to_json(self) -> dict[str, Any]:
        """Plain values: counts, hours, quantiles of the durations in seconds, values by field."""
        return {
            "rows": self.rows,
            "rows_without_duration": self.rows_without_duration,
            "rows_without_text": self.rows_without_text,
            "hours": round(self.seconds / 3600, 4),
            "seconds": self.quantiles(),
            "words": self.words,
            "characters": dict(sorted(self.characters.items())),
            "fields": {name: _field_json(stats) for name, stats in self.fields.items()},
        }

    def quantiles(self) -> dict[str, float]:
        """Shortest, median, 95th percentile and longest duration, in seconds."""
        if not self.durations:
            return {}
        values = np.quantile(np.array(self.durations), [0, 0.5, 0.95, 1])
        return {
            name: round(float(v), 3) for name, v in zip(("min", "median", "p95", "max"), values, strict=True)
        }


def compute_stats(rows: Iterable[Utterance], by: Iterable[str] = LABEL_FIELDS) -> Stats:
    """Count rows in one pass; ``by`` names the fields whose values are counted."""
    stats, names = Stats(), tuple(by)
    for row in rows:
        stats.add(row, names)
    return stats


def _field_json(stats: FieldStats) -> dict[str, Any]:
    common = stats.rows.most_common(LISTED_VALUES)
    return {
        "distinct": len(stats.rows),
        "values": {
            value: {"rows": count, "hours": round(stats.seconds[value] / 3600, 4)} for value, count in common
        },
    }
