"""What a stream gives: an update for each hearing, and committed words in lines.

Knows when a line ends. Does not know how words became certain (``settling``), nor what is done with them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from asr_adapt.models import Word
from asr_adapt.text.spaces import joined
from asr_adapt.transcription.result import Segment, mean_probability

#: A silence of so many seconds ends what is said: the rest is committed, and a line ends.
PAUSE = 0.8
#: No line holds more seconds than this.
LONGEST_LINE = 30.0


@dataclass(frozen=True)
class LiveUpdate:
    """What one hearing brought; seconds count from the start of the stream.

    ``words`` are committed now and never change; ``tentative`` are those that follow for the moment.
    ``segments`` ended with this update, ``text`` is committed of the one that is open. ``heard`` is the
    second up to which sound was heard.
    """

    words: tuple[Word, ...]
    tentative: tuple[Word, ...]
    segments: tuple[Segment, ...]
    text: str
    heard: float

    @property
    def tentative_text(self) -> str:
        """The words that may still change, as text."""
        return joined([word.text for word in self.tentative])


class Lines:
    """Committed words in segments, each ended by a pause or by its length."""

    def __init__(self) -> None:
        self.ended: list[Segment] = []
        self.open: list[Word] = []

    def add(self, words: Sequence[Word]) -> None:
        """Words that follow."""
        for word in words:
            if self.open and (
                word.start - self.open[-1].end >= PAUSE or word.end - self.open[0].start > LONGEST_LINE
            ):
                self.end()
            self.open.append(word)

    def end(self) -> None:
        """What is open is a whole segment."""
        if self.open:
            words = tuple(self.open)
            self.ended.append(
                Segment(words[0].start, words[-1].end, self.text, words, mean_probability(words))
            )
            self.open = []

    @property
    def text(self) -> str:
        """The words of the open segment."""
        return joined([word.text for word in self.open])
