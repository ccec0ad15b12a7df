"""The report's plots as PNG and SVG files, for papers and slides, through matplotlib.

Knows how to draw bars with intervals and scatter plots. Does not score. Needs the extra ``plots``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from asr_adapt.destinations import mark_if_new, require_new_names
from asr_adapt.errors import MissingExtraError
from asr_adapt.files import atomic_write
from asr_adapt.scoring.predictions import PredictionSource
from asr_adapt.scoring.report_data import EvaluationSet, ReportOptions, gather_sets

_SUFFIXES = (".png", ".svg")


def write_plots(
    folder: str | Path,
    predictions: Sequence[PredictionSource],
    options: ReportOptions | None = None,
    *,
    overwrite: bool = False,
) -> list[Path]:
    """Write one bar chart per set and field and one scatter plot per set; returns the files written.

    Raises :class:`MissingExtraError` without matplotlib, UsageError where other files have the plots' names
    and may not be replaced (``overwrite``).
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("Writing plots", "plots") from None
    drawings = [
        (Path(folder) / (name.replace("/", "-").replace(" ", "")), test_set, draw)
        for test_set in gather_sets(predictions, options or ReportOptions())
        for name, draw in _drawings(test_set)
    ]
    folder = Path(folder)
    written = [stem.with_name(stem.name + suffix) for stem, _, _ in drawings for suffix in _SUFFIXES]
    require_new_names(written, folder=folder, overwrite=overwrite, option="--plots")
    mark_if_new(folder, "report --plots")
    for stem, test_set, draw in drawings:
        figure = Figure(figsize=(7, 4), layout="constrained")
        FigureCanvasAgg(figure)
        draw(figure.add_subplot(), test_set)
        for suffix in _SUFFIXES:
            with atomic_write(stem.with_name(stem.name + suffix), "wb") as handle:
                figure.savefig(handle, dpi=160, format=suffix[1:])
    return written


def _drawings(test_set: EvaluationSet) -> list[tuple[str, Any]]:
    """Names of the figures of one set, and how each is drawn."""
    bars = [(f"{test_set.name}-{by}", _bars(by)) for by in test_set.first.score.groups]
    return [(f"{test_set.name}-duration", _scatter), *bars]


def _bars(by: str) -> Any:
    def draw(axes: Any, test_set: EvaluationSet) -> None:
        values = list(test_set.first.score.groups[by])
        height = 0.8 / len(test_set.systems)
        for number, system in enumerate(test_set.systems):
            groups = [system.score.groups[by][value] for value in values]
            rates = np.array([100 * group.wer for group in groups])
            bounds = np.array([[100 * g.interval.low, 100 * g.interval.high] for g in groups]).T
            errors = np.abs(bounds - rates)
            axes.barh(
                np.arange(len(values)) + number * height, rates, height, xerr=errors, label=system.label
            )
        axes.set_yticks(np.arange(len(values)) + height * (len(test_set.systems) - 1) / 2, values)
        axes.invert_yaxis()
        axes.set(xlabel="WER (%), 95 % interval", title=f"{test_set.name} by {by}")
        axes.legend()

    return draw


def _scatter(axes: Any, test_set: EvaluationSet) -> None:
    for system in test_set.systems:
        rates = 100 * system.table.errors / np.maximum(system.table.words, 1)
        axes.scatter(system.predictions.seconds("duration"), rates, s=8, alpha=0.4, label=system.label)
    axes.set(xlabel="duration (s)", ylabel="WER (%)", title=test_set.name)
    axes.legend()
