"""The regression gate: a run against a stored baseline, group by group, with a verdict.

Knows rules, pairing and tests. Does not know how the result is shown, nor who made the predictions.

A rise fails when it is larger than allowed **and** is not chance: one-sided swap tests over speakers
(``paired``), Holm-adjusted over all groups of the gate, so that the whole gate raises a false alarm at most
at its level. A ceiling (and a gap ceiling) is a plain limit on the measured value.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from asr_adapt.errors import EXIT_FAILED, EXIT_OK, NotComparableError, UsageError
from asr_adapt.scoring.baseline import Baseline, Pairing, make_baseline, pair_with
from asr_adapt.scoring.bootstrap import speaker_blocks
from asr_adapt.scoring.compare import MEANINGFUL, group_difference
from asr_adapt.scoring.counts import ErrorTable, count_errors
from asr_adapt.scoring.gap import measure_gap
from asr_adapt.scoring.paired import PairedErrors, holm
from asr_adapt.scoring.percentages import points
from asr_adapt.scoring.predictions import Predictions, PredictionSource, profile_for, read_predictions
from asr_adapt.scoring.rules import ALL_ROWS, GateRules
from asr_adapt.scoring.score import group_rows
from asr_adapt.text import stored_profile

WORST_ROWS = 5


@dataclass(frozen=True)
class WorstRow:
    """A row that lost words since the baseline."""

    id: str
    errors_before: int
    errors: int
    reference: str
    hypothesis: str


@dataclass(frozen=True)
class Check:
    """One rule applied to one group. ``value`` and ``baseline`` are error rates (or gaps), fractions.

    ``p`` is Holm-adjusted; ``detectable`` the rise that would have been found with 80 % power.
    """

    group: str
    kind: str
    rule: str
    passed: bool
    value: float
    baseline: float | None = None
    p: float | None = None
    detectable: float | None = None
    rows: int = 0
    worst: tuple[WorstRow, ...] = ()


@dataclass(frozen=True)
class GateResult:
    """Every check, and remarks that do not decide; ``baseline`` is its file or description."""

    checks: tuple[Check, ...]
    notes: tuple[str, ...]
    baseline: str
    source: str
    metric: str = "wer"

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return all(check.passed for check in self.checks)

    @property
    def exit_status(self) -> int:
        """0 passed, 1 failed."""
        return EXIT_OK if self.passed else EXIT_FAILED

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "passed": self.passed,
            "source": self.source,
            "baseline": self.baseline,
            "metric": self.metric,
            "checks": [asdict(check) for check in self.checks],
            "notes": list(self.notes),
        }

    def _repr_html_(self) -> str:
        from asr_adapt.scoring.notebook import show_gate

        return show_gate(self.to_json())


@dataclass(frozen=True)
class _CurrentRows:
    """The current rows that are compared, with their counts and those of the baseline."""

    predictions: Predictions
    table: ErrorTable
    pairs: PairedErrors
    groups: dict[tuple[str, str], np.ndarray]


def gate(
    source: PredictionSource,
    baseline: Baseline | str | Path,
    rules: GateRules | None = None,
    *,
    accept: Collection[str] = (),
    normalise: str | None = None,
    subset: bool = False,
) -> GateResult:
    """Judge predictions against a baseline.

    They are counted under the profile that they were evaluated under, else the baseline's, unless
    ``normalise`` names another; one that is not the baseline's is a difference. ``accept`` names
    differences that are known and wanted (``rows``, ``references``, ``normaliser``, ``decoding`` …); any
    other raises :class:`NotComparableError`, which lists them all. With ``subset`` the baseline may hold
    more rows.
    """
    rules = rules or GateRules()
    stored = baseline if isinstance(baseline, Baseline) else Baseline.load(baseline)
    predictions = read_predictions(source)
    profile = profile_for(normalise, predictions, default=stored.normaliser["name"])
    if profile == stored.normaliser["name"]:
        profile = stored_profile(stored.normaliser)  # in the version of the baseline, while that is known
    table = count_errors(predictions.references, predictions.hypotheses, profile)
    current = make_baseline(predictions, profile, table)
    pairing = pair_with(stored, current, subset=subset)
    name = "baseline" if isinstance(baseline, Baseline) else str(baseline)
    _refuse(pairing, accept, predictions.source, name)
    run = _paired_run(predictions, table, stored.counted_in(rules.metric), pairing, rules)
    noise = _noise_floor(stored) if rules.metric == "wer" else 0.0  # which was measured in words
    checks = [*_rise_checks(run, rules, noise), *_limits(run, rules)]
    notes = [*pairing.notes, *_accepted(pairing), *_power_notes(checks, rules)]
    return GateResult(tuple(checks), tuple(notes), name, predictions.source, rules.metric)


def _refuse(pairing: Pairing, accept: Collection[str], source: str, baseline: str) -> None:
    refused = [m for m in pairing.mismatches if m.field not in accept]
    if refused:
        listed = "; ".join(f"[{m.field}] {m.message}" for m in refused)
        fields = " ".join(dict.fromkeys(f"--accept {m.field}" for m in refused))
        raise NotComparableError(
            f"{source} cannot be compared with {baseline}: {listed}. "
            f"Write a new baseline with --update, or accept the difference with {fields}."
        )
    if not len(pairing.rows):
        raise NotComparableError(f"{source} and {baseline} have no row in common: write a new baseline.")


def _paired_run(
    predictions: Predictions, table: ErrorTable, stored: Baseline, pairing: Pairing, rules: GateRules
) -> _CurrentRows:
    predictions = predictions.take(pairing.rows)
    table = table.take(pairing.rows).counted_in(rules.metric)
    pairs = PairedErrors(
        np.array(stored.errors)[pairing.baseline_rows],
        np.array(stored.words)[pairing.baseline_rows],
        table.errors,
        table.words,
    )
    groups = {("", ALL_ROWS): np.arange(len(predictions))}
    for by, values in group_rows(predictions, rules.by).items():
        groups |= {(by, value): rows for value, rows in values.items()}
    _require_known(rules, groups)
    return _CurrentRows(predictions, table, pairs, groups)


def _require_known(rules: GateRules, groups: Collection[tuple[str, str]]) -> None:
    known = {value for _, value in groups} | {f"{by}={value}" for by, value in groups if by}
    for name in (*rules.groups, *rules.guard):
        if name not in known:
            raise UsageError(
                f"the rules name a group {name!r} that is not in the predictions; groups are: "
                f"{', '.join(sorted(known))}. Name the field that holds it with --by."
            )


def _rise_checks(run: _CurrentRows, rules: GateRules, noise: float) -> Iterator[Check]:
    differences = [group_difference(run.predictions, run.pairs, rows) for rows in run.groups.values()]
    adjusted = holm([difference.p_rise for difference in differences])
    for (by, value), difference, p in zip(run.groups, differences, adjusted, strict=True):
        rise = rules.for_group(by, value).rise
        assert rise is not None
        allowed = max(rise.allowed(difference.wer_a), noise)
        failed = difference.delta > allowed + 1e-12 and p <= rules.level + 1e-12
        rows = run.groups[by, value]
        yield Check(
            group=_name(by, value),
            kind="rise",
            rule=f"rise ≤ {rise}" + (f", noise {100 * noise:.2f}" if noise else ""),
            passed=not failed,
            value=difference.wer_b,
            baseline=difference.wer_a,
            p=p,
            detectable=difference.detectable,
            rows=len(rows),
            worst=worst_rows(run.predictions, run.pairs, rows) if failed else (),
        )


def _name(by: str, value: str) -> str:
    return f"{by}={value}" if by else value


def _limits(run: _CurrentRows, rules: GateRules) -> Iterator[Check]:
    for (by, value), rows in run.groups.items():
        ceiling = rules.for_group(by, value).ceiling
        if ceiling is not None:
            wer = run.table.total(rows).wer
            worst = worst_rows(run.predictions, run.pairs, rows) if wer > ceiling else ()
            rule = f"{rules.metric.upper()} ≤ {100 * ceiling:g} %"
            yield Check(_name(by, value), "ceiling", rule, wer <= ceiling, wer, rows=len(rows), worst=worst)
    if rules.gap is None:
        return
    blocks = speaker_blocks(run.predictions.speakers, len(run.table))
    for by in dict.fromkeys(by for by, _ in run.groups if by):
        groups = {value: rows for (name, value), rows in run.groups.items() if name == by}
        gap = measure_gap(run.table, blocks, groups)
        rule = f"gap ≤ {points(rules.gap)}"
        yield Check(f"{by}: {gap.worst} − {gap.best}", "gap", rule, gap.gap <= rules.gap, gap.gap)


def worst_rows(predictions: Predictions, pairs: PairedErrors, rows: np.ndarray) -> tuple[WorstRow, ...]:
    """The rows with most new errors, then most errors."""
    ordered = sorted(rows, key=lambda r: (pairs.errors_a[r] - pairs.errors_b[r], -pairs.errors_b[r], r))
    return tuple(
        WorstRow(
            predictions.ids[row],
            int(pairs.errors_a[row]),
            int(pairs.errors_b[row]),
            predictions.references[row],
            predictions.hypotheses[row],
        )
        for row in ordered[:WORST_ROWS]
    )


def _noise_floor(stored: Baseline) -> float:
    """Only the baseline's own: a run that is judged does not set its tolerance."""
    return float(stored.settings.get("noise_floor") or 0.0)


def _accepted(pairing: Pairing) -> list[str]:
    return [f"accepted difference: {mismatch.message}" for mismatch in pairing.mismatches]


def _power_notes(checks: Sequence[Check], rules: GateRules) -> Iterator[str]:
    if rules.level >= 1:
        return
    for check in checks:
        open_question = check.kind == "rise" and check.passed
        if open_question and (check.detectable or 0.0) > MEANINGFUL * (check.baseline or 0.0):
            hidden = f"{100 * (check.detectable or 0.0):.2f} points"
            yield f"{check.group} is underpowered: a rise below {hidden} would often be missed"
