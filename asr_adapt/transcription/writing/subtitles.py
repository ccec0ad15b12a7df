"""Words into subtitle cues that people can read.

Knows line length, line count, reading speed and where a cue may break. Does not know any file format.
The numbers are those of the common broadcast style guides (42 characters a line, two lines, about 20
characters a second, cues of one to seven seconds); a full-width character counts as two.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from asr_adapt.models import Word
from asr_adapt.text.spaces import columns, joined, pieces
from asr_adapt.transcription.result import Segment, Transcript

_SENTENCE_END = (".", "?", "!", "…", "。", "？", "！")
#: A cue is shown at least this many seconds even where its words have no time of their own.
_GLIMPSE = 0.3


@dataclass(frozen=True)
class CueRules:
    """Line length in characters, lines a cue, reading speed in characters a second, times in seconds.

    ``line_words`` bounds the words of a line.
    """

    line_length: int = 42
    line_count: int = 2
    reading_speed: float = 20.0
    shortest: float = 1.0
    longest: float = 7.0
    pause: float = 0.7
    gap: float = 0.04
    line_words: int | None = None


@dataclass(frozen=True, slots=True)
class Cue:
    """One subtitle: its words in rows, one a line (empty rows never occur).

    ``like`` says how words are spaced, see :func:`asr_adapt.text.spaces.joined`.
    """

    start: float
    end: float
    rows: tuple[tuple[Word, ...], ...]
    like: str = ""
    speaker: str | None = None

    @property
    def lines(self) -> tuple[str, ...]:
        """The text of each row."""
        return tuple(joined([word.text for word in row], self.like) for row in self.rows)

    @property
    def words(self) -> tuple[Word, ...]:
        """All words."""
        return tuple(word for row in self.rows for word in row)


def speaker_label(speaker: str | None) -> str:
    """What stands before the words of a speaker where a format has no place of its own for that."""
    return "" if speaker is None else f"[{speaker}]: "


def cues(transcript: Transcript, rules: CueRules | None = None, *, labelled: bool = False) -> list[Cue]:
    """Readable cues of a transcript, in order and without overlap.

    Segments without word times are spread over their time by their characters. A cue is shown longer than
    its speech where the reading speed asks for it, never into the next cue, and never longer than
    ``rules.longest``. Words without a length of their own share the time up to the next word. Where
    cues are ``labelled``, lines leave room for the speaker's label.
    """
    rules = rules or CueRules()
    found: list[Cue] = []
    for segment in transcript.segments:
        label = speaker_label(segment.speaker) if labelled else ""
        layout = _CueLayout(replace(rules, line_length=max(10, rules.line_length - len(label))), segment.text)
        for words in layout.groups(layout.whole_words(segment.words) or _spread(segment, rules)):
            rows = layout.rows(words)
            found.append(Cue(words[0].start, words[-1].end, rows, segment.text, segment.speaker))
    return _timed(found, rules, transcript.duration)


@dataclass(frozen=True)
class _CueLayout:
    """Words of one segment into cues and lines; ``like`` is the segment's text."""

    rules: CueRules
    like: str

    def whole_words(self, words: Sequence[Word]) -> list[Word]:
        """Punctuation joined to its word, wide words cut where they may be, lengths of 0 shared out."""
        kept: list[Word] = []
        for word in words:
            if kept and _belongs(kept[-1].text, word.text):
                kept[-1] = replace(kept[-1], text=kept[-1].text + word.text, end=max(word.end, kept[-1].end))
            else:
                kept.append(word)
        cut = [part for word in kept for part in _cut(word, self.rules.line_length)]
        return _with_lengths(cut, self.rules.reading_speed)

    def groups(self, words: Sequence[Word]) -> Iterator[tuple[Word, ...]]:
        """Words of one cue each: broken at pauses, ends of sentences, and where lines or time run out."""
        group: list[Word] = []
        for word in words:
            if group and self._breaks(group, word):
                yield tuple(group)
                group = []
            group.append(word)
        if group:
            yield tuple(group)

    def _breaks(self, group: Sequence[Word], word: Word) -> bool:
        rules = self.rules
        spoken = group[-1].end - group[0].start
        if word.start - group[-1].end >= rules.pause or word.end - group[0].start > rules.longest:
            return True
        if spoken >= rules.shortest and group[-1].text.endswith(_SENTENCE_END):
            return True
        return len(self._fill([*group, word], rules.line_length)) > rules.line_count

    def _fill(self, words: Sequence[Word], width: int) -> list[list[Word]]:
        """Greedy lines of at most ``width`` columns."""
        lines: list[list[Word]] = []
        for word in words:
            full = self.rules.line_words is not None and lines and len(lines[-1]) >= self.rules.line_words
            if lines and not full and self._wide([*lines[-1], word]) <= width:
                lines[-1].append(word)
            else:
                lines.append([word])
        return lines

    def _wide(self, words: Sequence[Word]) -> int:
        return columns(joined([word.text for word in words], self.like))

    def rows(self, words: Sequence[Word]) -> tuple[tuple[Word, ...], ...]:
        """As few lines as fit, of about equal length: the narrowest width that needs no more lines."""
        limit = self.rules.line_length
        best = self._fill(words, limit)
        if len(best) > 1:
            for width in range(self._wide(words) // len(best), limit):
                lines = self._fill(words, width)
                if len(lines) == len(best) and max(map(self._wide, lines)) <= limit:
                    best = lines
                    break
        return tuple(tuple(line) for line in best)


def _belongs(before: str, after: str) -> bool:
    """Whether a word is punctuation, or follows an opening bracket, of a script without spaces."""
    return len(pieces(before + after)) == 1 and joined([before, after]) == before + after


def _cut(word: Word, width: int) -> list[Word]:
    """A word wider than a line in parts that fit one, its time shared by their characters.

    Only where its script lets a line end anywhere: an address in Latin letters has a line to itself.
    """
    if columns(word.text) <= width:
        return [word]
    parts = [""]
    for piece in pieces(word.text):
        if parts[-1] and columns(parts[-1] + piece) > width:
            parts.append("")
        parts[-1] += piece
    if len(parts) == 1:
        return [word]
    return _over(word.start, word.end, parts, word.probability)


def _over(start: float, end: float, texts: Sequence[str], probability: float) -> list[Word]:
    """Words one after another over a time, each its share by characters."""
    edges = [0]
    for text in texts:
        edges.append(edges[-1] + len(text) + 1)
    scale = (end - start) / edges[-1] if edges[-1] else 0.0
    times = [start + edge * scale for edge in edges]
    return [Word(t, a, b, probability) for t, (a, b) in zip(texts, pairwise(times), strict=True)]


def _with_lengths(words: Sequence[Word], speed: float) -> list[Word]:
    """Words that begin and end at one moment share the time up to the next word, at most at ``speed``."""
    timed: list[Word] = []
    place = 0
    while place < len(words):
        last = place
        while last + 1 < len(words) and words[last + 1].start <= words[place].start + 1e-3:
            last += 1
        run = words[place : last + 1]
        if len(run) > 1:
            wanted = run[0].start + sum(len(word.text) + 1 for word in run) / speed
            free = words[last + 1].start if last + 1 < len(words) else wanted
            end = max(run[-1].end, min(wanted, free))
            shared = _over(run[0].start, end, [word.text for word in run], 0.0)
            run = [replace(w, start=s.start, end=s.end) for w, s in zip(run, shared, strict=True)]
        timed.extend(run)
        place = last + 1
    return timed


def _timed(found: list[Cue], rules: CueRules, duration: float) -> list[Cue]:
    """Cues held long enough to be read, and ended before the next one starts.

    Where speech leaves no time for that, a cue starts late: it is never shown over another.
    """
    timed: list[Cue] = []
    for number, cue in enumerate(found):
        last = number + 1 == len(found)
        start = max(cue.start, timed[-1].end if timed else 0.0)
        next_start = max(duration, cue.end) + rules.gap if last else found[number + 1].start
        wanted = start + max(rules.shortest, sum(map(columns, cue.lines)) / rules.reading_speed)
        room = max(next_start - rules.gap, start + _GLIMPSE)
        end = min(max(cue.end, wanted), room, start + rules.longest)
        timed.append(replace(cue, start=start, end=end))
    return timed


def _spread(segment: Segment, rules: CueRules) -> list[Word]:
    """Words of a segment without word times, placed by their share of its characters."""
    texts = pieces(segment.text)
    words = _over(segment.start, segment.end, texts, 1.0)
    return [part for word in words for part in _cut(word, rules.line_length)]
