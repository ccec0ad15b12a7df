"""What a new baseline changes against the one it replaces, so that a person can say yes or no to it.

Knows rates before and now, rows that come and go, and differences that end comparability. Does not judge
chance (``gate`` does): whoever lowers the bar should see every group that gets worse.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from asr_adapt.scoring.baseline import Baseline, Mismatch, pair_with
from asr_adapt.scoring.rules import ALL_ROWS

_MOST_ROWS = 5
#: A rise of less than this is rounding.
_EPSILON = 1e-12


@dataclass(frozen=True)
class GroupChange:
    """Word error rates of the rows that both baselines have; fractions."""

    name: str
    rows: int
    before: float
    now: float

    @property
    def worse(self) -> bool:
        """Whether the rate rises."""
        return self.now > self.before + _EPSILON


@dataclass(frozen=True)
class BaselineChange:
    """All groups, the rows that lose most (id, errors before and now), and what ends comparability."""

    groups: tuple[GroupChange, ...]
    worst: tuple[tuple[str, int, int], ...]
    rows_worse: int
    rows_better: int
    mismatches: tuple[Mismatch, ...]

    @property
    def worse(self) -> bool:
        """Whether somebody should look: a group gets worse, or old and new cannot be compared."""
        return any(group.worse for group in self.groups) or bool(self.mismatches)

    def lines(self) -> Iterator[str]:
        """The change in words, for a terminal or a log."""
        for group in self.groups:
            mark = "WORSE " if group.worse else "      "
            points = 100 * (group.now - group.before)
            rates = f"{100 * group.before:.2f} % → {100 * group.now:.2f} % ({points:+.2f} points)"
            yield f"{mark}{group.name}: WER {rates}, {group.rows} rows"
        yield f"{self.rows_worse} rows have more errors than before, {self.rows_better} fewer"
        for name, before, now in self.worst:
            yield f"  {name}: {before} → {now} errors"
        for mismatch in self.mismatches:
            yield f"CHANGED {mismatch.field}: {mismatch.message}"

    def markdown(self) -> str:
        """The change for a pull request: a table of groups, then the rest."""
        lines = ["### New WER baseline" + (": something gets worse ⚠️" if self.worse else " ✅"), ""]
        lines += ["| group | rows | before | now | change | |", "|---|---:|---:|---:|---:|---|"]
        for group in self.groups:
            points = f"{100 * (group.now - group.before):+.2f}"
            rates = f"{100 * group.before:.2f} % | {100 * group.now:.2f} % | {points}"
            name = group.name.replace("|", "\\|")
            lines.append(f"| {name} | {group.rows} | {rates} | {'⚠️' if group.worse else '✅'} |")
        rest = [line.strip() for line in self.lines()][len(self.groups) :]
        return "\n".join([*lines, "", *(f"- {line}" for line in rest)]) + "\n"

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"worse": self.worse} | asdict(self)


def baseline_change(
    old: Baseline, new: Baseline, groups: Mapping[str, Sequence[int]] | None = None
) -> BaselineChange:
    """Compare two baselines on the rows that both have.

    ``groups`` maps names to places of rows in ``new``; all rows are always a group.
    """
    pairing = pair_with(old, new)
    before = np.array(old.errors, int)[pairing.baseline_rows]
    words_before = np.array(old.words, int)[pairing.baseline_rows]
    now, words = np.array(new.errors, int)[pairing.rows], np.array(new.words, int)[pairing.rows]
    found = []
    for name, rows in {ALL_ROWS: range(len(new.ids)), **(groups or {})}.items():
        paired = np.isin(pairing.rows, list(rows))
        if paired.any():
            rates = [
                float(errors[paired].sum() / max(of[paired].sum(), 1))
                for errors, of in ((before, words_before), (now, words))
            ]
            found.append(GroupChange(name, int(paired.sum()), *rates))
    more = now - before
    order = [row for row in np.argsort(-more, kind="stable")[:_MOST_ROWS] if more[row] > 0]
    worst = tuple((new.ids[pairing.rows[row]], int(before[row]), int(now[row])) for row in order)
    return BaselineChange(
        tuple(found), worst, int((more > 0).sum()), int((more < 0).sum()), pairing.mismatches
    )
