"""A whole run over named inputs: expand, skip what is done, transcribe, write, report.

Knows the order of these steps and what counts as failed. Does not know command-line options or the screen.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from asr_adapt.decoding import Decoding
from asr_adapt.destinations import Name
from asr_adapt.files import temporary_folder
from asr_adapt.locks import alone
from asr_adapt.models import Recogniser
from asr_adapt.transcription.engine import Engine
from asr_adapt.transcription.inputs import Expansion, expand
from asr_adapt.transcription.processes import ALONE, Processes
from asr_adapt.transcription.result import Transcript
from asr_adapt.transcription.row_languages import say_unobeyed
from asr_adapt.transcription.rows.row_journal import RowJournal, run_key
from asr_adapt.transcription.source_state import SourceResult
from asr_adapt.transcription.sources import Failure, Source, source_failure
from asr_adapt.transcription.writing.outputs import Outputs
from asr_adapt.transcription.writing.produced import Produced


@dataclass
class RunReport:
    """What a run did: counts of sources, failures in the order they were found, and seconds."""

    done: int = 0
    skipped: int = 0
    failures: list[Failure] = field(default_factory=list)
    #: (source, language, probability) of each source whose language was heard, not given.
    languages: list[tuple[str, str, float]] = field(default_factory=list)
    audio_seconds: float = 0.0
    wall_seconds: float = 0.0

    @property
    def real_time_factor(self) -> float:
        """Seconds of audio per second of the clock (RTFx)."""
        return self.audio_seconds / self.wall_seconds if self.wall_seconds else 0.0


@dataclass(frozen=True)
class RunSettings:
    """Options of a run beside those of transcription itself."""

    options: Decoding = field(default_factory=Decoding)
    skip_existing: bool = False
    each_channel: bool = False
    #: Whether files that are not from an earlier run may be replaced.
    overwrite: bool = False
    #: What the run reads besides its sources, which no output may replace: lists, model, language model.
    read: tuple[Name, ...] = ()
    processes: Processes = ALONE
    #: Called with the seconds of audio to do; gives a callback for the seconds done.
    on_start: Callable[[float], Callable[[float], None] | None] = lambda seconds: None


def transcribe_files(
    names: Sequence[str], load: Callable[[], Recogniser], outputs: Outputs, settings: RunSettings
) -> RunReport:
    """Transcribe everything ``names`` stand for into ``outputs``.

    ``load`` is called only when there is something to transcribe. Inputs that fail are in the report and do
    not stop the others unless ``fail_fast``. Raises UsageError before any work, ModelError from ``load``.

    Among several processes each transcribes its share of the sources; all get the report of the whole, and
    what goes to one stream or file is written by the main one. There, ``fail_fast`` raises the failure.
    """
    with temporary_folder() as spool:
        expansion = expand(
            names, spool=spool, each_channel=settings.each_channel, track=settings.options.track
        )
        outputs.check(len(expansion.sources))
        produced = None if outputs.directory is None else Produced(outputs.directory, spool)
        sources = expansion.sources if produced is None else produced.named(expansion.sources)
        run = _FilesRun(outputs, settings, produced)
        todo = Expansion(run.without_existing(sources), [])
        outputs.require_free(todo.sources, settings.read, overwrite=settings.overwrite)
        for failure in expansion.failures:
            run.fail(failure)
        if run.stopped:
            return run.report
        if todo.sources:
            with alone(outputs.common if settings.processes.main else None):
                run.transcribe(todo, load())
        return run.report


class _FilesRun:
    """The state of one run; transcripts wait here for their turn on standard output."""

    def __init__(self, outputs: Outputs, settings: RunSettings, produced: Produced | None) -> None:
        self.outputs, self.produced = outputs, produced
        self.settings = settings
        self.report = RunReport()
        self._sources = 0
        self._next = 0
        self._waiting: dict[int, str | None] = {}
        self._journal: RowJournal | None = None
        self._numbers: list[int] = []

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
        processes = self.settings.processes
        self._sources = len(todo.sources)
        if processes.main:
            rows = [source.row for source in todo.sources if source.row is not None]
            say_unobeyed(recogniser, self.settings.options.language, rows)
        known = self._known(todo.sources, recogniser)
        self.report.skipped += len(known)
        processes.wait()  # all have seen what is there before one writes, so that all deal out the same
        self._numbers = processes.share([n for n in range(self._sources) if n not in known])
        own = Expansion([todo.sources[number] for number in self._numbers], [])
        tell = self.settings.on_start(own.duration)
        engine = Engine(
            recogniser,
            self.settings.options,
            journal_path=self.outputs.journal,
            on_progress=None if tell is None else lambda progress: tell(progress.audio_seconds),
        )
        earlier = len(self.report.failures)
        for outcome in engine.run(own.sources):
            self._finish(outcome)
            self.report.audio_seconds = engine.progress.audio_seconds
            self.report.wall_seconds = time.perf_counter() - started
            if self.stopped:
                if processes.count > 1:
                    raise self.report.failures[-1].error
                break
        self._merge(known, earlier)

    def _known(self, sources: list[Source], recogniser: Recogniser) -> dict[int, str | None]:
        """What a killed run already has for the common file, by the number of the source."""
        if self.outputs.common is None:
            return {}
        key = run_key(recogniser, self.settings.options, sources)
        self._journal = RowJournal(self.outputs.common, key, self.settings.processes.index)
        return self._journal.read()

    def _merge(self, known: dict[int, str | None], earlier: int) -> None:
        """Bring the processes' parts together; the main one writes what goes to one place."""
        processes = self.settings.processes
        report = self.report
        if processes.count > 1:
            failures = [failure.portable() for failure in report.failures[earlier:]]
            report.failures[earlier:] = [f for part in processes.gather(failures) for f in part]
        for texts in processes.gather(self._waiting):
            known.update(texts)
        report.done = sum(processes.gather(report.done))
        report.audio_seconds = sum(processes.gather(report.audio_seconds))
        report.wall_seconds = max(processes.gather(report.wall_seconds))
        if not processes.main:
            return
        ordered = [text for _, text in sorted(known.items()) if text is not None]
        if self._journal is not None:
            self.outputs.write_common(ordered)
            self._journal.remove()
        elif self.outputs.directory is None and self.outputs.file is None:
            self.outputs.write_in_order(ordered)

    def _finish(self, outcome: SourceResult) -> None:
        text = None
        if outcome.failure is not None:
            self.fail(outcome.failure)
        elif outcome.transcript is not None:
            self._note_language(outcome.transcript)
            self._write(outcome.source, outcome.transcript)
            if self.outputs.directory is None and (self.outputs.file is None or self._journal):
                text = self.outputs.printed(outcome.transcript, self._sources)
        number = self._numbers[outcome.index]
        self._waiting[number] = text
        if self._journal is not None and text is not None:
            self._journal.add(number, text)
        if self.settings.processes.count == 1 and self._journal is None:
            self._in_order()

    def _note_language(self, transcript: Transcript) -> None:
        share, asked = transcript.language_probability, self.settings.options.language
        if transcript.language is not None and share is not None and asked in (None, "auto"):
            self.report.languages.append((transcript.source, transcript.language, share))

    def _write(self, source: Source, transcript: Transcript) -> None:
        try:
            if self.produced is not None:
                self.produced.add(source)  # before the file: a kill between must not leave one of nobody
            self.outputs.write_files(source, transcript)
        except (OSError, ValueError) as error:
            self.fail(source_failure(source, error))
            return
        self.report.done += 1
        if (journal := self.outputs.journal(source)) is not None:
            journal.unlink(missing_ok=True)

    def _in_order(self) -> None:
        """Print what is next in the order of the inputs and let go of it."""
        ready = []
        while self._next in self._waiting:
            ready.append(self._waiting.pop(self._next))
            self._next += 1
        texts = [text for text in ready if text is not None]
        if texts:
            self.outputs.write_in_order(texts)
