"""Target against guard WER of a sweep of mixtures, as a picture.

Knows the plain values of a sweep. Does not know how they came about. Needs the extra ``plots``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from asr_adapt.scoring.figures import new_figure, save_figure


def write_blend_plot(stem: Path, blend: Mapping[str, Any], limit: float) -> list[Path]:
    """Draw ``Blend.to_json()``; ``limit`` is the highest guard WER allowed, a fraction."""
    figure = new_figure(6.0, 4.2)
    draw_blend(figure.add_subplot(), blend, limit)
    return save_figure(figure, stem)


def draw_blend(axes: Any, blend: Mapping[str, Any], limit: float) -> None:
    """Guard WER on x, target WER on y: the mixtures as a line from base to adapted, the budget as an edge."""
    line = [point for point in blend["points"] if not point["shares"]]
    axes.plot(*_places(line), marker="o", markersize=4, label="common share of the adapted weights")
    for point in (line[0], line[len(line) // 2], line[-1]):
        place = (100 * point["guard"], 100 * point["target"])
        axes.annotate(f"{point['share']:.2g}", place, xytext=(5, 4), textcoords="offset points", fontsize=8)
    grouped = [point for point in blend["points"] if point["shares"]]
    if grouped:
        axes.plot(*_places(grouped), ".", alpha=0.5, label="shares by group of layers")
    axes.plot(*_places([blend["chosen"]]), "*", markersize=14, label="chosen")
    axes.axvline(100 * limit, linestyle=":", color="grey", label="guard budget")
    axes.set(xlabel="guard WER (%)", ylabel="target WER (%)")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")


def _places(points: Sequence[Mapping[str, Any]]) -> tuple[list[float], list[float]]:
    return [100 * point["guard"] for point in points], [100 * point["target"] for point in points]
