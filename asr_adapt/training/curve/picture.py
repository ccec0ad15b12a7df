"""WER against hours of data, the fitted law and its uncertainty, as a picture.

Knows a finished extrapolation. Does not know how it came about. Needs the extra ``plots``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from asr_adapt.scoring.figures import new_figure, save_figure
from asr_adapt.training.curve.power_law import FARTHEST, Extrapolation


def write_curve_plot(stem: Path, found: Extrapolation, base_wer: float) -> list[Path]:
    """Write ``stem.svg`` and ``.png``: measured points with intervals, the curve and its 95 % band."""
    figure = new_figure(6.0, 4.0)
    axes = figure.add_subplot()
    hours = np.array([size.hours for size in found.sizes])
    wers = 100 * np.array([[size.wer, size.low, size.high] for size in found.sizes])
    errors = np.abs(wers[:, 1:].T - wers[:, 0])
    axes.errorbar(
        hours, wers[:, 0], yerr=errors, fmt="o", capsize=3, label="measured, 95 % over test speakers"
    )
    grid = np.geomspace(hours.min(), FARTHEST * hours.max(), 100)
    band = found.band(grid)
    if band is not None:
        middle, low, high = (100 * values for values in band)
        axes.plot(grid, middle, label="floor + scale · hours^-exponent")
        axes.fill_between(grid, low, high, alpha=0.2, label="95 %, test speakers and scatter of the fit")
    axes.axhline(100 * base_wer, linestyle=":", color="grey", label="base")
    axes.set(xlabel="hours of target speech", ylabel="target WER (%)", xscale="log", ylim=(0, None))
    axes.grid(alpha=0.3, which="both")
    axes.legend(fontsize="small")
    return save_figure(figure, stem)
