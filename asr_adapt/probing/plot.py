"""The layer sweep as a picture: balanced accuracy of each classifier over the stages, chance beside it.

Knows the plain values of a sweep. Does not know how they came about. Needs the extra ``plots``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from asr_adapt.scoring.figures import new_figure, save_figure


def write_sweep_plot(stem: Path, *sweeps: Mapping[str, Any], titles: Sequence[str] = ()) -> list[Path]:
    """Write ``stem.svg`` and ``stem.png`` with one panel per sweep (``ProbeResult.to_json()``)."""
    figure = new_figure(6.4 * len(sweeps), 4.2)
    for number, sweep in enumerate(sweeps):
        axes = figure.add_subplot(1, len(sweeps), number + 1)
        _panel(axes, sweep, titles[number] if titles else f"{sweep['label']} from {sweep['origin']['model']}")
    return save_figure(figure, stem)


def _panel(axes: Any, sweep: Mapping[str, Any], title: str) -> None:
    names = list(dict.fromkeys(entry["layer"] for entry in sweep["layers"]))
    kinds = list(dict.fromkeys(entry["classifier"] for entry in sweep["layers"]))
    for number, kind in enumerate(kinds):
        found = {e["layer"]: e["balanced"] for e in sweep["layers"] if e["classifier"] == kind}
        values = np.array([[found[name][key] for key in ("value", "low", "high")] for name in names]) * 100
        errors = np.abs(values[:, 1:].T - values[:, 0])
        places = np.arange(len(names)) + 0.12 * (number - (len(kinds) - 1) / 2)
        axes.errorbar(places, values[:, 0], yerr=errors, marker="o", markersize=4, capsize=2, label=kind)
    axes.axhline(100 * sweep["majority"]["balanced"], linestyle=":", color="grey", label="majority label")
    axes.set_xticks(range(len(names)), [name.replace("_", " ") for name in names], rotation=45, ha="right")
    unit = "speakers" if sweep["interval_unit"] == "speaker" else "utterances"
    axes.set(title=title, ylabel="balanced accuracy (%)")
    axes.grid(axis="y", alpha=0.3)
    axes.legend(loc="best", fontsize="small", title=f"95 % over {unit}", title_fontsize="small")
