"""A whole run over named inputs: expand, skip what is done, transcribe, write, report.

Knows the order of these steps and what counts as failed. Does not know command-line options or the screen.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from asr_adapt.models import Recogniser
from asr_adapt.transcription.engine import Engine, Outcome
from asr_adapt.transcription.inputs import Expansion, Failure, Source, expand, source_failure
from asr_adapt.transcription.options import TranscribeOptions
from asr_adapt.transcription.outputs import Outputs
from asr_adapt.transcription.result import Transcript


@dataclass
class RunReport:
    """What a run did: counts of sources, failures in the order they were found, and seconds."""

    done: int = 0
    skipped: int = 0
    failures: list[Failure] = field(default_factory=list)
    audio_seconds: float = 0.0
    wall_seconds: float = 0.0

    @property
    def real_time_factor(self) -> float:
        """Seconds of audio per second of the clock (RTFx)."""
        return self.audio_seconds / self.wall_seconds if self.wall_seconds else 0.0


@dataclass(frozen=True)
class RunSettings:
    """Options of a run beside those of transcription itself."""

    options: TranscribeOptions = field(default_factory=TranscribeOptions)
    skip_existing: bool = False
    each_channel: bool = False
    #: Called with the seconds of audio to do; gives a callback for the seconds done.
    on_start: Callable[[float], Callable[[float], None] | None] = lambda seconds: None


def transcribe_files(
    names: Sequence[str], load: Callable[[], Recogniser], outputs: Outputs, settings: RunSettings
) -> RunReport:
    """Transcribe everything ``names`` stand for into ``outputs``.

    ``load`` is called only when there is something to transcribe. Inputs that fail are in the report and do
    not stop the others unless ``fail_fast``. Raises UsageError before any work, ModelError from ``load``.
    """
    with tempfile.TemporaryDirectory(prefix="asr-adapt-") as spool:
        expansion = expand(names, spool=Path(spool), each_channel=settings.each_channel)
        outputs.check(len(expansion.sources))
        run = _Run(outputs, settings)
        for failure in expansion.failures:
            run.fail(failure)
        if run.stopped:
            return run.report
        todo = Expansion(run.without_existing(expansion.sources), [])
        if todo.sources:
            run.transcribe(todo, load())
        return run.report


class _Run:
    """The state of one run; transcripts wait here for their turn on standard output."""

    def __init__(self, outputs: Outputs, settings: RunSettings) -> None:
        self.outputs = outputs
        self.settings = settings
        self.report = RunReport()
        self._sources = 0
        self._next = 0
        self._waiting: dict[int, Transcript | None] = {}
        self._all: list[Transcript] = []

    @property
    def stopped(self) -> bool:
        return self.settings.options.fail_fast and bool(self.report.failures)

    def fail(self, failure: Failure) -> None:
        self.report.failures.append(failure)

    def without_existing(self, sources: list[Source]) -> list[Source]:
        if not self.settings.skip_existing:
            return sources
        todo = [source for source in sources if not self.outputs.exist(source)]
        self.report.skipped = len(sources) - len(todo)
        return todo

    def transcribe(self, todo: Expansion, recogniser: Recogniser) -> None:
        started = time.perf_counter()
        self._sources = len(todo.sources)
        tell = self.settings.on_start(todo.duration)
        engine = Engine(
            recogniser,
            self.settings.options,
            journal_path=self.outputs.journal,
            on_progress=None if tell is None else lambda progress: tell(progress.audio_seconds),
        )
        for outcome in engine.run(todo.sources):
            self._finish(outcome)
            self.report.audio_seconds = engine.progress.audio_seconds
            self.report.wall_seconds = time.perf_counter() - started
            if self.stopped:
                break
        if self.outputs.file is not None and self.outputs.formats == ("jsonl",):
            self.outputs.write_common(self._all)

    def _finish(self, outcome: Outcome) -> None:
        if outcome.failure is not None:
            self.fail(outcome.failure)
        elif outcome.transcript is not None:
            self._write(outcome.source, outcome.transcript)
        self._waiting[outcome.index] = outcome.transcript
        ready: list[Transcript] = []
        while self._next in self._waiting:
            transcript = self._waiting.pop(self._next)
            self._next += 1
            if transcript is not None:
                ready.append(transcript)
        self._in_order(ready)

    def _write(self, source: Source, transcript: Transcript) -> None:
        try:
            self.outputs.write_files(source, transcript)
        except (OSError, ValueError) as error:
            self.fail(source_failure(source, error))
            return
        self.report.done += 1
        if (journal := self.outputs.journal(source)) is not None:
            journal.unlink(missing_ok=True)

    def _in_order(self, ready: list[Transcript]) -> None:
        if self.outputs.directory is not None:
            return
        if self.outputs.file is None:
            self.outputs.write_in_order(ready, self._sources)
        elif self.outputs.formats == ("jsonl",):
            self._all.extend(ready)
