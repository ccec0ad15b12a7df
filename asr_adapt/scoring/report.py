"""One self-contained HTML page about any number of predictions files.

Knows the page's sections and the texts in them. Does not count, resample or draw: see ``report_data``,
``report_charts`` and ``report_audio``. The page fetches nothing, which a Content-Security-Policy in it holds.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from asr_adapt.errors import DataError
from asr_adapt.files import atomic_write
from asr_adapt.scoring.bootstrap import MINIMUM_SPEAKERS
from asr_adapt.scoring.compare import GroupComparison
from asr_adapt.scoring.percentages import interval, percent
from asr_adapt.scoring.predictions import PredictionSource
from asr_adapt.scoring.report_audio import audio_urls
from asr_adapt.scoring.report_charts import Bar, Curve, bar_chart, line_chart
from asr_adapt.scoring.report_data import EvaluationSet, ReportOptions, System, gather_sets, rows_json
from asr_adapt.scoring.report_verdict import verdicts
from asr_adapt.scoring.score import CROSS, software
from asr_adapt.text import profile as profile_named

_TOP = 12
_KINDS = ("substitutions", "deletions", "insertions")


def write_report(
    path: str | Path,
    predictions: Sequence[PredictionSource],
    metrics: str | Path | None = None,
    *,
    options: ReportOptions | None = None,
    **settings: Any,
) -> Path:
    """Write the page and return its path.

    ``predictions`` are files (or rows) of any test sets and systems; those with the same rows are shown side
    by side, in the order given, and compared with the first. ``metrics`` is a ``metrics.jsonl`` of training.
    ``settings`` are fields of :class:`ReportOptions`: title, by, normalise, audio, seed, summary. Raises
    :class:`DataError` for unreadable files, :class:`UsageError` for unknown fields, profiles and modes.
    """
    options = options or ReportOptions(**settings)
    page = Path(path)
    sets = gather_sets(predictions, options)
    context = page_context(sets, options, page)
    context["curves"] = [] if metrics is None else learning_curves(metrics)
    context["curves"] += retention_charts(options.summary)
    html = _environment().get_template("report.html.j2").render(context)
    with atomic_write(page) as handle:
        handle.write(html)
    return page


@cache
def _environment() -> Environment:
    loader = PackageLoader("asr_adapt.scoring", ".")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)


def page_context(sets: Sequence[EvaluationSet], options: ReportOptions, page: Path) -> dict[str, Any]:
    """Everything that the template names, except curves."""
    rows, notes = [], []
    for test_set in sets:
        urls, missing = audio_urls(test_set.first.predictions, page, options.audio)
        rows.append(rows_json(test_set, urls))
        notes += [f"{test_set.name}: {note}" for note in test_set.first.score.notes]
        if missing:
            notes.append(f"{test_set.name}: the audio of {missing} rows was not found; they have no player.")
    return {
        "title": options.title,
        "css": Markup(_asset("report.css")),
        "js": Markup(_asset("report.js")),
        "minimum_speakers": MINIMUM_SPEAKERS,
        "normaliser": profile_named(sets[0].profile).label,
        "verdicts": [found for test_set in sets for found in verdicts(test_set)],
        "sets": [_set_context(test_set) for test_set in sets],
        "looping": any(s.score.counts.looped_rows for test_set in sets for s in test_set.systems),
        "notes": notes,
        "facts": list(_facts(options.summary)),
        "hints": options.summary.get("hints", []),
        "decisions": list(_decisions(options.summary)),
        "bars": [chart for test_set in sets for chart in _bars(test_set, bool(options.by))],
        "confusions": [_confusions(t, s) for t in sets for s in t.systems],
        "provenance": list(_provenance(sets)),
        "data": Markup(_json_for_script({"sets": rows})),
    }


def _asset(name: str) -> str:
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


def _json_for_script(value: Any) -> str:
    """JSON that cannot end its script element, whatever the transcripts hold."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _set_context(test_set: EvaluationSet) -> dict[str, Any]:
    first = test_set.first
    counts = first.score.counts
    speakers = {name for name in first.predictions.speakers or () if name is not None}
    seconds = first.score.audio_seconds
    changes = [None, *test_set.changes]
    sizes = ((counts.rows, "utterance"), (counts.words, "word"), (len(speakers), "speaker"))
    return {
        "name": test_set.name,
        "size": ", ".join(_count(number, word) for number, word in sizes if number or word != "speaker"),
        "hours": "" if seconds is None else f"{seconds / 60:.1f} minutes",
        "written": bool(first.score.written.to_json()),
        "systems": [_system_context(s, c) for s, c in zip(test_set.systems, changes, strict=True)],
    }


