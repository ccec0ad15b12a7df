"""An empty figure, and a figure as SVG and PNG files: what every plot of the package begins and ends with.

Knows matplotlib, which the extra ``plots`` brings. Does not know what is drawn.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from asr_adapt.errors import MissingExtraError

SUFFIXES = (".svg", ".png")


def require_plots() -> None:
    """Raise :class:`MissingExtraError` without matplotlib, before any work is done."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise MissingExtraError("Drawing plots", "plots") from None


def new_figure(width: float, height: float) -> Any:
    """An empty matplotlib figure of that size in inches; raises :class:`MissingExtraError`."""
    require_plots()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Any, stem: Path) -> list[Path]:
    """Write ``stem.svg`` and ``stem.png``; the SVG has no date and no random ids."""
    import matplotlib

    written = [stem.with_name(stem.name + suffix) for suffix in SUFFIXES]
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "asr_adapt"}):
        for path in written:
            figure.savefig(path, dpi=130, metadata={"Date": None} if path.suffix == ".svg" else None)
    return written
