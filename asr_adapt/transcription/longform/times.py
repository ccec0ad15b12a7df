"""From the time inside a piece to that of its file, and words out of the silences.

Knows a piece's parts and speech. Does not know how anything was recognised.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from asr_adapt.models import Hypothesis, Phrase, Word
from asr_adapt.text.spaces import joined
from asr_adapt.transcription.result import mean_probability
from asr_adapt.transcription.windows import Piece

#: Speech of fewer seconds at the edge of a phrase is the ending or beginning of its neighbour.
EDGE_SECONDS = 0.3


class Clock:
    """The times of ``piece``; seconds given and returned count from its first sample, in the file."""

    def __init__(self, piece: Piece, rate: int) -> None:
        self.rate = rate
        parts = piece.parts or ((piece.start, len(piece.samples)),)
        self._parts: list[tuple[float, float, float]] = []  # begin, end in the piece, shift to the file
        before = 0
        for start, length in parts:
            shift = (start - piece.start - before) / rate
            self._parts.append((before / rate, (before + length) / rate, shift))
            before += length
        self._speech = [(a / rate, b / rate) for a, b in piece.speech]

    def placed(self, phrases: Iterable[Phrase], *, looped: bool = False) -> Hypothesis:
        """Phrases of the piece at their times in the file; ``looped`` as in :class:`Hypothesis`."""
        found = tuple(self._phrase(phrase) for phrase in phrases)
        words = tuple(word for phrase in found for word in phrase.words)
        known = [phrase.confidence for phrase in found if phrase.confidence is not None]
        confidence = mean_probability(words) if words else sum(known) / len(known) if known else None
        text = joined([phrase.text for phrase in found])
        return Hypothesis(text, words, confidence, looped, found)

    def _phrase(self, phrase: Phrase) -> Phrase:
        words = tuple(self._word(word) for word in phrase.words)
        start, end = self._in_file(phrase.start, phrase.end)
        if words:
            start, end = words[0].start, words[-1].end
        return replace(phrase, start=start, end=end, words=words)

    def _word(self, word: Word) -> Word:
        start, end = self._in_file(*self._longest_speech(word.start, word.end))
        return replace(word, start=start, end=end)

    def _longest_speech(self, start: float, end: float) -> tuple[float, float]:
        """The longest speech in an interval, else the interval: a word's time reaches into pauses."""
        shared = [(max(start, a), min(end, b)) for a, b in self._speech if min(end, b) > max(start, a)]
        return max(shared, key=lambda part: part[1] - part[0], default=(start, end))

    def _in_file(self, start: float, end: float) -> tuple[float, float]:
        """An interval of the piece as one of the file, without the silence at its edges.

        A remainder of speech shorter than ``EDGE_SECONDS`` at an edge belongs to the neighbour.
        """
        heard = [(max(start, a), min(end, b)) for a, b in self._speech if min(end, b) > max(start, a)]
        long = [part for part in heard if part[1] - part[0] >= EDGE_SECONDS] or heard
        if long:
            start, end = long[0][0], long[-1][1]
        first = self._at(start, ends=False)
        return first, max(first, self._at(end, ends=True))

    def _at(self, time: float, *, ends: bool) -> float:
        """A moment in the file; at a cut it ends what was before or begins what follows."""
        for begin, stop, shift in self._parts:
            if time < stop or (ends and time == stop):
                return max(time, begin) + shift
        begin, stop, shift = self._parts[-1]
        return stop + shift
