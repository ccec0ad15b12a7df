"""What a notebook shows of a result: HTML tables with their style, readable in light and dark.

Knows how a cell is escaped and laid out. Does not know any result. Needs nothing but the standard library.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

#: The charts' classes; they inherit the notebook's own colours for text.
_STYLE = """<style>
.asr-adapt table{border-collapse:collapse;margin:.4em 0}
.asr-adapt td,.asr-adapt th{padding:.2em .7em;text-align:left}
.asr-adapt .n{text-align:right;font-variant-numeric:tabular-nums}
.asr-adapt svg{max-width:640px;width:100%}
.asr-adapt svg text{fill:currentColor;font:12px sans-serif}
.asr-adapt .grid{stroke:currentColor;opacity:.15}
.asr-adapt .whisker{stroke:currentColor;fill:none}
.asr-adapt .line{fill:none;stroke-width:2}
.asr-adapt .fill0{fill:#8a8f98}.asr-adapt .stroke0{stroke:#8a8f98}
.asr-adapt .fill1{fill:#2f7ed8}.asr-adapt .stroke1{stroke:#2f7ed8}
.asr-adapt .fill2{fill:#d9822b}.asr-adapt .stroke2{stroke:#d9822b}
</style>"""
#: Rows of a table that are shown.
MOST = 20


def framed(*parts: str) -> str:
    """Parts of one result with its style."""
    return f'<div class="asr-adapt">{_STYLE}{"".join(parts)}</div>'


def table(rows: Sequence[Mapping[str, object]], caption: str = "") -> str:
    """Rows with the same keys; numbers stand right, and what is left out is said."""
    if not rows:
        return paragraph(f"{caption}: nothing.") if caption else ""
    names = list(rows[0])
    heads = "".join(f"<th>{escape(name)}</th>" for name in names)
    lines = "".join(f"<tr>{''.join(_cell(row.get(name)) for name in names)}</tr>" for row in rows[:MOST])
    rest = paragraph(f"… and {len(rows) - MOST:,} more.") if len(rows) > MOST else ""
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    return f"<table>{title}<thead><tr>{heads}</tr></thead><tbody>{lines}</tbody></table>{rest}"


def _cell(value: object) -> str:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    text = "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
    return f"<td{' class=n' if number else ''}>{escape(text)}</td>"


def paragraph(text: str) -> str:
    return f"<p>{escape(text)}</p>"
