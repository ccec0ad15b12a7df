"""A progress bar on stderr, and nothing where stderr is not a terminal.

Knows seconds of audio done and to do. Does not know what is being done with them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Start = Callable[[float], Callable[[float], None] | None]


@contextmanager
def audio_progress(label: str, *, quiet: bool = False) -> Iterator[Start]:
    """Yield ``start(total_seconds)``; it gives a callback for the seconds done, or None when silent."""
    if quiet or not sys.stderr.isatty():
        yield lambda total: None
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    from asr_adapt.screen import console

    columns: list[Any] = [TextColumn("{task.description}", markup=False), BarColumn()]
    columns += [TextColumn("{task.fields[speed]}")]
    columns += [TimeElapsedColumn(), TimeRemainingColumn()]
    with Progress(*columns, console=console(stderr=True), transient=True) as bar:

        def start(total: float) -> Callable[[float], None]:
            task = bar.add_task(label, total=total or None, speed="")

            def update(done: float) -> None:
                elapsed = bar.tasks[0].elapsed or 0.0
                speed = f"{done / elapsed:.0f}x real time" if elapsed > 0 else ""
                bar.update(task, completed=done, speed=speed)

            return update

        yield start


def spoken_time(seconds: float) -> str:
    """Seconds as people say them: ``4.2 s``, ``3.5 min``, ``1.2 h``."""
    if seconds < 90:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
