"""How far work on audio is, on stderr: a bar on a terminal, elsewhere (a log file) a line every so often.

Knows seconds of audio done and to do. Does not know what is being done with them.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Start = Callable[[float], Callable[[float], None] | None]
#: Seconds between two lines, where there is no terminal.
EVERY_SECONDS = 15.0
#: Less audio gets no line when the work begins.
WORTH_SECONDS = 60.0


@contextmanager
def audio_progress(label: str, *, quiet: bool = False) -> Iterator[Start]:
    """Yield ``start(total_seconds)``; it gives a callback for the seconds done, or None when silent."""
    if quiet:
        yield lambda total: None
        return
    if not sys.stderr.isatty():
        yield lambda total: _lines(label, total)
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    from asr_adapt.screen import console

    columns: list[Any] = [TextColumn("{task.description}", markup=False), BarColumn()]
    columns += [TextColumn("{task.fields[speed]}"), TimeElapsedColumn(), TimeRemainingColumn()]
    with Progress(*columns, console=console(stderr=True), transient=True) as bar:

        def start(total: float) -> Callable[[float], None]:
            task = bar.add_task(label, total=total or None, speed="")

            def update(done: float) -> None:
                elapsed = bar.tasks[0].elapsed or 0.0
                speed = f"{done / elapsed:.0f}x real time" if elapsed > 0 else ""
                bar.update(task, completed=done, speed=speed)

            return update

        yield start


def _lines(label: str, total: float) -> Callable[[float], None]:
    """A callback that prints how far the work is, and what is left, every :data:`EVERY_SECONDS`."""
    began = spoken = time.monotonic()
    if total >= WORTH_SECONDS:
        print(f"{label}: {spoken_time(total)} of audio", file=sys.stderr, flush=True)

    def update(done: float) -> None:
        nonlocal spoken
        now = time.monotonic()
        if now - spoken < EVERY_SECONDS or not done:
            return
        spoken = now
        of = f" of {spoken_time(total)}" if total else ""
        left = f", {spoken_time((now - began) * (total - done) / done)} left" if total > done else ""
        print(f"{label}: {spoken_time(done)}{of} of audio done{left}", file=sys.stderr, flush=True)

    return update


def spoken_time(seconds: float) -> str:
    """Seconds as people say them: ``4.2 s``, ``3.5 min``, ``1.2 h``."""
    if seconds < 90:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
