"""The written form of a transcript: its words with their capitals, and the marks between them.

Knows which characters belong to a word, which punctuation follows it, and whether a text (or most of a
corpus) has capitals and punctuation at all. Does not know who wrote the text, nor how two texts are compared.

A word here is a word of profile ``basic``, so that a text's words keep their number and order whatever is
done to capitals and marks.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from asr_adapt.text.normalise import APOSTROPHES, normalise

#: The marks that are told apart, one character each.
MARKS = (".", ",", "?", "!", ";", ":", "—")
SENTENCE_END = frozenset(".?!")
#: A corpus has capitals and punctuation when at least this share of its rows has either.
WRITTEN_SHARE = 0.5
_SAME_MARK = str.maketrans(
    {"…": "...", "–": "—", "―": "—", "。": ".", "．": ".", "｡": ".", "।": ".", "॥": ".", "۔": ".", "።": ".",
     "，": ",", "、": ",", "､": ",", "،": ",", "？": "?", "؟": "?", "¿": " ", "！": "!", "¡": " ", "；": ";",
     "؛": ";", "：": ":"}
)  # fmt: skip
_DASH = re.compile(r"--+|(?<=\s)-(?=\s)")
_WORD = re.compile(r"w+(?:'w+)*")


@dataclass(frozen=True, slots=True)
class WrittenWord:
    """``text`` as it is written, ``key`` as profile ``basic`` has it, ``gap`` what follows up to the next
    word (after the last one: up to the end)."""

    key: str
    text: str
    gap: str

    @property
    def marks(self) -> str:
        """The :data:`MARKS` that follow this word, each once, in order; see :func:`marks_of`."""
        return marks_of(self.gap)


class _Mask(dict[int, str]):
    """``w`` for a character of a word, ``'`` for an apostrophe, a space for all others."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        category = unicodedata.category(character)
        if code in APOSTROPHES or character == "'":
            kept = "'"
        else:
            kept = "w" if category[0] in "LN" or category in ("Mn", "Mc", "Cf") else " "
        self[code] = kept
        return kept


_MASK = _Mask()


def tidy(text: str) -> str:
    """``text`` as written: composed letters (NFC), single spaces."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def written_words(text: str) -> list[WrittenWord]:
    """The words of ``text`` in order, one for each word of ``normalise(text)``.

    Empty where the two do not correspond (characters that profile ``basic`` takes apart, such as ½): then
    nothing can be said about the text's capitals and marks.
    """
    spans = [match.span() for match in _WORD.finditer(text.translate(_MASK))]
    ends = [start for start, _ in spans[1:]] + [len(text)] * bool(spans)
    words = [
        WrittenWord(_key(text[start:stop]), text[start:stop], text[stop:following])
        for (start, stop), following in zip(spans, ends, strict=True)
    ]
    return words if [word.key for word in words] == normalise(text).split() else []


@functools.lru_cache(maxsize=65_536)
def _key(word: str) -> str:
    return normalise(word)


@functools.lru_cache(maxsize=4_096)
def marks_of(gap: str) -> str:
    """The :data:`MARKS` in what follows a word, each once, in order.

    Marks of other scripts count as their Latin ones (``。`` as ``.``), an ellipsis as a full stop, a hyphen
    between spaces as a dash; the hyphen of ``well-known`` is none.
    """
    plain = _DASH.sub("—", gap.translate(_SAME_MARK))
    return "".join(dict.fromkeys(mark for mark in plain if mark in MARKS))


def own_marks(gap: str) -> str:
    """As :func:`marks_of`, but each mark as the text's own script has it; an ellipsis is a full stop."""
    plain = _DASH.sub("—", gap.replace("…", "."))
    return "".join(dict.fromkeys(mark for mark in plain if mark.translate(_SAME_MARK) in MARKS))


def ends_sentence(marks: str) -> str:
    """The first of ``marks``, of any script, that ends a sentence; nothing where none does."""
    return next((mark for mark in marks if mark.translate(_SAME_MARK) in SENTENCE_END), "")


def has_marks(text: str) -> bool:
    """Whether sentence punctuation stands behind any word."""
    if text.isascii() and not any(mark in text for mark in ".,?!;:-"):
        return False
    return any(following_marks(written_words(text)))


def following_marks(words: list[WrittenWord]) -> list[str]:
    """For each word the marks behind it; a gap without white space inside a text (``3.5``) has none."""
    return [
        word.marks if _separates(word, last=number == len(words) - 1) else ""
        for number, word in enumerate(words)
    ]


def _separates(word: WrittenWord, *, last: bool) -> bool:
    marks = word.marks
    if not marks:
        return False
    return last or "—" in marks or any(character.isspace() for character in word.gap)


def has_case(text: str) -> bool:
    """Whether ``text`` distinguishes capitals: lower-case letters, and a capital in a word of two letters or
    more (a lone capital, as in ``I``, is found in lower-case corpora too)."""
    if text.islower() or text.isupper() or not any(letter.islower() for letter in text):
        return False
    return any(
        any(letter.isupper() for letter in word.text) and sum(map(str.isalpha, word.text)) > 1
        and not word.text.startswith(("I'", "I’"))
        for word in written_words(text)
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Writing:
    """How many rows of a corpus have capitals (``cased``), punctuation (``marked``), or either of them."""

    rows: int = 0
    cased: int = 0
    marked: int = 0
    either: int = 0

    def __add__(self, other: Writing) -> Writing:
        return Writing(
            self.rows + other.rows,
            self.cased + other.cased,
            self.marked + other.marked,
            self.either + other.either,
        )

    @property
    def written(self) -> bool:
        """Whether the corpus counts as written with capitals and punctuation; see :data:`WRITTEN_SHARE`."""
        return self.rows > 0 and self.either >= WRITTEN_SHARE * self.rows

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "rows": self.rows,
            "rows_with_capitals": self.cased,
            "rows_with_punctuation": self.marked,
            "written": self.written,
        }

    @property
    def sentence(self) -> str:
        """The shares in words."""
        return f"{self.cased:,} of {self.rows:,} rows have capitals, {self.marked:,} punctuation"


def writing_of(texts: Iterable[str]) -> Writing:
    """Count the rows that have capitals or punctuation."""
    rows = cased = marked = either = 0
    for text in texts:
        case, marks = has_case(text), has_marks(text)
        rows, cased, marked, either = rows + 1, cased + case, marked + marks, either + (case or marks)
    return Writing(rows, cased, marked, either)
