"""The demonstration's report: one small self-contained page.

Knows the demonstration's summary and its predictions. Does not know how WER is counted; the page that
compares any predictions belongs to the scoring room.
"""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

from asr_adapt.files import atomic_write
from asr_adapt.manifest import Manifest

EXAMPLES = 12  # test rows shown with their transcripts

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;width:100%;margin:1rem 0}"
    "th,td{text-align:left;padding:.4rem .8rem;border-bottom:1px solid #8886;vertical-align:top}"
    "td.number{text-align:right;font-variant-numeric:tabular-nums}"
)


def write_page(path: Path, summary: dict[str, Any], predictions: Path) -> None:
    """Write the page for ``summary`` (WER as fractions); ``predictions`` holds ``target.*.jsonl``."""
    accent = escape(str(summary["accent"]))
    rates = _table(
        ("WER on unseen voices and sentences", "before", "after"),
        [
            (label, *(f"{summary[part][when]:.1%}" for when in ("before", "after")))
            for label, part in ((f"{accent} accent", "target"), ("US accent (guard)", "guard"))
        ],
    )
    heard = _table(("said", "before", "after"), _examples(predictions))
    with atomic_write(path) as page:
        page.write(
            f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Adapting to {accent}</title>'
            f"<style>{_STYLE}</style><h1>Adapting to {accent} English</h1>{rates}"
            f"<p>{summary['seconds']:.0f} seconds, corpus and measurements included.</p>"
            f"<h2>What was heard</h2>{heard}</html>\n"
        )


def _examples(predictions: Path) -> list[tuple[str, ...]]:
    before, after = (Manifest.open(predictions / f"target.{when}.jsonl") for when in ("before", "after"))
    return [
        tuple(escape(text.lower()) for text in (old.text or "", old.get("pred_text"), new.get("pred_text")))
        for old, new in zip(before[:EXAMPLES], after[:EXAMPLES], strict=True)
    ]


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """An HTML table of texts that are escaped already; cells ending in % are numbers."""
    lines = ["".join(f"<th>{cell}</th>" for cell in head)]
    for row in rows:
        lines.append(
            "".join(f"<td{' class=number' if cell.endswith('%') else ''}>{cell}</td>" for cell in row)
        )
    return "<table>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>"
