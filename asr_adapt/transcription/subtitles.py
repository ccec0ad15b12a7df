"""Words into subtitle cues that people can read.

Knows line length, line count, reading speed and where a cue may break. Does not know any file format.
The numbers are those of the common broadcast style guides (42 characters a line, two lines, about 20
characters a second, cues of one to seven seconds).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from asr_adapt.models import Word
from asr_adapt.transcription.result import Segment, Transcript

_SENTENCE_END = (".", "?", "!", "…", "。", "？", "！")


@dataclass(frozen=True)
class CueRules:
    """Line length in characters, lines a cue, reading speed in characters a second, times in seconds."""

    line_length: int = 42
    line_count: int = 2
    reading_speed: float = 20.0
    shortest: float = 1.0
    longest: float = 7.0
    pause: float = 0.7
    gap: float = 0.04


@dataclass(frozen=True, slots=True)
class Cue:
    """One subtitle: its lines, and the words under them (empty lines never occur)."""

    start: float
    end: float
    lines: tuple[str, ...]
    words: tuple[Word, ...]


def cues(transcript: Transcript, rules: CueRules | None = None) -> list[Cue]:
    """Readable cues of a transcript, in order and without overlap.

    Segments without word times are spread over their time by their characters. A cue is shown longer than
    its speech where the reading speed asks for it, never into the next cue.
    """
    rules = rules or CueRules()
    found: list[Cue] = []
    for segment in transcript.segments:
        for words in _groups(segment.words or _spread(segment), rules):
            found.append(Cue(words[0].start, words[-1].end, _lines(words, rules), words))
    return _timed(found, rules, transcript.duration)


def _groups(words: Sequence[Word], rules: CueRules) -> Iterator[tuple[Word, ...]]:
    """Words of one cue each: broken at pauses, ends of sentences, and where lines or time run out."""
    group: list[Word] = []
    for word in words:
        if group and _breaks(group, word, rules):
            yield tuple(group)
            group = []
        group.append(word)
    if group:
        yield tuple(group)


def _breaks(group: Sequence[Word], word: Word, rules: CueRules) -> bool:
    spoken = group[-1].end - group[0].start
    if word.start - group[-1].end >= rules.pause or word.end - group[0].start > rules.longest:
        return True
    if spoken >= rules.shortest and group[-1].text.endswith(_SENTENCE_END):
        return True
    return len(_fill([*group, word], rules.line_length)) > rules.line_count


def _fill(words: Sequence[Word], width: int) -> list[str]:
    """Greedy lines of at most ``width`` characters; a longer word has a line to itself."""
    lines: list[str] = []
    for word in words:
        if lines and len(lines[-1]) + 1 + len(word.text) <= width:
            lines[-1] += " " + word.text
        else:
            lines.append(word.text)
    return lines


def _lines(words: Sequence[Word], rules: CueRules) -> tuple[str, ...]:
    """As few lines as fit, of about equal length: the narrowest width that needs no more lines."""
    needed = len(_fill(words, rules.line_length))
    best = _fill(words, rules.line_length)
    if needed < 2:
        return tuple(best)
    shortest_width = sum(len(word.text) + 1 for word in words) // needed
    for width in range(shortest_width, rules.line_length):
        lines = _fill(words, width)
        if len(lines) == needed and max(map(len, lines)) <= rules.line_length:
            return tuple(lines)
    return tuple(best)


def _timed(found: list[Cue], rules: CueRules, duration: float) -> list[Cue]:
    """Cues held long enough to be read, and ended before the next one starts."""
    timed: list[Cue] = []
    for number, cue in enumerate(found):
        last = number + 1 == len(found)
        next_start = max(duration, cue.end) + rules.gap if last else found[number + 1].start
        characters = sum(map(len, cue.lines))
        wanted = cue.start + max(rules.shortest, characters / rules.reading_speed)
        end = min(max(cue.end, wanted), max(next_start - rules.gap, cue.start + 0.001))
        timed.append(replace(cue, end=end))
    return timed


def _spread(segment: Segment) -> tuple[Word, ...]:
    """Words of a segment without word times, placed by their share of its characters."""
    texts = segment.text.split()
    total = sum(len(text) + 1 for text in texts)
    edges = [0]
    for text in texts:
        edges.append(edges[-1] + len(text) + 1)
    scale = (segment.end - segment.start) / total if total else 0.0
    times = [segment.start + edge * scale for edge in edges]
    return tuple(Word(text, a, b, 1.0) for text, (a, b) in zip(texts, pairwise(times), strict=True))
