"""Charts of the report page as inline SVG: bars with intervals, learning curves.

Knows geometry. Does not know where numbers come from, nor colours: those are classes of the style sheet, so
that one drawing serves light, dark and paper.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from asr_adapt.scoring.percentages import bounds

_WIDTH = 640
_LABEL = 150
_BAR = 16
_GROUP_SPACE = 12
_MOST_POINTS = 400


@dataclass(frozen=True)
class Bar:
    """One bar: a rate with its interval, all fractions; ``series`` numbers its colour."""

    label: str
    series: int
    series_label: str
    value: float
    low: float
    high: float


def bar_chart(groups: Sequence[tuple[str, Sequence[Bar]]], title: str) -> str:
    """Horizontal bars with 95 % whiskers, one block per group; ``title`` is read out by screen readers."""
    most = max((bar.high for _, bars in groups for bar in bars), default=0.0) or 1.0
    step = nice_step(most)
    end = step * (int(most / step) + 1)
    scale = (_WIDTH - _LABEL - 60) / end
    height = sum(len(bars) * _BAR + _GROUP_SPACE for _, bars in groups) + 26
    parts = [open_svg(height, title), *_x_axis(step, end, scale, height)]
    y = 4.0
    for name, bars in groups:
        parts.append(svg_text(_LABEL - 8, y + len(bars) * _BAR / 2 + 4, _shorten(name), "label", "end"))
        for bar in bars:
            parts.append(_bar(bar, y, scale))
            y += _BAR
        y += _GROUP_SPACE
    return "".join([*parts, "</svg>"])


def _bar(bar: Bar, y: float, scale: float) -> str:
    width, low, high = (_LABEL + scale * value for value in (bar.value, bar.low, bar.high))
    middle = y + _BAR / 2
    between = bounds(bar.low, bar.high, between=" to ", unit="%")
    tip = f"{bar.label}, {bar.series_label}: {bar.value:.2%} (95 %: {between})"
    return (
        f'<g><title>{escape(tip)}</title><rect class="fill{bar.series % 4}" x="{_LABEL}" y="{y + 2:.1f}" '
        f'width="{max(width - _LABEL, 1):.1f}" height="{_BAR - 4}" rx="2"/>'
        f'<path class="whisker" d="M{low:.1f} {middle:.1f}H{high:.1f}M{low:.1f} {middle - 4:.1f}v8'
        f'M{high:.1f} {middle - 4:.1f}v8"/>'
        + svg_text(high + 6, middle + 4, f"{100 * bar.value:.1f}", "value")
        + "</g>"
    )


def _x_axis(step: float, end: float, scale: float, height: float) -> list[str]:
    parts = []
    for index in range(round(end / step) + 1):
        x = _LABEL + scale * step * index
        parts.append(f'<path class="grid" d="M{x:.1f} 0V{height - 20}"/>')
        parts.append(svg_text(x, height - 6, f"{100 * step * index:g} %", "tick", "middle"))
    return parts


def nice_step(most: float, ticks: int = 6) -> float:
    """The smallest of 1, 2, 5 times a power of ten that needs at most ``ticks`` steps up to ``most``."""
    power = 10.0 ** math.floor(math.log10(most / ticks))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor * ticks >= most)


@dataclass(frozen=True)
class Curve:
    """One line of a chart: points (x, y) in order of x."""

    label: str
    series: int
    points: Sequence[tuple[float, float]]
    dots: bool = False


def line_chart(curves: Sequence[Curve], title: str, *, percent: bool = False) -> str:
    """Curves over optimiser steps; at most 400 points of each are drawn."""
    curves = [curve for curve in curves if curve.points]
    height, left, right, top, bottom = 240, 52, 12, 10, 28
    xs = [x for curve in curves for x, _ in curve.points]
    ys = [y for curve in curves for _, y in curve.points]
    if not xs:
        return ""
    x_end, y_end = max(*xs, 1.0), max(*ys, 1e-9, 0.0) * 1.08
    x_scale, y_scale = (_WIDTH - left - right) / x_end, (height - top - bottom) / y_end
    parts = [open_svg(height, title)]
    for value in _ticks(y_end):
        y = height - bottom - y_scale * value
        parts.append(f'<path class="grid" d="M{left} {y:.1f}H{_WIDTH - right}"/>')
        parts.append(
            svg_text(left - 6, y + 4, f"{100 * value:g} %" if percent else f"{value:g}", "tick", "end")
        )
    parts += [svg_text(left + x_scale * x, height - 8, f"{x:g}", "tick", "middle") for x in _ticks(x_end)]
    for curve in curves:
        places = [(left + x * x_scale, height - bottom - y * y_scale) for x, y in _thin(curve.points)]
        line = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
        parts.append(f'<path class="line stroke{curve.series % 4}" d="M{line}"/>')
        if curve.dots:
            parts += [
                f'<circle class="fill{curve.series % 4}" cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y in places
            ]
    return "".join([*parts, "</svg>"])


def _ticks(end: float) -> list[float]:
    step = nice_step(end)
    return [round(step * index, 10) for index in range(int(end / step) + 1)]


def _thin(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    step = -(-len(points) // _MOST_POINTS)
    return [*points[::step], *([points[-1]] if (len(points) - 1) % step else [])]


def open_svg(height: float, title: str, width: int = _WIDTH) -> str:
    """The opening tag; ``title`` is read out by screen readers."""
    return (
        f'<svg viewBox="0 0 {width} {height:.0f}" role="img" aria-label="{escape(title, quote=True)}" '
        'xmlns="http://www.w3.org/2000/svg">'
    )


def svg_text(x: float, y: float, text: str, kind: str, anchor: str = "start") -> str:
    """A label of the style sheet's class ``kind``."""
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _shorten(name: str, most: int = 18) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"
