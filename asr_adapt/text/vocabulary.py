"""Character vocabularies for CTC: built from texts, checked against texts.

Knows counts of characters, the layout of a CTC ``vocab.json`` and the letter case that a vocabulary wants.
Does not know networks or tokenisers: it hands out plain dicts and strings. Needs no torch.

Why the case matters: a lower-case transcript against an upper-case vocabulary is all ``<unk>``, trains to
nothing and scores 100 % WER without any error message.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from asr_adapt.errors import DataError
from asr_adapt.text.spelling import Spelling, spelling_of

PAD = "<pad>"  #: also the CTC blank; always id 0
UNKNOWN = "<unk>"
WORD_DELIMITER = "|"
Casing = Literal["upper", "lower", "as-is"]
EXAMPLES_KEPT = 3
_EXAMPLE_LENGTH = 60


@dataclass(frozen=True)
class CharacterVocabulary:
    """Characters found in texts, sorted by code point.

    ``rare`` maps each character seen fewer than the minimum times to its replacement: its base letter when
    that one is in the vocabulary (``é`` → ``e``), else the empty string, which means ``<unk>``.
    """

    characters: tuple[str, ...]
    counts: Mapping[str, int]
    rare: Mapping[str, str] = field(default_factory=dict)

    def simplify(self, text: str) -> str:
        """``text`` with rare characters replaced by their base letter where there is one."""
        table = {ord(rare): base for rare, base in self.rare.items() if base}
        return text.translate(table) if table else text


def build_vocabulary(
    texts: Iterable[str], *, minimum: int = 1, known: Collection[str] = ()
) -> CharacterVocabulary:
    """Count the characters of already normalised ``texts``; below ``minimum`` occurrences they are rare.

    Characters that are ``known`` already (those of a model to be extended) are never rare. White space is the
    word delimiter and never a character. Raises :class:`DataError` when nothing is left,
    and when the delimiter ``|`` itself is in a text.
    """
    counts = Counter[str]()
    for text in texts:
        counts.update("".join(text.split()))
    if WORD_DELIMITER in counts:
        raise DataError(
            f"the transcripts contain {WORD_DELIMITER!r}, the word delimiter: normalise them first."
        )
    kept = {character for character, count in counts.items() if count >= minimum or character in known}
    if not kept:
        raise DataError(f"no character occurs {minimum} times or more in the transcripts: lower the minimum.")
    rare = {character: _base_letter(character, kept) for character in sorted(counts.keys() - kept)}
    return CharacterVocabulary(tuple(sorted(kept)), dict(counts), rare)


def _base_letter(character: str, kept: Collection[str]) -> str:
    base = "".join(c for c in unicodedata.normalize("NFD", character) if not unicodedata.combining(c))
    return base if base and all(letter in kept for letter in base) else ""


@dataclass(frozen=True)
class UnknownCharacter:
    """One character outside a vocabulary: how often, as a share of all characters, and where."""

    character: str
    count: int
    rate: float
    examples: tuple[str, ...]

    @property
    def name(self) -> str:
        """The Unicode name, for characters that cannot be told apart on screen."""
        return " + ".join(unicodedata.name(c, f"U+{ord(c):04X}") for c in self.character)


@dataclass(frozen=True)
class UnknownReport:
    """All characters of some texts that a vocabulary lacks, most frequent first."""

    characters: int
    texts: int
    texts_affected: int
    unknown: tuple[UnknownCharacter, ...]

    @property
    def rate(self) -> float:
        """Share of characters (white space not counted) that the vocabulary lacks, 0…1."""
        return sum(item.count for item in self.unknown) / self.characters if self.characters else 0.0

    def most_frequent(self, count: int = 8) -> str:
        """The most frequent unknown characters in words, for a message."""
        return ", ".join(f"{u.character!r} ({u.count}×)" for u in self.unknown[:count])

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``--json``."""
        rows = [
            {
                "character": u.character,
                "name": u.name,
                "count": u.count,
                "rate": u.rate,
                "examples": u.examples,
            }
            for u in self.unknown
        ]
        return {
            "characters": self.characters,
            "texts": self.texts,
            "texts_affected": self.texts_affected,
            "rate": self.rate,
            "unknown": rows,
        }


def unknown_characters(texts: Iterable[str], vocabulary: Collection[str] | Spelling) -> UnknownReport:
    """Which characters of ``texts`` are not in ``vocabulary`` (its tokens, or a ``vocab.json`` dict).

    A :class:`Spelling` knows letters in other forms too, and phonemes as wholes.
    """
    exact = not isinstance(vocabulary, Spelling)
    spelling = spelling_of(vocabulary) if not isinstance(vocabulary, Spelling) else vocabulary
    counts, examples = Counter[str](), dict[str, list[str]]()
    total = read = affected = 0
    for text in texts:
        letters = [unit for unit in (text if exact else spelling.units(text)) if not unit.isspace()]
        read += 1
        total += len(letters)
        missing = [letter for letter in letters if letter not in spelling.tokens]
        affected += bool(missing)
        counts.update(missing)
        for letter in set(missing):
            seen = examples.setdefault(letter, [])
            if len(seen) < EXAMPLES_KEPT:
                seen.append(_around(text, letter))
    unknown = tuple(
        UnknownCharacter(letter, count, count / total, tuple(examples[letter]))
        for letter, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    )
    return UnknownReport(total, read, affected, unknown)


def _around(text: str, letter: str) -> str:
    start = max(0, text.find(letter) - _EXAMPLE_LENGTH // 2)
    return text[start : start + _EXAMPLE_LENGTH]


def casing_for(vocabulary: Collection[str]) -> Casing:
    """The letter case that transcripts must have for ``vocabulary``: mostly capitals → ``upper``, …"""
    letters = [token for token in vocabulary if len(token) == 1]
    if spelling_of(letters).upper:
        return "upper"
    has_upper = any(letter.lower() != letter for letter in letters)
    has_lower = any(letter.upper() != letter for letter in letters)
    if has_upper == has_lower:
        return "as-is"
    return "upper" if has_upper else "lower"


def fit_case(text: str, casing: Casing) -> str:
    """``text`` in the case given by :func:`casing_for`."""
    if casing == "upper":
        return text.upper()
    return text.lower() if casing == "lower" else text
