"""What is known of each source while a run hears it, and how far the run is.

Knows the pieces that were heard, the journal of an earlier run, and the track of windows. Does not know how
pieces are batched (``pieces``), nor when a source is heard (``engine``).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from asr_adapt.decoding import Decoding
from asr_adapt.models import Hypothesis, Recogniser
from asr_adapt.transcription.assembly import Span
from asr_adapt.transcription.hearing import Hearing
from asr_adapt.transcription.journal import Journal, journal_key
from asr_adapt.transcription.longform import Track, track_for
from asr_adapt.transcription.result import Transcript
from asr_adapt.transcription.row_languages import language_of_row
from asr_adapt.transcription.sources import Failure, Source


@dataclass(frozen=True, slots=True)
class SourceResult:
    """A source that is finished: its place in the input, and either its transcript or its failure."""

    index: int
    source: Source
    transcript: Transcript | None = None
    failure: Failure | None = None


@dataclass
class HearingProgress:
    """How far a run is: seconds of audio heard, seconds of the recogniser's work, sources finished."""

    audio_seconds: float = 0.0
    compute_seconds: float = 0.0
    finished: int = 0
    failed: int = 0


@dataclass
class SourceState:
    """What is known of one source while it runs."""

    source: Source
    language: str | None = None  # asked for, or the row's
    heard: dict[Span, Hypothesis] = field(default_factory=dict)
    expected: int = 0
    duration: float | None = None  # set when the last piece was read
    seconds: float = 0.0
    journal: Journal | None = None
    remarks: tuple[str, ...] = ()
    track: Track | None = None
    counted: float = 0.0  # seconds of audio that progress knows of

    @property
    def complete(self) -> bool:
        """Whether everything of it was heard."""
        if self.track is not None:
            return self.track.done
        return self.duration is not None and len(self.heard) == self.expected


def begun(source: Source, recogniser: Recogniser, options: Decoding, path: Path | None) -> SourceState:
    """A source before anything of it is heard, with what its journal at ``path`` (None: none) knows."""
    job = _with_journal(source, recogniser, options, path)
    hearing = Hearing.of(recogniser)
    if hearing.timed_windows(source):
        seconds = min(options.window_seconds or hearing.window_seconds, hearing.window_seconds)
        known = job.journal.heard if job.journal is not None else {}
        own = replace(hearing.settled(options), language=job.language)
        job.track = track_for(own, hearing.sample_rate, round(seconds * hearing.sample_rate), known)
    return job


def _with_journal(
    source: Source, recogniser: Recogniser, options: Decoding, path: Path | None
) -> SourceState:
    language = language_of_row(recogniser, options.language, source.row)
    if path is None:
        return SourceState(source, language)
    try:
        key = journal_key(source, recogniser, replace(options, language=language))
    except OSError:  # the file is not there: the reader says so in its own words
        return SourceState(source, language)
    return SourceState(source, language, journal=Journal(path, key))
