"""Which scripts put spaces between words, and how words become a line of text.

Knows characters. Does not know languages, times or models.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from itertools import pairwise

#: Scripts that put no space between words: Thai, Lao, Myanmar, Khmer, kana, Han, and their punctuation.
UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3000-\u30ff\u3400-\u9fff\uf900-\ufaff\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff9f"
    "\U0001b000-\U0001b16f\U00020000-\U0003fffd]"
)
_MIXED = re.compile(f"{UNSPACED.pattern}(?=[0-9A-Za-z])|(?<=[0-9A-Za-z]){UNSPACED.pattern}")
_WIDE = frozenset("WF")


def joined(words: Sequence[str], like: str = "") -> str:
    """Words as one text: spaces as the scripts on both sides want them.

    ``like`` is a text by the same writer: without any space in it there is none here, and where it sets no
    space between Latin letters and a script without spaces, neither does this.
    """
    if not words:
        return ""
    bare = len(words) > 1 and like.strip() != "" and not re.search(r"\s", like.strip())
    tight = bool(_MIXED.search(like))
    parts = [words[0]]
    for before, word in pairwise(words):
        parts.append("" if bare else space_between(before, word, tight=tight))
        parts.append(word)
    return "".join(parts)


def space_between(before: str, after: str, *, tight: bool = False) -> str:
    """A space, or nothing where both sides are of scripts without spaces (``tight``: where one is)."""
    if not before or not after:
        return ""
    sides = [bool(UNSPACED.match(before[-1])), bool(UNSPACED.match(after[0]))]
    punctuation = _full_width_mark(before[-1]) or _full_width_mark(after[0])
    return "" if all(sides) or (any(sides) and (tight or punctuation)) else " "


def _full_width_mark(character: str) -> bool:
    return bool(UNSPACED.match(character)) and unicodedata.category(character)[0] == "P"


def pieces(text: str) -> list[str]:
    """Words at white space, and each letter of a script without spaces, its marks and punctuation with it.

    Punctuation stays with the letter that it must not be parted from by the end of a line.
    """
    found: list[str] = []
    for word in text.split():
        start = True
        for character in word:
            new = start or (_apart(found[-1][-1], character) and not _opens(found[-1]))
            if new:
                found.append(character)
            else:
                found[-1] += character
            start = False
    return found


def _apart(before: str, after: str) -> bool:
    """Whether a line may end between two neighbouring characters."""
    if unicodedata.category(after) in ("Mn", "Mc", "Pe", "Pf", "Po", "Lm"):
        return False
    return bool(UNSPACED.match(before) or UNSPACED.match(after))


def _opens(piece: str) -> bool:
    return unicodedata.category(piece[-1]) in ("Ps", "Pi")


def columns(text: str) -> int:
    """Width on screen: a full-width character counts twice, a combining mark not at all."""
    if text.isascii():
        return len(text)
    return sum(_width(character) for character in text)


def _width(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in _WIDE else 1


__all__ = ["UNSPACED", "columns", "joined", "pieces", "space_between"]
