"""Results of scoring and training as a notebook shows them: tables, and the report page's charts.

Knows these results as plain values, as ``to_json`` gives them. Does not know how anything was computed, nor
how a table is laid out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from asr_adapt.notebook import framed, paragraph, table
from asr_adapt.scoring.percentages import bounds, percent
from asr_adapt.scoring.report_charts import Bar, Curve, bar_chart, line_chart

Values = Mapping[str, Any]


def _percent(value: float) -> str:
    return percent(value, decimals=1)


def _range(interval: Values) -> str:
    return bounds(interval["low"], interval["high"], decimals=1, between="–")


def show_score(score: Values) -> str:
    """Rates with intervals, and a chart for each field that was reported apart."""
    parts = [table([_score_row("all", score)], score["source"])]
    for name, groups in score["groups"].items():
        parts.append(table([_score_row(value, estimate) for value, estimate in groups.items()], f"by {name}"))
        parts.append(_bars([(value, [_bar(value, 1, name, one)]) for value, one in groups.items()], name))
    parts += [paragraph(note) for note in score["notes"]]
    return framed(*parts)


def _bar(label: str, series: int, name: str, one: Values) -> Bar:
    return Bar(label, series, name, one["wer"], one["interval"]["low"], one["interval"]["high"])


def _bars(groups: Sequence[tuple[str, Sequence[Bar]]], title: str) -> str:
    return bar_chart(groups, f"WER by {title}") if len(groups) > 1 else ""


def _score_row(name: str, one: Values) -> dict[str, object]:
    return {
        "": name,
        "WER": _percent(one["wer"]),
        "95 %": _range(one["interval"]),
        "CER": _percent(one["cer"]),
        "words": one["words"],
        "substituted": one["substitutions"],
        "inserted": one["insertions"],
        "deleted": one["deletions"],
    }


def show_comparison(found: Values) -> str:
    """The paired difference, overall and by group, with its verdict."""
    rows = [_comparison_row("all", found)]
    for name, groups in found["groups"].items():
        rows += [_comparison_row(f"{name} {value}", one) for value, one in groups.items()]
    return framed(table(rows, f"{found['a']} → {found['b']}"))


def _comparison_row(name: str, one: Values) -> dict[str, object]:
    return {
        "": name,
        "WER before": _percent(one["wer_a"]),
        "WER after": _percent(one["wer_b"]),
        "points": f"{100 * one['delta']:+.1f}",
        "95 %": _range(one["interval"]),
        "verdict": one["verdict"],
    }


def show_gate(found: Values) -> str:
    """Every check, failed ones first."""
    rows = [
        {
            "": "passed" if check["passed"] else "FAILED",
            "group": check["group"],
            "rule": check["rule"],
            "now": _percent(check["value"]),
            "baseline": "" if check["baseline"] is None else _percent(check["baseline"]),
        }
        for check in sorted(found["checks"], key=lambda check: bool(check["passed"]))
    ]
    verdict = "The gate passed." if found["passed"] else "The gate failed."
    return framed(paragraph(verdict), table(rows), *(paragraph(note) for note in found["notes"]))


def show_summary(summary: Mapping[str, Any]) -> str:
    """Before and after of a training run as a table and bars, and the learning curve."""
    rows, groups = [], []
    for name in ("target", "guard"):
        if name not in summary:
            continue
        pair = summary[name]
        spans = {when: pair[f"{when}_interval"] for when in ("before", "after")}
        rows.append(
            {"": name, "utterances": pair["utterances"]}
            | {f"WER {when}": _percent(pair[when]) for when in spans}
            | {f"95 % {when}": _range(span) for when, span in spans.items()}
        )
        bars = [
            Bar(name, series, when, pair[when], span["low"], span["high"])
            for series, (when, span) in enumerate(spans.items())
        ]
        groups.append((name, bars))
    steps = f"best step {summary['best_step']} of {summary['steps']}, {summary['training_seconds']:.0f} s"
    return framed(
        table(rows, f"{summary['model']} adapted"),
        bar_chart(groups, "WER before and after"),
        learning_curve(summary["evaluations"]),
        paragraph(steps),
        *(paragraph(hint) for hint in summary["hints"]),
    )


def learning_curve(evaluations: Sequence[Mapping[str, Any]]) -> str:
    """Dev and guard WER over the steps."""
    curves = []
    for series, (name, field) in enumerate((("guard", "guard"), ("dev", "dev"))):
        points = [
            (float(one["step"]), float(one[field])) for one in evaluations if one.get(field) is not None
        ]
        curves.append(Curve(name, series, points, dots=True))
    return line_chart(curves, "WER over the steps", percent=True)
