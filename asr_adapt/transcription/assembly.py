"""Heard pieces of one source into its transcript.

Knows which pieces overlap, how words join into text, and where segments end. Does not know how pieces are
cut or recognised.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from asr_adapt.models import Hypothesis, Phrase, Word
from asr_adapt.text.spaces import joined
from asr_adapt.transcription.result import Segment, mean_probability, phrases
from asr_adapt.transcription.stitching import PieceWords, stitch

Span = tuple[int, int]


def assemble(heard: Mapping[Span, Hypothesis], sample_rate: int) -> tuple[Segment, ...]:
    """Segments of a source from its pieces, keyed by (first sample, sample behind the last).

    A piece alone keeps its text to the letter; segments without text are left out.
    """
    segments: list[Segment] = []
    for run in _runs(sorted(heard)):
        if len(run) == 1:
            segments.extend(_alone(run[0], heard[run[0]], sample_rate))
        else:
            segments.extend(_stitched(run, heard, sample_rate))
    return tuple(segment for segment in segments if segment.text)


def _runs(spans: Iterable[Span]) -> Iterator[list[Span]]:
    """Spans in groups of overlapping neighbours."""
    run: list[Span] = []
    for span in spans:
        if run and span[0] >= run[-1][1]:
            yield run
            run = []
        run.append(span)
    if run:
        yield run


def _alone(span: Span, hypothesis: Hypothesis, rate: int) -> Iterator[Segment]:
    start, end = span[0] / rate, span[1] / rate
    if hypothesis.phrases:
        yield from (_segment(phrase, start) for phrase in hypothesis.phrases)
        return
    words = _moved(hypothesis.words, start)
    if words and _joined(words, hypothesis.text) == hypothesis.text:
        yield from _phrases(words, hypothesis.text)
    else:
        yield Segment(start, end, hypothesis.text, words, hypothesis.confidence)


def language_of(segments: Sequence[Segment], asked: str | None) -> tuple[str | None, float | None]:
    """The language asked for, or that of most of the time, and the model's mean probability of it."""
    seconds: Counter[str] = Counter()
    for segment in segments:
        if segment.decoded is not None and segment.decoded.language is not None:
            seconds[segment.decoded.language] += max(segment.end - segment.start, 1e-3)  # type: ignore[assignment]
    if not seconds:
        return (None if asked == "auto" else asked), None
    found = max(seconds, key=seconds.__getitem__)
    about = [s.decoded for s in segments if s.decoded is not None and s.decoded.language == found]
    shares = [one.language_probability for one in about if one.language_probability is not None]
    return found, sum(shares) / len(shares) if shares else None


def _segment(phrase: Phrase, start: float) -> Segment:
    """A phrase whose times count from second ``start`` of the file."""
    return Segment(
        phrase.start + start,
        phrase.end + start,
        phrase.text,
        _moved(phrase.words, start),
        phrase.confidence,
        phrase.tokens,
        replace(phrase.decoded, seek=start),
    )


def _stitched(run: Sequence[Span], heard: Mapping[Span, Hypothesis], rate: int) -> Iterator[Segment]:
    parts = [PieceWords(a / rate, b / rate, _moved(heard[(a, b)].words, a / rate)) for a, b in run]
    example = max((heard[span] for span in run), key=lambda hypothesis: len(hypothesis.words))
    yield from _phrases(stitch(parts), example.text)


def _phrases(words: Sequence[Word], like: str) -> Iterator[Segment]:
    for group in phrases(words):
        text = _joined(group, like)
        yield Segment(group[0].start, group[-1].end, text, group, mean_probability(group))


def _joined(words: Sequence[Word], like: str) -> str:
    """Words as text, spaced as the text ``like`` is."""
    return joined([word.text for word in words], like)


def _moved(words: Iterable[Word], seconds: float) -> tuple[Word, ...]:
    return tuple(replace(word, start=word.start + seconds, end=word.end + seconds) for word in words)
