"""Files and arrays through a loaded recogniser: all at once, one as a stream, or sound that has not ended.

Knows what may be passed and what is given back. Does not know how a model is found and opened
(``asr_adapt.api``), nor how the run is carried out (``engine``).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np

from asr_adapt.audio import resample
from asr_adapt.audio.resample import resample_stream
from asr_adapt.decoding import Decoding
from asr_adapt.errors import AsrAdaptError, DataError, UsageError, shown
from asr_adapt.files import temporary_folder
from asr_adapt.models import Recogniser
from asr_adapt.text.spaces import joined
from asr_adapt.transcription.assembly import assemble
from asr_adapt.transcription.calibration import calibrated, hear
from asr_adapt.transcription.engine import Engine
from asr_adapt.transcription.hearing import Hearing
from asr_adapt.transcription.inputs import expand
from asr_adapt.transcription.live import LiveStream, LiveUpdate
from asr_adapt.transcription.longform import TurnBatches, track_for
from asr_adapt.transcription.reading import Tally, checked_samples, pieces_of
from asr_adapt.transcription.result import Segment, Transcript, mean_probability, phrases
from asr_adapt.transcription.source_state import HearingProgress
from asr_adapt.transcription.sources import Failure, Source
from asr_adapt.transcription.stitching import PieceWords, Stitcher
from asr_adapt.transcription.windows import Piece

logger = logging.getLogger(__name__)

Input = str | Path | np.ndarray


def transcribe_all(
    source: Input | Sequence[Input],
    recogniser: Recogniser,
    decoding: Decoding,
    *,
    sample_rate: int | None = None,
    on_progress: Callable[[HearingProgress], None] | None = None,
) -> Transcript | list[Transcript]:
    """Transcribe a file, an array, or a list of them; a list gives a list in its order.

    An array is a float waveform ``(samples,)`` between -1 and 1 at ``sample_rate`` Hz (default: the
    recogniser's). Raises AsrAdaptError when any input cannot be read; for a run that goes on past bad inputs,
    see :class:`Engine`.
    """
    with _sources(source, recogniser, sample_rate) as sources:
        found: dict[int, Transcript] = {}
        for outcome in Engine(recogniser, decoding, on_progress=on_progress).run(sources):
            if outcome.transcript is None:
                raise _error(outcome.failure)
            found[outcome.index] = outcome.transcript
    if _is_list(source):
        return [found[index] for index in sorted(found)]
    if len(found) != 1:
        raise UsageError(f"{source} matches {len(found)} inputs; pass it in a list to get a list.")
    return found[0]


def stream_segments(
    source: Input, recogniser: Recogniser, decoding: Decoding, *, sample_rate: int | None = None
) -> Iterator[Segment]:
    """Segments of one file or array as soon as each is certain, with word times; memory is bounded.

    What cannot be is refused at once, before the first segment is asked for. What of the sound could not be
    heard is logged at the end.
    """
    if decoding.diarize:
        raise UsageError("speaker labels need the whole recording: use transcribe, not stream.")
    return _streamed(source, recogniser, decoding, sample_rate)


def live_updates(
    blocks: Iterable[np.ndarray],
    recogniser: Recogniser,
    decoding: Decoding,
    *,
    step: float,
    sample_rate: int | None = None,
) -> Iterator[LiveUpdate]:
    """Updates of a stream of float waveforms (n,) at ``sample_rate`` Hz, as they come.

    What cannot be is refused at once. What of the sound could not be heard is logged at the end.
    """
    stream = LiveStream(recogniser, decoding, step=step)
    rate = recogniser.sample_rate
    checked = (checked_samples(block, "a block of sound") for block in blocks if len(block))

    def updates() -> Iterator[LiveUpdate]:
        for block in resample_stream(checked, sample_rate or rate, rate):
            yield from stream.feed(block)
        yield from stream.finish()
        for remark in stream.remarks:
            logger.warning("live sound: %s", remark)

    return updates()


def _streamed(
    source: Input, recogniser: Recogniser, decoding: Decoding, sample_rate: int | None
) -> Iterator[Segment]:
    with _sources(source, recogniser, sample_rate) as sources:
        if len(sources) != 1:
            raise UsageError(f"{source} matches {len(sources)} inputs; stream one at a time.")
        hearing = Hearing.of(recogniser)
        tally = Tally()
        pieces = pieces_of(sources[0], hearing, decoding, tally)
        given = _timed if hearing.timed_windows(sources[0]) else _stitched
        yield from given(pieces, recogniser, decoding)
        for remark in tally.remarks:
            logger.warning("%s: %s", shown(sources[0].label), remark)


def _stitched(pieces: Iterable[Piece], recogniser: Recogniser, options: Decoding) -> Iterator[Segment]:
    """Segments of overlapping pieces, as soon as no later piece can change them."""
    rate, stitcher = recogniser.sample_rate, Stitcher()
    for piece in pieces:
        heard = hear(recogniser, [piece.samples], options, words=True)[0]
        start = piece.start / rate
        words = tuple(replace(w, start=w.start + start, end=w.end + start) for w in heard.words)
        stitcher.add(PieceWords(start, piece.stop / rate, words))
        yield from _settled(stitcher, piece.stop / rate - options.overlap_seconds)
    yield from _settled(stitcher, float("inf"))


def _timed(pieces: Iterable[Piece], recogniser: Recogniser, options: Decoding) -> Iterator[Segment]:
    """Segments of a recogniser that tells times, as soon as the windows before them are heard."""
    rate, options = recogniser.sample_rate, Hearing.of(recogniser).settled(options)
    track = track_for(options, rate, round(recogniser.window_seconds * rate))
    turns: TurnBatches[None] = TurnBatches(recogniser, 1, words=True)
    given: set[tuple[int, int]] = set()
    for piece in chain(pieces, [None]):
        if piece is None:
            track.end()
        else:
            track.add(piece)
        turns.run([(None, track)], lambda *_: None)
        fresh = {s: calibrated(h, options) for s, h in track.finished.items() if s not in given}
        given |= fresh.keys()
        yield from assemble(fresh, rate)


def _settled(stitcher: Stitcher, certain: float) -> Iterator[Segment]:
    """Take the phrases that no later piece can change, which are those that end before ``certain``."""
    groups = list(phrases(stitcher.words))
    for number, group in enumerate(groups):
        last = number == len(groups) - 1
        if group[-1].end > certain or (last and certain != float("inf")):
            return
        del stitcher.words[: len(group)]
        text = joined([word.text for word in group])
        yield Segment(group[0].start, group[-1].end, text, group, mean_probability(group))


@contextmanager
def _sources(
    source: Input | Sequence[Input], recogniser: Recogniser, sample_rate: int | None
) -> Iterator[list[Source]]:
    items: list[Input] = list(source) if _is_list(source) else [source]  # type: ignore[list-item,arg-type]
    with temporary_folder() as spool:
        found: list[Source] = []
        for item in items:
            if isinstance(item, np.ndarray):
                found.append(_array_source(item, recogniser.sample_rate, sample_rate, len(found)))
                continue
            expansion = expand([str(item)], spool=spool)
            if expansion.failures:
                raise _error(expansion.failures[0])
            found.extend(expansion.sources)
        yield found


def _array_source(samples: np.ndarray, rate: int, given: int | None, number: int) -> Source:
    if given is not None and given != rate:
        samples = resample(samples.astype(np.float32), given, rate)
    return Source(f"array {number}", f"array{number}", samples=samples, duration=len(samples) / rate)


def _is_list(source: object) -> bool:
    return isinstance(source, Sequence) and not isinstance(source, (str, bytes))


def _error(failure: Failure | None) -> Exception:
    assert failure is not None
    return failure.error if isinstance(failure.error, AsrAdaptError) else DataError(failure.message)
