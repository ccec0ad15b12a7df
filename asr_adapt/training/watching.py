"""A run that one can watch: which phase it is in, how far, when it will be done, what each phase took.

Knows terminals, log files and clocks. Does not know what is being done. On a terminal a phase is a bar;
anywhere else it is a line when it begins, a line every so often with the time that is left (by the clock, and
in training also by steps), and a line when it ends.
"""

from __future__ import annotations

import logging
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from asr_adapt.screen import console

logger = logging.getLogger(__name__)

#: Told kind, label and seconds of a phase that ended.
Ended = Callable[[str, str, float], None]
#: Seconds between two lines about one phase, where there is no terminal.
EVERY_SECONDS = 15.0
#: Seconds after which a phase first says how long it will take.
FIRST_SECONDS = 3.0
#: Lines about all steps of a training at least, where there is no terminal.
LINES = 20
#: Shorter phases get no line when they end.
WORTH_SECONDS = 2.0


@dataclass
class Phase:
    """One stretch of work of ``total`` units (rows, steps); :meth:`done` says how many are behind it."""

    label: str
    total: float
    unit: str
    tell: Callable[[Phase], None]
    count: float = 0.0
    note: str = ""
    #: Units from one line of the log to the next; 0: the clock alone says when.
    every: float = 0.0
    started: float = field(default_factory=time.monotonic)

    def done(self, count: float, note: str = "") -> None:
        """``count`` units are done."""
        self.count, self.note = count, note
        self.tell(self)

    def add(self, count: float) -> None:
        """``count`` more units are done."""
        self.done(self.count + count, self.note)

    @property
    def left(self) -> float | None:
        """Seconds that are left at the speed so far; None before anything is done."""
        if not self.count:
            return None
        return (time.monotonic() - self.started) * max(0.0, self.total - self.count) / self.count


class Watch:
    """Shows phases and counts their seconds; ``quiet`` shows none.

    A phase inside another stops the outer one's clock, so that :attr:`seconds` add up to the time of the run.
    """

    def __init__(
        self, *, quiet: bool = False, ended: Callable[[str, str, float], None] | None = None
    ) -> None:
        self.quiet, self.ended = quiet, ended
        #: Seconds by kind of phase.
        self.seconds: dict[str, float] = defaultdict(float)
        self._kinds: list[str] = []
        self._since = time.monotonic()
        self._bar: Progress | None = None
        self._tasks: dict[int, TaskID] = {}
        #: When the last line about a phase was written, and how much was done then.
        self._spoken: dict[int, tuple[float, float]] = {}

    @contextmanager
    def phase(self, kind: str, label: str, total: float = 0.0, unit: str = "rows") -> Iterator[Phase]:
        """A phase of ``kind`` (the name of its seconds), shown as ``label``; steps are told by count too."""
        every = max(1.0, total // LINES) if unit == "steps" else 0.0
        phase = Phase(label, total, unit, self._tell, every=every)
        self._turn(push=kind)
        self._begin(phase)
        try:
            yield phase
        finally:
            self._end(phase)
            self._turn(push=None)
            if self.ended is not None:
                self.ended(kind, label, time.monotonic() - phase.started)

    def begin(self, kind: str) -> None:
        """All time outside of phases counts as ``kind`` from now on."""
        self._turn(push=kind)

    def say(self, text: str) -> None:
        """A line above the bars, or in the log."""
        if self._bar is not None:
            self._bar.console.print(text, highlight=False)
        else:
            logger.info("%s", text)

    def breakdown(self) -> dict[str, Any]:
        """Seconds by kind, the whole, and the share of measuring."""
        self._count()
        whole = sum(self.seconds.values())
        measured = self.seconds.get("measuring", 0.0)
        return {
            "seconds": {kind: round(value, 3) for kind, value in self.seconds.items()},
            "whole_seconds": round(whole, 3),
            "measuring_share": round(measured / whole, 4) if whole else 0.0,
        }

    def _count(self) -> None:
        """Give the time since the last call to the phase that ran."""
        now = time.monotonic()
        if self._kinds:
            self.seconds[self._kinds[-1]] += now - self._since
        self._since = now

    def _turn(self, push: str | None) -> None:
        """The clock runs for another phase from now on."""
        self._count()
        if push is None:
            self._kinds.pop()
        else:
            self._kinds.append(push)

    def _begin(self, phase: Phase) -> None:
        if self.quiet:
            return
        if sys.stderr.isatty():
            if self._bar is None:
                self._bar = _bar()
                self._bar.start()
            self._tasks[id(phase)] = self._bar.add_task(phase.label, total=phase.total or None, note="")
            return
        self._spoken[id(phase)] = time.monotonic() - max(0.0, EVERY_SECONDS - FIRST_SECONDS), 0.0
        if phase.total:
            logger.info("%s: %s", phase.label, _amount(phase.total, phase.unit))

    def _tell(self, phase: Phase) -> None:
        if self._bar is not None and id(phase) in self._tasks:
            self._bar.update(self._tasks[id(phase)], completed=phase.count, note=phase.note)
        elif id(phase) in self._spoken and self._due(phase, *self._spoken[id(phase)]):
            self._spoken[id(phase)] = time.monotonic(), phase.count
            left = "" if phase.left is None else f", {spoken(phase.left)} left"
            note = f" ({phase.note})" if phase.note else ""
            of = f"{phase.count:.0f} of {_amount(phase.total, phase.unit)}"
            logger.info("%s: %s%s%s", phase.label, of, left, note)

    def _due(self, phase: Phase, then: float, count: float) -> bool:
        """Whether the log gets a line, when the last one was written ``then``, behind ``count`` units."""
        if phase.every and phase.count // phase.every > count // phase.every:
            return True
        return time.monotonic() - then >= EVERY_SECONDS

    def _end(self, phase: Phase) -> None:
        task = self._tasks.pop(id(phase), None)
        if self._bar is not None and task is not None:
            self._bar.remove_task(task)
            if not self._tasks:
                self._bar.stop()
                self._bar = None
        elif self._spoken.pop(id(phase), None) is not None:
            took = time.monotonic() - phase.started
            if took >= WORTH_SECONDS:
                logger.info("%s: done in %s", phase.label, spoken(took))


def spoken(seconds: float) -> str:
    """``42 s``, ``3.5 min``, ``1.2 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _amount(count: float, unit: str) -> str:
    return f"{count:.0f} {unit}"


def _bar() -> Progress:
    columns: list[Any] = [TextColumn("{task.description}", markup=False), BarColumn()]
    columns += [
        TextColumn("{task.percentage:>3.0f} %"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    ]
    return Progress(*columns, console=console(stderr=True), transient=True)
