"""Transcription from Python: ``asr_adapt.transcribe``, and ``stream`` of this package.

Knows what a caller may pass and gets back. Does not know how the run is carried out (``engine``).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any, overload

import numpy as np

from asr_adapt.audio import resample
from asr_adapt.errors import AsrAdaptError, DataError, UsageError, shown
from asr_adapt.files import temporary_folder
from asr_adapt.models import Recogniser, load_recogniser
from asr_adapt.scoring.calibration import Calibration
from asr_adapt.text.spaces import joined
from asr_adapt.transcription.assembly import assemble
from asr_adapt.transcription.calibration import calibrated, calibration_beside, hear
from asr_adapt.transcription.decoding.fusion import with_hotwords
from asr_adapt.transcription.engine import Engine
from asr_adapt.transcription.inputs import Failure, Source, expand
from asr_adapt.transcription.longform import TurnBatches, track_for
from asr_adapt.transcription.options import TranscribeOptions
from asr_adapt.transcription.reading import Hearing, Tally, pieces_of
from asr_adapt.transcription.result import Segment, Transcript, mean_probability, phrases
from asr_adapt.transcription.stitching import Heard, Stitcher
from asr_adapt.transcription.windows import Piece

logger = logging.getLogger(__name__)

DEFAULT_MODEL = "nano-en"
Input = str | Path | np.ndarray


@overload
def transcribe(
    source: Sequence[Input],
    *,
    model: str | Path | Recogniser = ...,
    sample_rate: int | None = ...,
    **options: Any,
) -> list[Transcript]: ...
@overload
def transcribe(
    source: Input, *, model: str | Path | Recogniser = ..., sample_rate: int | None = ..., **options: Any
) -> Transcript: ...
def transcribe(
    source: Input | Sequence[Input],
    *,
    model: str | Path | Recogniser = DEFAULT_MODEL,
    sample_rate: int | None = None,
    **options: Any,
) -> Transcript | list[Transcript]:
    """Transcribe a file, an array, or a list of them; a list gives a list in its order.

    An array is a float waveform ``(samples,)`` between -1 and 1 at ``sample_rate`` Hz (default: the model's).
    In a list, a name may also be a folder, a glob or a manifest and gives as many transcripts as it holds.
    ``options`` are the fields of :class:`TranscribeOptions`, and ``device`` and ``compute_type`` of
    :meth:`load_recogniser`; ``calibration`` may be a file of ``asr-adapt calibrate``, by default the one in
    the model's directory. ``hotwords`` are words to favour, as ``--hotwords`` takes them or as a mapping to
    boosts, and ``hotwords_weight`` is the boost of those without their own. ``guard=False`` lets a decoder
    loop and write in silence, as plain transformers does; ``on_progress`` is called with a :class:`Progress`
    after each batch, and what it raises ends the work. Raises AsrAdaptError when any input cannot be read;
    for a run that goes on past bad inputs, see :class:`Engine`.
    """
    guard, tell = options.pop("guard", None), options.pop("on_progress", None)
    recogniser = load(model, options, compute_type="fast")
    with guarding(recogniser, guard), _sources(source, recogniser, sample_rate) as sources:
        found: dict[int, Transcript] = {}
        for outcome in Engine(recogniser, make_options(options), on_progress=tell).run(sources):
            if outcome.transcript is None:
                raise _error(outcome.failure)
            found[outcome.index] = outcome.transcript
    if _is_list(source):
        return [found[index] for index in sorted(found)]
    if len(found) != 1:
        raise UsageError(f"{source} stands for {len(found)} inputs; pass it in a list to get a list.")
    return found[0]


def stream(
    source: Input,
    *,
    model: str | Path | Recogniser = DEFAULT_MODEL,
    sample_rate: int | None = None,
    **options: Any,
) -> Iterator[Segment]:
    """Segments of one file or array as soon as each is certain, with word times; memory is bounded.

    Arguments and errors as in :func:`transcribe`. What of the sound could not be heard is logged at the end.
    """
    guard = options.pop("guard", None)
    recogniser = load(model, options, compute_type="fast")
    chosen = make_options(options)
    if chosen.diarize:
        raise UsageError("speakers are told apart in a whole recording: use transcribe, not stream.")
    with guarding(recogniser, guard), _sources(source, recogniser, sample_rate) as sources:
        if len(sources) != 1:
            raise UsageError(f"{source} stands for {len(sources)} inputs; stream one at a time.")
        hearing = Hearing.of(recogniser)
        tally = Tally()
        pieces = pieces_of(sources[0], hearing, chosen, tally)
        given = _timed if hearing.timed_windows(sources[0]) else _stitched
        yield from given(pieces, recogniser, chosen)
        for remark in tally.remarks:
            logger.warning("%s: %s", shown(sources[0].label), remark)


def _stitched(
    pieces: Iterable[Piece], recogniser: Recogniser, options: TranscribeOptions
) -> Iterator[Segment]:
    """Segments of overlapping pieces, as soon as no later piece can change them."""
    rate, stitcher = recogniser.sample_rate, Stitcher()
    for piece in pieces:
        heard = hear(recogniser, [piece.samples], options, words=True)[0]
        start = piece.start / rate
        words = tuple(replace(w, start=w.start + start, end=w.end + start) for w in heard.words)
        stitcher.add(Heard(start, piece.stop / rate, words))
        yield from _settled(stitcher, piece.stop / rate - options.overlap_seconds)
    yield from _settled(stitcher, float("inf"))


def _timed(pieces: Iterable[Piece], recogniser: Recogniser, options: TranscribeOptions) -> Iterator[Segment]:
    """Segments of a recogniser that tells times, as soon as the windows before them are heard."""
    rate = recogniser.sample_rate
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
def guarding(recogniser: Recogniser, guard: bool | None) -> Iterator[None]:
    """Within, the recogniser's decoder is guarded against loops and silence, or not; None leaves it be."""
    before = recogniser.search
    if guard is not None and recogniser.capabilities.decoder:
        recogniser.set_search(replace(before, guard=guard))
    try:
        yield
    finally:
        if recogniser.search is not before:
            recogniser.set_search(before)


def load(
    model: str | Path | Recogniser, options: dict[str, Any], *, compute_type: str = "auto"
) -> Recogniser:
    """The recogniser itself, or the one of that name.

    ``device``, ``compute_type`` (else the one given here) and hotwords are taken out of ``options``; a named
    model's calibration is put in where it has one and none is given.
    """
    device = options.pop("device", "auto")
    compute_type = options.pop("compute_type", compute_type)
    hotwords, weight = options.pop("hotwords", ()), options.pop("hotwords_weight", None)
    if isinstance(model, Recogniser):
        return with_hotwords(model, hotwords, weight)
    if not hotwords:  # the model's own map is for plain decoding
        options.setdefault("calibration", calibration_beside(model))
    return with_hotwords(
        load_recogniser(str(model), device=device, compute_type=compute_type), hotwords, weight
    )


def make_options(options: dict[str, Any]) -> TranscribeOptions:
    """Options by name; raises UsageError that lists the known names for an unknown one."""
    known = TranscribeOptions.__dataclass_fields__
    for name in options:
        if name not in known:
            raise UsageError(f"There is no option {name!r}; the options are {', '.join(known)}.")
    calibration = options.get("calibration")
    if isinstance(calibration, (str, Path)):
        options = {**options, "calibration": Calibration.read(calibration)}
    return TranscribeOptions(**options)


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
