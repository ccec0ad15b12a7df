"""A decoder that says the same thing over and over, noticed while it does so.

Knows token ids and text. Does not know models, nor what is done about a repetition.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Repeats:
    """When a row counts as a loop: it ends with a phrase of at most ``longest`` tokens, said again and again.

    That is, at least ``times`` times, and over at least ``span`` tokens in all. So a word of one token must
    come ``span`` times, which nobody's phone number does, and a sentence ``times`` times.
    """

    longest: int = 60
    times: int = 4
    span: int = 20

    def first_end(self, ids: Sequence[int]) -> int | None:
        """Where the phrase that ``ids`` end with ends for the first time; None where they are no loop.

        Only the tail is looked at, so that it may be asked after every token.
        """
        count = len(ids)
        for length in range(1, min(self.longest, count // self.times) + 1):
            if ids[-1] != ids[-1 - length]:
                continue
            tail = max(self.span, self.times * length)
            if tail <= count and ids[count - tail : count - length] == ids[count - tail + length :]:
                start = count - tail
                while start > 0 and ids[start - 1] == ids[start - 1 + length]:
                    start -= 1
                return start + length
        return None


def compression(text: str) -> float:
    """Bytes of the text over bytes after compression; far above 2 where it repeats itself."""
    raw = text.encode()
    return len(raw) / len(zlib.compress(raw)) if raw else 0.0
