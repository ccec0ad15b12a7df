"""A baseline's history as a page, a picture (SVG) and Markdown.

Knows geometry and layout. Does not read files or git (``history``). The page holds the plot twice, drawn
for a wide and for a narrow window, so that its letters are readable on a telephone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from importlib.resources import files

from jinja2 import Environment

from asr_adapt.scoring.history import HistoryPoint
from asr_adapt.scoring.percentages import bounds, percent
from asr_adapt.scoring.report_charts import nice_step, open_svg, svg_text
from asr_adapt.scoring.rules import ALL_ROWS

_HEIGHT = 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 14, 12, 30
_MOST_SERIES = 4
#: Colours of the page where a picture stands alone: light, and dark where the reader's system is.
_ALONE = (
    "svg{background:#fff;font:12px system-ui,sans-serif}text{fill:#1b1f24;font-size:11px}"
    ".grid,.gone{stroke:#d1d9e0;fill:none}.gone{stroke-dasharray:4 3;stroke:#7d4e00}"
    ".line{fill:none;stroke-width:2}.whisker{fill:none;stroke-width:1}"
    ".fill0{fill:#6e7781}.fill1{fill:#0969da}.fill2{fill:#bc4c00}.fill3{fill:#1a7f37}"
    ".stroke0{stroke:#6e7781}.stroke1{stroke:#0969da}.stroke2{stroke:#bc4c00}.stroke3{stroke:#1a7f37}"
    "@media(prefers-color-scheme:dark){svg{background:#0d1117}text{fill:#e6edf3}.grid{stroke:#30363d}"
    ".gone{stroke:#f2cc60}.fill0{fill:#8b949e}.fill1{fill:#58a6ff}.fill2{fill:#f0883e}.fill3{fill:#56d364}"
    ".stroke0{stroke:#8b949e}.stroke1{stroke:#58a6ff}.stroke2{stroke:#f0883e}.stroke3{stroke:#56d364}}"
)


def series_of(points: Sequence[HistoryPoint]) -> list[str]:
    """The groups that are drawn: all rows, then the largest."""
    rows = {name: rate.rows for point in points for name, rate in point.rates.items()}
    return sorted(rows, key=lambda name: (name != ALL_ROWS, -rows[name], name))[:_MOST_SERIES]


def chart(points: Sequence[HistoryPoint], title: str, *, width: int = 900, alone: bool = False) -> str:
    """Lines over versions with 95 % whiskers; a dashed line where a version cannot be compared."""
    names = series_of(points)
    most = max(rate.high for point in points for name, rate in point.rates.items() if name in names) or 0.01
    step = nice_step(most)
    end = step * math.ceil(most / step - 1e-9)
    x_step = (width - _LEFT - _RIGHT) / max(len(points), 1)
    y_scale = (_HEIGHT - _TOP - _BOTTOM) / end
    xs = [_LEFT + x_step * (number + 0.5) for number in range(len(points))]
    parts = [open_svg(_HEIGHT, title, width)]
    if alone:
        parts.append(f"<style>{_ALONE}</style>")
    for number in range(round(end / step) + 1):
        y = _HEIGHT - _BOTTOM - y_scale * step * number
        parts.append(f'<path class="grid" d="M{_LEFT} {y:.1f}H{width - _RIGHT}"/>')
        parts.append(svg_text(_LEFT - 6, y + 4, f"{100 * step * number:g} %", "tick", "end"))
    parts += _dates(points, xs, width)
    for x, point in zip(xs, points, strict=True):
        if point.broken:
            tip = escape(f"Cannot be compared with the version before it: {point.broken}")
            d = f"M{x - x_step / 2:.1f} {_TOP}V{_HEIGHT - _BOTTOM}"
            parts.append(f'<path class="gone" d="{d}"><title>{tip}</title></path>')
    for series, name in reversed(list(enumerate(names))):
        parts += _line(points, xs, name, (1 + series) % 4, y_scale)
    return "".join([*parts, "</svg>"])


def _line(
    points: Sequence[HistoryPoint], xs: Sequence[float], name: str, series: int, scale: float
) -> list[str]:
    """A group's dots, whiskers and the line between versions that can be compared."""
    bottom, parts, path = _HEIGHT - _BOTTOM, [], ""
    for x, point in zip(xs, points, strict=True):
        rate = point.rates.get(name)
        if rate is None:
            path = path.rstrip("L")
            continue
        y, low, high = (bottom - scale * value for value in (rate.wer, rate.low, rate.high))
        path += f"{'M' if point.broken or not path else 'L'}{x:.1f} {y:.1f}"
        spread = bounds(rate.low, rate.high, between=" to ", unit=" %")
        tip = escape(
            f"{name}, {point.commit}: {percent(rate.wer)} (95 %: {spread}), {rate.rows} rows. {point.subject}"
        )
        parts.append(
            f'<g><title>{tip}</title><path class="whisker stroke{series}" d="M{x:.1f} {high:.1f}V{low:.1f}"/>'
            f'<circle class="fill{series}" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/></g>'
        )
    return [f'<path class="line stroke{series}" d="{path}"/>', *parts] if path else parts


