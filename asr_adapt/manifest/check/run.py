"""A whole check: ranges spread over processes, then findings that need all rows.

Knows processes and the cache. Does not know how rows are judged; see ``rows`` and ``across``.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from asr_adapt.errors import DataError
from asr_adapt.manifest.check.across import AcrossRows
from asr_adapt.manifest.check.cache import HealthCache
from asr_adapt.manifest.check.columns import Columns
from asr_adapt.manifest.check.findings import KINDS, Findings
from asr_adapt.manifest.check.limits import LabelRules
from asr_adapt.manifest.check.rows import RangeChecker, RangeResult, RowSettings
from asr_adapt.manifest.limits import ModelLimits
from asr_adapt.manifest.manifest import Manifest
from asr_adapt.text import Writing

logger = logging.getLogger(__name__)

#: Rows a worker takes at once, with and without decoding.
AUDIO_RANGE, TEXT_RANGE = 64, 20_000
#: Fewer rows than this are checked in this process; a second one takes 0.3 s to start.
_SMALL = {True: 128, False: 20_000}


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """What to check. ``profile`` normalises text for the model's view; ``workers`` None is all cores."""

    audio: bool = True
    limits: ModelLimits | None = None
    profile: str = "basic"
    workers: int | None = 1
    cache: Path | None = None


@dataclass(slots=True)
class Report:
    """The outcome. ``unknown`` counts characters the model lacks, ``examples`` shows a text for each."""

    rows: int
    seconds: float = 0.0
    findings: Findings = field(default_factory=Findings)
    unknown: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    #: How many rows have capitals and punctuation; None where the model writes neither, or none was named.
    writing: Writing | None = None

    @property
    def failed(self) -> bool:
        """Whether any error was found."""
        return self.findings.count("error") > 0

    def take(self, result: RangeResult) -> None:
        """Add what a range of rows showed."""
        self.findings.extend(result.findings)
        self.unknown.update(result.unknown)
        self.examples = {**result.examples, **self.examples}
        if self.writing is not None:
            self.writing += result.writing

    def _repr_html_(self) -> str:
        from asr_adapt.notebook import framed, table

        rows = [
            {
                "finding": code,
                "severity": KINDS[code].severity,
                "rows": len(found),
                "meaning": KINDS[code].meaning,
            }
            for code, found in sorted(self.findings.rows.items(), key=lambda item: -len(item[1]))
        ]
        return framed(table(rows, f"{self.rows:,} rows, {self.seconds / 3600:.2f} hours: findings"))

    def to_json(self) -> dict[str, Any]:
        """Plain values: totals by code with what each means, and the listed findings."""
        return {
            "rows": self.rows,
            "hours": round(self.seconds / 3600, 4),
            "errors": self.findings.count("error"),
            "warnings": self.findings.count("warning"),
            "codes": {
                code: {"severity": KINDS[code].severity, "rows": len(rows), "meaning": KINDS[code].meaning}
                for code, rows in sorted(self.findings.rows.items())
            },
            "unknown_characters": [
                {"character": c, "count": n, "example": self.examples[c]}
                for c, n in self.unknown.most_common()
            ],
            "findings": [finding.to_json() for finding in self.findings],
        } | ({} if self.writing is None else {"writing": self.writing.to_json()})


def check_manifest(
    manifest: Manifest, options: CheckOptions, progress: Callable[[int], None] | None = None
) -> Report:
    """Check every row and the rows together; ``progress`` is told how many rows are done.

    Nothing is changed. Raises DataError only when the manifest itself cannot be opened or read.
    """
    columns, report = measure_rows(manifest, options, progress)
    AcrossRows(manifest, columns, report.findings).find(options.limits, options.profile)
    return report


def measure_rows(
    manifest: Manifest, options: CheckOptions, progress: Callable[[int], None] | None = None
) -> tuple[Columns, Report]:
    """Check every row on its own; returns the numbers of all rows and the findings so far."""
    limits = options.limits
    settings = RowSettings(
        audio=options.audio,
        rules=None if limits is None else LabelRules.of(limits, options.profile),
        cache=options.cache,
    )
    columns, report = Columns.blank(len(manifest)), Report(len(manifest))
    if limits is not None and limits.cased:
        report.writing = Writing()
    kept = options.cache if options.audio else None
    cache = None if kept is None else HealthCache(kept, logger.warning)
    done = 0
    try:
        for result in _run(manifest, settings, _workers(options, len(manifest))):
            if cache is not None and result.measured:
                cache.put(result.measured)
            report.take(result)
            columns.put(result.start, result.columns)
            done += len(result.columns.ids)
            if progress is not None:
                progress(done)
    finally:
        if cache is not None:
            cache.close()
    report.seconds = float(np.nansum(columns.durations, dtype=np.float64))
    return columns, report


def _workers(options: CheckOptions, rows: int) -> int:
    if rows <= _SMALL[options.audio]:
        return 1
    return max(1, options.workers or os.cpu_count() or 1)


def _run(manifest: Manifest, settings: RowSettings, workers: int) -> Iterator[RangeResult]:
    size = AUDIO_RANGE if settings.audio else TEXT_RANGE
    ranges = [(start, min(start + size, len(manifest))) for start in range(0, len(manifest), size)]
    if workers == 1:
        checker = RangeChecker(manifest, settings)
        try:
            yield from (checker(start, stop) for start, stop in ranges)
        finally:
            checker.close()
        return
    context = multiprocessing.get_context("spawn")  # forking a process with threads is unsafe
    with ProcessPoolExecutor(workers, context, _start_worker, (manifest, settings)) as pool:
        waiting: set[Future[RangeResult]] = set()
        queue = iter(ranges)
        try:
            for start, stop in queue:
                waiting.add(pool.submit(_check_range, start, stop))
                if len(waiting) >= 4 * workers:
                    done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                    yield from (future.result() for future in done)
            while waiting:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        finally:
            pool.shutdown(cancel_futures=True)


_worker: list[RangeChecker] = []


def _start_worker(manifest: Manifest, settings: RowSettings) -> None:
    _worker[:] = [RangeChecker(manifest, settings)]


def _check_range(start: int, stop: int) -> RangeResult:
    if not _worker:
        raise DataError("the check's worker process did not start.")
    return _worker[0](start, stop)