def _system_context(system: System, change: GroupComparison | None) -> dict[str, Any]:
    counts, written = system.score.counts, system.score.written
    return {
        "label": system.label,
        "wer": percent(counts.wer),
        "interval": interval(system.score.interval),
        "cer": percent(counts.cer),
        "ser": percent(counts.ser),
        "looped": counts.looped_rows,
        "punctuation": "" if written.punctuation is None else percent(written.punctuation.total.f1),
        "case": "" if written.case is None else percent(written.case.rate),
        "change": None if change is None else _change(change),
    }


def _change(change: GroupComparison) -> dict[str, str]:
    difference = change.difference
    relative = "" if difference.relative is None else f" ({100 * difference.relative:+.0f} %)"
    return {
        "delta": f"{100 * difference.delta:+.2f}{relative}",
        "interval": interval(difference.interval, sign=True),
        "p": "< 0.001" if change.p_adjusted < 0.001 else f"{change.p_adjusted:.3f}",
        "verdict": change.verdict,
    }


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def _facts(summary: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in summary.items():
        if isinstance(value, bool | int | str):
            yield name.replace("_", " "), f"{value:,}" if type(value) is int else str(value)
        elif isinstance(value, float):
            yield name.replace("_", " "), f"{value:.1%}" if name.endswith("wer") else f"{value:.4g}"
        elif isinstance(value, Mapping) and "name" in value:
            yield name.replace("_", " "), str(value["name"])


def _decisions(summary: Mapping[str, Any]) -> Iterator[str]:
    """What a run decided by itself and why, in the words of its summary."""
    if summary.get("strategy_advice"):
        yield f"Strategy: {summary['strategy_advice']}"
    for part, taught in (summary.get("labels") or {}).items():
        reason = taught["reason"].removeprefix(f"{part}: ")
        yield f"Labels of {part}: {taught['style'].replace('_', ' ')}, because {reason}"
    retained = summary.get("retention")
    if isinstance(retained, Mapping) and retained.get("sentence"):
        yield f"Weights: {retained['sentence']}"


def _bars(test_set: EvaluationSet, asked: bool) -> Iterator[dict[str, Any]]:
    labels = [system.label for system in test_set.systems]
    for by, groups in test_set.first.score.groups.items():
        if CROSS in by and not asked:
            continue
        blocks = [
            (value, [_bar(value, number, system, by) for number, system in enumerate(test_set.systems)])
            for value in groups
        ]
        gaps = [(s.label, s.score.gaps[by]) for s in test_set.systems if by in s.score.gaps]
        texts = [f"{label} {g.worst} − {g.best} {100 * g.gap:.1f}" for label, g in gaps]
        yield {
            "svg": Markup(bar_chart(blocks, f"WER by {by} on {test_set.name}")),
            "field": by,
            "set": test_set.name,
            "labels": labels,
            "gap": f"Gap in points: {'; '.join(texts)}." if texts else "",
        }


def _bar(value: str, number: int, system: System, by: str) -> Bar:
    group = system.score.groups[by][value]
    return Bar(value, number, system.label, group.wer, group.interval.low, group.interval.high)


def _confusions(test_set: EvaluationSet, system: System) -> dict[str, Any]:
    found = system.score.confusions
    labels = {
        kind: [
            (f"{c['reference']} → {c['hypothesis']}" if kind == "substitutions" else c["word"], c["count"])
            for c in found[kind][:_TOP]
        ]
        for kind in _KINDS
    }
    kinds = [{"name": kind, "rows": labels[kind]} for kind in _KINDS]
    return {"name": f"{test_set.name}, {system.label}", "kinds": kinds}


def _provenance(sets: Sequence[EvaluationSet]) -> Iterator[tuple[str, str]]:
    profile = profile_named(sets[0].profile)
    yield "normaliser", f"{profile.label}: {profile.description}"
    for test_set in sets:
        for system in test_set.systems:
            name = f"{test_set.name}, {system.label}"
            settings = ", ".join(f"{key} {value}" for key, value in system.predictions.settings.items())
            yield name, f"{system.predictions.source} ({settings or 'no settings stored'})"
            counts = system.score.counts
            kinds = ", ".join(f"{getattr(counts, kind)} {kind}" for kind in ("hits", *_KINDS))
            silence = (
                f"{counts.empty_references} empty references, {counts.insertions_on_silence} words there"
            )
            yield f"{name}: counts", f"{counts.rows} rows, {kinds}; {silence}"
            if system.score.rtfx is not None:
                yield f"{name}: speed", f"{system.score.rtfx:.1f} × real time"
    yield "software", ", ".join(f"{name} {number}" for name, number in software().items())


def learning_curves(metrics: str | Path) -> list[dict[str, Any]]:
    """Charts of the loss and of the WERs measured while training."""
    rows = list(_metrics(Path(metrics)))
    steps = [row for row in rows if row.get("kind") == "step"]
    evaluations = [row for row in rows if row.get("kind") == "evaluation"]
    loss = [Curve("training loss", 1, _points(steps, "loss"))]
    wers = [
        Curve(f"{name} WER", n, _points(evaluations, name), dots=True)
        for n, name in enumerate(("guard", "dev"))
    ]
    charts = []
    for curves, caption, as_percent in (
        (wers, "WER by training step.", True),
        (loss, "Loss by training step.", False),
    ):
        if any(curve.points for curve in curves):
            svg = Markup(line_chart(curves, caption, percent=as_percent))
            labels = [curve.label if curve.points else "" for curve in curves]
            charts.append({"svg": svg, "caption": caption, "labels": labels if as_percent else []})
    return charts


def retention_charts(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Target against guard WER of the mixtures of base and adapted weights, where a run made some."""
    found = summary.get("retention")
    if not isinstance(found, Mapping) or "points" not in found:
        return []
    line = [(100 * p["guard"], p["target"]) for p in found["points"] if not p["shares"]]
    chosen = [(100 * found["chosen"]["guard"], found["chosen"]["target"])]
    caption = f"Target WER by guard WER (%) on dev, from base to adapted weights. {found['sentence']}"
    curves = [Curve("mixtures", 0, line, dots=True), Curve("chosen", 1, chosen, dots=True)]
    svg = Markup(line_chart(curves, "Target WER by guard WER of the mixtures", percent=True))
    return [{"svg": svg, "caption": caption, "labels": ["mixtures", "chosen"]}]


def _points(rows: Iterable[Mapping[str, Any]], name: str) -> list[tuple[float, float]]:
    return [(row["step"], row[name]) for row in rows if isinstance(row.get(name), int | float)]


def _metrics(path: Path) -> Iterator[dict[str, Any]]:
    if not path.is_file():
        raise DataError("there is no such metrics file: remove it or name metrics.jsonl.", path=path)
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            row = json.loads(line)
        except ValueError:
            raise DataError("the line is not JSON.", path=path, line=number) from None
        if isinstance(row, dict) and isinstance(row.get("step"), int):
            yield row
