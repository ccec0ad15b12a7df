"""The run: sources in, transcripts out, as they finish.

Knows what is heard when, progress, and when a source is finished. Does not know how audio is cut
(``reading``), how pieces are batched (``pieces``), how text is joined (``assembly``), or what is done with a
transcript.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

from asr_adapt.decoding import Decoding
from asr_adapt.errors import UsageError, shown
from asr_adapt.manifest import Utterance
from asr_adapt.models import Hypothesis, Recogniser
from asr_adapt.transcription.assembly import assemble, language_of
from asr_adapt.transcription.calibration import calibrated
from asr_adapt.transcription.cores import core_threads
from asr_adapt.transcription.hearing import Hearing
from asr_adapt.transcription.known_states import States, transcribe_states
from asr_adapt.transcription.longform import CPU_ROWS, Track, Turn, TurnBatches
from asr_adapt.transcription.pieces import PieceBatches, Waiting
from asr_adapt.transcription.reading import Read, Reader, whole_audio
from asr_adapt.transcription.result import Transcript
from asr_adapt.transcription.row_languages import language_of_row
from asr_adapt.transcription.source_state import HearingProgress, SourceResult, SourceState, begun
from asr_adapt.transcription.sources import Source
from asr_adapt.transcription.voice.speakers import Diarizer, with_speakers
from asr_adapt.transcription.windows import Piece

logger = logging.getLogger(__name__)


JournalPath = Callable[[Source], Path | None]


class Engine:
    """Transcribes sources with one recogniser. ``progress`` may be read between outcomes and batches."""

    def __init__(
        self,
        recogniser: Recogniser,
        options: Decoding | None = None,
        *,
        journal_path: JournalPath | None = None,
        on_progress: Callable[[HearingProgress], None] | None = None,
        states: States | None = None,
        computing: Callable[[], AbstractContextManager[None]] = nullcontext,
        alive: Callable[[], None] = lambda: None,
    ) -> None:
        """``computing`` gives what is held while the recogniser works, not while audio is read; ``alive`` is
        called while audio is read, and what it raises ends the run."""
        self.recogniser = recogniser
        self.options = options or Decoding()
        self._diarizer = None
        if self.options.diarize:
            self.options = replace(self.options, word_timestamps=True)
            self._diarizer = Diarizer(recogniser.device, self.options.max_speakers)
        self.progress = HearingProgress()
        self._journal_path = journal_path
        self._on_progress = on_progress
        self._states = states
        self._turns: TurnBatches[SourceState] | None = None
        self._computing, self._alive = computing, alive
        _warn_of_other_decoding(recogniser, self.options)
        able = recogniser.capabilities
        if self.options.word_timestamps and not able.word_times:
            raise UsageError(
                f"{recogniser.name} does not tell when words were said: leave out word times, speakers, "
                "calibration and subtitles word by word, or use a Whisper or CTC model."
            )
        if self.options.language:
            recogniser.require_language(self.options.language)
        if self.options.language and not able.decoder and not able.languages:
            logger.warning(
                "language %r has no effect: %s writes the language it was trained on",
                self.options.language,
                recogniser.name,
            )
        self._pieces = PieceBatches(recogniser, self.options, self._deliver)

    def run(self, sources: Sequence[Source]) -> Iterator[SourceResult]:
        """One outcome a source, in the order in which they finish.

        A failed source does not stop the others unless ``fail_fast``; errors of the recogniser itself do.
        """
        jobs = {number: self._begun(source) for number, source in enumerate(sources)}
        hearing = Hearing.of(self.recogniser)
        reader = Reader(list(sources), hearing, self.options)
        try:
            with core_threads(self.recogniser) as cores:
                more = True
                while more:
                    more = bool(events := reader.take(self._alive))
                    yield from self._failures(events, jobs)
                    with self._computing():
                        self._hear(events, jobs, cores, more=more)
                    yield from self._finished(jobs)
                    if self.options.fail_fast and self.progress.failed:
                        return
        finally:
            reader.stop()

    def knows(self, row: Utterance) -> bool:
        """Whether :meth:`run_states` gives the whole row's transcript: text, no word times."""
        options = self.options
        plain = options.confidence_map is None and not options.word_timestamps
        whole = options.segmenter in ("auto", "windows") and options.window_seconds is None
        whole &= not options.clips
        return self._states is not None and plain and whole and self._states.has(row)

    def run_states(self, rows: Sequence[Utterance]) -> Iterator[tuple[int, Transcript]]:
        """Number and transcript of each row, all of which the engine :meth:`knows`."""
        if not rows or self._states is None:
            return

        def tell(audio: float, work: float) -> None:
            self.progress.audio_seconds += audio
            self.progress.compute_seconds += work
            if self._on_progress is not None:
                self._on_progress(self.progress)

        groups: dict[str | None, list[int]] = defaultdict(list)
        for number, row in enumerate(rows):
            groups[language_of_row(self.recogniser, self.options.language, row)].append(number)
        for language, numbers in groups.items():
            for place, transcript in transcribe_states(
                self.recogniser,
                [rows[number] for number in numbers],
                self._states,
                batch_seconds=self._pieces.budget,
                language=language,
                on_batch=tell,
            ):
                self.progress.finished += 1
                yield numbers[place], transcript

    def _begun(self, source: Source) -> SourceState:
        path = self._journal_path(source) if self._journal_path and source.path else None
        return begun(source, self.recogniser, self.options, path)

    def _failures(self, events: Sequence[Read], jobs: dict[int, SourceState]) -> Iterator[SourceResult]:
        for event in events:
            if event.failure is not None:
                job = jobs.pop(event.job)
                self.progress.failed += 1
                yield SourceResult(event.job, job.source, failure=event.failure)

    def _hear(
        self, events: Sequence[Read], jobs: dict[int, SourceState], cores: Executor | None, *, more: bool
    ) -> None:
        """Recognise every piece among the events and note which sources ended; ``more`` events may follow."""
        pieces: list[Waiting[SourceState]] = []
        for event in events:
            job = jobs.get(event.job)
            if job is None:
                continue
            if event.piece is None:
                job.duration, job.remarks = event.duration, event.remarks
            if job.track is not None:
                _feed(job.track, event.piece)
            if job.track is not None or event.piece is None:
                continue
            job.expected += 1
            span = (event.piece.start, event.piece.stop)
            if job.journal is not None and span in job.journal.heard:
                job.heard[span] = job.journal.heard[span]
            else:
                pieces.append((job, event.piece))
        self._pieces.run(pieces, cores)
        self._take_turns(list(jobs.values()), more=more)

    def _take_turns(self, jobs: Sequence[SourceState], *, more: bool) -> None:
        """Hear the windows of all sources that are heard so, as far as their audio was read."""
        tracks = [(job, job.track) for job in jobs if job.track is not None]
        if not tracks:
            return
        if self._turns is None:
            words = self.options.word_timestamps or self.options.confidence_map is not None
            rows = self.options.batch_size or self._rows()
            self._turns = TurnBatches(self.recogniser, rows, words=words)
        self._turns.run(tracks, self._told, more=more)
        for job, _ in tracks:
            self._keep(job)

    def _keep(self, job: SourceState) -> None:
        """Take over what the track of a source finished."""
        assert job.track is not None
        for span in job.track.finished.keys() - job.heard.keys():
            job.heard[span] = calibrated(job.track.finished[span], self.options)

    def _rows(self) -> int:
        """Windows in one batch."""
        whole = self.recogniser.window_seconds
        return CPU_ROWS if self.recogniser.device.type == "cpu" else max(1, int(self._pieces.budget / whole))

    def _told(self, job: SourceState, turn: Turn, seconds: float) -> None:
        """Count one window, and note it where a kill would lose it."""
        self._keep(job)
        if job.journal is not None and not job.complete:
            job.journal.append(job.heard)
        job.seconds += seconds
        self.progress.compute_seconds += seconds
        stop = turn.piece.start + turn.start + len(turn.window.samples)
        self._count(job, max(stop, turn.piece.stop) / self.recogniser.sample_rate)
        self._tell()

    def _count(self, job: SourceState, until: float) -> None:
        """Every second of a source counts once, whatever was heard twice or left out."""
        self.progress.audio_seconds += max(0.0, until - job.counted)
        job.counted = max(job.counted, until)

    def _tell(self) -> None:
        if self._on_progress is not None:
            self._on_progress(self.progress)

    def _deliver(
        self, batch: Sequence[Waiting[SourceState]], hypotheses: Sequence[Hypothesis], seconds: float
    ) -> None:
        total = sum(len(piece.samples) for _, piece in batch)
        for (job, piece), hypothesis in zip(batch, hypotheses, strict=True):
            job.heard[(piece.start, piece.stop)] = hypothesis
            job.seconds += seconds * len(piece.samples) / total
            self._count(job, piece.stop / self.recogniser.sample_rate)
        self.progress.compute_seconds += seconds
        self._tell()  # once all its rows count, else what is left looks many times as long

    def _finished(self, jobs: dict[int, SourceState]) -> Iterator[SourceResult]:
        for number, job in list(jobs.items()):
            if job.complete:
                del jobs[number]
                yield self._outcome(number, job)
            elif job.journal is not None:
                job.journal.append(job.heard)

    def _outcome(self, number: int, job: SourceState) -> SourceResult:
        self.progress.finished += 1
        remarks = (*job.remarks, *_unclear(job.heard.values()))
        for remark in remarks:
            logger.warning("%s: %s", shown(job.source.label), remark)
        self._count(job, job.duration or 0.0)
        self._tell()
        segments = assemble(job.heard, self.recogniser.sample_rate)
        language, probability = language_of(segments, job.language)
        transcript = Transcript(
            source=job.source.label,
            segments=segments,
            duration=job.duration or 0.0,
            model=self.recogniser.name,
            language=language,
            language_probability=probability,
            task=self.recogniser.settings.task,
            compute_seconds=job.seconds,
            warnings=remarks,
            fields=job.source.fields,
            looped=any(hypothesis.looped for hypothesis in job.heard.values()),
        )
        return SourceResult(number, job.source, self._with_speakers(transcript, job))

    def _with_speakers(self, transcript: Transcript, job: SourceState) -> Transcript:
        """The same with who spoke, where that was asked; voices are heard once the words are known."""
        if self._diarizer is None or not transcript.segments:
            return transcript
        started = time.perf_counter()
        rate = self.recogniser.sample_rate
        turns = self._diarizer.turns(whole_audio(job.source, rate, self.options), rate)
        found = with_speakers(transcript, turns)
        return replace(found, compute_seconds=found.compute_seconds + time.perf_counter() - started)


def _unclear(heard: Iterable[Hypothesis]) -> list[str]:
    """What is said of speech that is not in the transcript."""
    seconds = round(sum(hypothesis.unclear for hypothesis in heard), 1)
    return [f"{seconds} s of speech could not be made out and are left out."] if seconds else []


def _feed(track: Track, piece: Piece | None) -> None:
    if piece is None:
        track.end()
    else:
        track.add(piece)


def _warn_of_other_decoding(recogniser: Recogniser, options: Decoding) -> None:
    """A calibration fitted with other decoding is applied, as asked, but its numbers may be off."""
    fitted = "" if options.confidence_map is None else options.confidence_map.decoding
    if fitted and fitted != recogniser.description:
        logger.warning(
            "confidences may be off: the calibration was fitted with decoding %r, this run uses %r",
            fitted,
            recogniser.description,
        )
