"""Which words of a transcript that is still growing may be taken as said.

Knows words with times, and two ways to be sure. Does not know audio, recognisers or clocks. What is committed
never changes and is never said twice; :meth:`Settling.finish` commits the rest.

A decoder may change its mind about everything it wrote, so its words count once two hypotheses in a row have
them: LocalAgreement-2 (Liu et al. 2020, arXiv 2005.11185; Macháček et al. 2023, arXiv 2307.14743, whose
whisper_streaming tells the committed words in a new hypothesis by their times and text, as is done here).
A network that hears frame by frame changes only what its last frames say: there words count once enough sound
is behind them.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from asr_adapt.models import Word

#: Word times of two hypotheses differ by so many seconds without any word being another one.
JITTER = 0.1
#: One word more, less or other weighs as much as a second's distance divided by this.
EDITS_PER_SECOND = 2.0
#: From so many seconds of buffer on, sound whose words are committed is let go …
LONG_BUFFER = 15.0
#: … but for so many seconds, which give the next words their context.
CONTEXT = 2.0
#: A gap between words of so many seconds is a place to cut, if no sentence ends.
PAUSE = 0.2
#: What the last word of a sentence ends with.
SENTENCE_ENDS = tuple(".。!！?？")


class Settling(Protocol):
    """A way to be sure; seconds count from the start of the stream."""

    #: The last hypothesis behind what is committed.
    tentative: tuple[Word, ...]

    def settle(self, words: Sequence[Word], heard: float) -> list[Word]:
        """Take a hypothesis of all sound that is kept, up to second ``heard``; gives what it commits."""

    def finish(self) -> list[Word]:
        """Commit what is left, and begin anew behind it."""

    def keep_from(self, start: float, heard: float) -> float:
        """The second from which sound is still needed, of what is kept from ``start`` to ``heard``."""


class _Committing:
    """What is committed so far, and what follows for the moment."""

    def __init__(self) -> None:
        self.tentative: tuple[Word, ...] = ()
        self._committed: list[Word] = []  # those whose sound may still be kept
        self._until = 0.0

    def _commit(self, words: list[Word]) -> list[Word]:
        found = ordered(words, self._until)
        self._until = found[-1].end if found else self._until
        self._committed += found
        return found


class LocalAgreement(_Committing):
    """LocalAgreement-2: words are committed that two successive hypotheses begin with.

    Not ``timed``, words have no times of their own: text alone tells which are known, and sound is let go
    only by :meth:`finish`.
    """

    def __init__(self, *, timed: bool = True) -> None:
        super().__init__()
        self.timed = timed

    def settle(self, words: Sequence[Word], heard: float) -> list[Word]:
        del heard
        fresh = list(words[self._known(words) :])
        agreed = 0
        for new, old in zip(fresh, self.tentative, strict=False):
            if spoken_form(new.text) != spoken_form(old.text):
                break
            agreed += 1
        self.tentative = tuple(fresh[agreed:])
        return self._commit(fresh[:agreed])

    def finish(self) -> list[Word]:
        rest = self._commit(list(self.tentative))
        self.tentative, self._committed = (), []
        return rest

    def keep_from(self, start: float, heard: float) -> float:
        """Cut where a sentence ended, else in a pause, else between words; all before is committed."""
        if heard - start < LONG_BUFFER or not self._committed or not self.timed:
            return start
        latest = self._committed[-1].end - CONTEXT
        places = [
            (a.text.endswith(SENTENCE_ENDS), b.start - a.end >= PAUSE, (a.end + b.start) / 2)
            for a, b in zip(self._committed, self._committed[1:], strict=False)
            if start < (a.end + b.start) / 2 <= latest
        ]
        if not places:
            return start
        cut = max(places)[2]
        self._committed = [word for word in self._committed if word.end > cut]
        return cut

    def _known(self, words: Sequence[Word]) -> int:
        """How many of the first ``words`` are committed already.

        As many as take the fewest edits from the committed words, and end where those end.
        """
        if not self._committed:
            return 0
        known = len(self._committed)
        costs = _edits([spoken_form(w.text) for w in self._committed], [spoken_form(w.text) for w in words])
        weighed = [
            (edits + self._off(words, count), abs(count - known), count) for count, edits in enumerate(costs)
        ]
        return min(weighed)[2]

    def _off(self, words: Sequence[Word], count: int) -> float:
        """By how much the first ``count`` words end elsewhere than what is committed, in edits."""
        return EDITS_PER_SECOND * _distance(words, count, self._until) if self.timed else 0.0


class HeldBack(_Committing):
    """Words are committed once ``margin`` seconds of sound are behind them; ``context`` seconds are kept."""

    def __init__(self, margin: float, context: float) -> None:
        super().__init__()
        self.margin, self.context = margin, context

    def settle(self, words: Sequence[Word], heard: float) -> list[Word]:
        fresh = [word for word in words if (word.start + word.end) / 2 > self._until]
        sure = 0
        while sure < len(fresh) and fresh[sure].end <= heard - self.margin:
            sure += 1
        self.tentative = tuple(fresh[sure:])
        return self._commit(fresh[:sure])

    def finish(self) -> list[Word]:
        rest, self.tentative = self._commit(list(self.tentative)), ()
        return rest

    def keep_from(self, start: float, heard: float) -> float:
        """Cut ``context`` seconds before the first open word, in no word: half of one is heard as another."""
        open_from = self.tentative[0].start if self.tentative else heard - self.margin
        place = min(open_from, heard - self.margin) - self.context
        whole = (word.start - JITTER for word in self._committed if word.start < place < word.end + JITTER)
        place = max(start, min(whole, default=place))
        self._committed = [word for word in self._committed if word.end > place]
        return place


def ordered(words: Sequence[Word], clear: float) -> list[Word]:
    """The words, none beginning before ``clear`` nor before the end of the one before."""
    found: list[Word] = []
    for word in words:
        start = max(word.start, clear)
        clear = max(start, word.end)
        found.append(replace(word, start=start, end=clear))
    return found


def spoken_form(text: str) -> str:
    """A word without capitals and marks, which a decoder sets anew with every word that follows."""
    kept = "".join(c for c in text.casefold() if unicodedata.category(c)[0] not in "PSZ")
    return kept or text


def _distance(words: Sequence[Word], count: int, until: float) -> float:
    """Seconds from ``until`` to the gap behind the first ``count`` words."""
    before = words[count - 1].end if count else float("-inf")
    after = words[count].start if count < len(words) else float("inf")
    return max(0.0, before - JITTER - until, until - JITTER - after)


def _edits(committed: Sequence[str], words: Sequence[str]) -> list[int]:
    """Least edits from all ``committed`` to the first n ``words``, for every n (Levenshtein's last row)."""
    row = list(range(len(words) + 1))
    for one in committed:
        diagonal, row[0] = row[0], row[0] + 1
        for place, other in enumerate(words, 1):
            changed = diagonal + (one != other)
            diagonal = row[place]
            row[place] = min(changed, row[place] + 1, row[place - 1] + 1)
    return row