def _dates(points: Sequence[HistoryPoint], xs: Sequence[float], width: int) -> list[str]:
    """As many dates as there is room for, the newest among them."""
    every = max(1, math.ceil(len(points) / max(1, (width - _LEFT) // 84)))
    found = []
    for n in range(len(points) - 1, -1, -every):
        edge = xs[n] + 36 > width  # half a date
        name = points[n].date[:10] or points[n].commit
        place = (width - 4, "end") if edge else (xs[n], "middle")
        found.append(svg_text(place[0], _HEIGHT - 10, name, "tick", place[1]))
    return found


def page(points: Sequence[HistoryPoint], title: str) -> str:
    """One HTML page that fetches nothing."""
    folder = files("asr_adapt.scoring")
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(folder.joinpath("history.html.j2").read_text(encoding="utf-8"))
    return template.render(
        title=title,
        sentence=sentence(points),
        css=folder.joinpath("report.css").read_text(encoding="utf-8"),
        names=series_of(points),
        wide=chart(points, title),
        narrow=chart(points, title, width=350),
        rows=list(reversed(list(zip(points, [None, *points[:-1]], strict=True)))),
        change=_change,
        all_rows=ALL_ROWS,
    )


def _change(point: HistoryPoint, before: HistoryPoint | None) -> tuple[str, str]:
    """The change in points since the version before, and whether that is better or worse."""
    if before is None or point.broken:
        return "–", ""
    change = 100 * (point.rates[ALL_ROWS].wer - before.rates[ALL_ROWS].wer)
    return f"{change:+.2f}", "worse" if change > 0 else "better" if change < 0 else ""


def sentence(points: Sequence[HistoryPoint]) -> str:
    """How the rate has changed since versions can be compared."""
    since = max((n for n, point in enumerate(points) if point.broken), default=0)
    first, last = points[since], points[-1]
    start, now = first.rates[ALL_ROWS].wer, last.rates[ALL_ROWS].wer
    if first is last:
        return f"WER {100 * now:.2f} % at {last.commit}; no earlier version can be compared with it."
    points_apart = f"{100 * (now - start):+.2f} points"
    versions = f"{len(points) - since} versions, {first.commit} to {last.commit}"
    return f"WER {100 * start:.2f} % → {100 * now:.2f} % ({points_apart}) over {versions}."


def lines(points: Sequence[HistoryPoint]) -> list[tuple[str, ...]]:
    """Rows of a table for a terminal or Markdown, newest last: date, WER, change, rows, commit, subject."""
    found: list[tuple[str, ...]] = []
    for point, before in zip(points, [None, *points[:-1]], strict=True):
        rate = point.rates[ALL_ROWS]
        subject = f"{point.subject} (not comparable with before)" if point.broken else point.subject
        change = _change(point, before)[0]
        cells = (
            point.date[:10] or "now",
            f"{100 * rate.wer:.2f} %",
            change,
            str(rate.rows),
            point.commit,
            subject,
        )
        found.append(cells)
    return found


def markdown(points: Sequence[HistoryPoint], title: str) -> str:
    """A heading, the sentence, and a table, newest first."""
    head = ["| date | WER | change | rows | commit | what |", "|---|---:|---:|---:|---|---|"]
    rows = ["| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |" for cells in lines(points)]
    return "\n".join([f"### {title}", "", sentence(points), "", *head, *reversed(rows)]) + "\n"
