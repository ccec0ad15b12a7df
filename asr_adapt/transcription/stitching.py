"""Transcripts of overlapping pieces into one, without a word lost or doubled.

Knows words with times. Does not know audio, models or formats. Two windows rarely agree at their outer
edges, where a word lacks its context; in the middle of their overlap they nearly always do. So the seam is
put at a word that both heard, or else in a gap between words, as near the middle as possible.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from asr_adapt.models import Word

#: The same spoken word lies at most this far apart in two windows, in seconds.
SAME_WORD_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class PieceWords:
    """What one piece gave: its time in the file, in seconds, and its words with times in the file."""

    start: float
    end: float
    words: tuple[Word, ...]


def stitch(heard: Iterable[PieceWords]) -> list[Word]:
    """The words of all pieces, in order; ``heard`` is sorted by start and may overlap."""
    stitcher = Stitcher()
    for piece in heard:
        stitcher.add(piece)
    return stitcher.words


class Stitcher:
    """Joins pieces as they come; ``words`` may be taken from the front once no later piece can reach them."""

    def __init__(self) -> None:
        self.words: list[Word] = []
        self._end = 0.0

    def add(self, piece: PieceWords) -> None:
        """Join one more piece, which starts no earlier than those before it."""
        if piece.end <= self._end:
            return  # wholly heard already
        first = len(self.words)
        while first and self.words[first - 1].end > piece.start:
            first -= 1
        self.words[first:] = _joined(self.words[first:], list(piece.words), piece.start, self._end)
        self._end = piece.end


def _joined(left: list[Word], right: list[Word], start: float, end: float) -> list[Word]:
    """Join two word lists that both cover ``start`` … ``end``; ``left`` holds no word before ``start``."""
    if end <= start:
        return left + right
    anchor = _anchor(left, right, start, end)
    if anchor is not None:
        return left[: anchor[0] + 1] + right[anchor[1] + 1 :]
    seam = _gap(left, right, start, end)
    before = [word for word in left if _middle(word) < seam]
    after = [word for word in right if _middle(word) >= seam]
    while before and after and _overlap(before[-1], after[0]) > 0.5:
        after.pop(0)  # both are one spoken word, heard differently
    return before + after


def _anchor(left: list[Word], right: list[Word], start: float, end: float) -> tuple[int, int] | None:
    """Indices of the word that both heard at the same time, the nearest to the middle of the overlap."""
    middle = (start + end) / 2
    pairs = [
        (abs(_middle(a) - middle) + abs(_middle(a) - _middle(b)), i, j)
        for i, a in enumerate(left)
        if start <= _middle(a) <= end
        for j, b in enumerate(right)
        if a.text == b.text and abs(_middle(a) - _middle(b)) <= SAME_WORD_SECONDS
    ]
    return min(pairs)[1:] if pairs else None


def _gap(left: list[Word], right: list[Word], start: float, end: float) -> float:
    """The time nearest the middle that lies inside no word of either side; the middle when there is none."""
    middle = (start + end) / 2
    busy = sorted((word.start, word.end) for word in (*left, *right) if word.end > start and word.start < end)
    edges = [middle, *(edge for span in busy for edge in span if start <= edge <= end)]
    free = [t for t in edges if not any(a < t < b for a, b in busy)]
    return min(free, key=lambda t: abs(t - middle), default=middle)


def _middle(word: Word) -> float:
    return (word.start + word.end) / 2


def _overlap(one: Word, other: Word) -> float:
    """Shared time over the shorter word's time."""
    shared = min(one.end, other.end) - max(one.start, other.start)
    return shared / max(min(one.end - one.start, other.end - other.start), 1e-3)
