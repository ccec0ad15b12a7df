"""Capitals and punctuation: how much of the references' written form is in the hypotheses.

Knows how words are aligned whatever their case and which mark follows which word. Does not know profiles,
groups or intervals: a WER forgives case and marks, this looks at nothing else.

A mark belongs to the word that it follows, and is right where that word is aligned with a word that is
followed by the same mark; every other mark of a reference is missed, every other one of a hypothesis is
spurious, also behind words that were dropped or added. Counts are summed over rows and marks (micro F1).
A case error is a word that is the reference's but for its capitals. Rows whose reference has no punctuation
(no capitals) say nothing about it and do not count.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

from rapidfuzz.distance import Levenshtein

from asr_adapt.text import WrittenWord, written_words
from asr_adapt.text.written import MARKS, following_marks, has_case


@dataclass(frozen=True)
class MarkCounts:
    """Marks that are right, missed and spurious; rates are fractions."""

    right: int
    missed: int
    spurious: int

    @property
    def precision(self) -> float:
        """Share of the hypotheses' marks that are right; 0 where they have none."""
        return self.right / max(self.right + self.spurious, 1)

    @property
    def recall(self) -> float:
        """Share of the references' marks that are right; 0 where they have none."""
        return self.right / max(self.right + self.missed, 1)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        return 2 * self.right / max(2 * self.right + self.missed + self.spurious, 1)

    def to_json(self) -> dict[str, Any]:
        """Plain values, rates first."""
        return {"f1": self.f1, "precision": self.precision, "recall": self.recall} | dict(vars(self))


@dataclass(frozen=True)
class Punctuation:
    """Marks over the ``rows`` whose references have any, together and each by itself."""

    rows: int
    total: MarkCounts
    marks: dict[str, MarkCounts]

    def to_json(self) -> dict[str, Any]:
        """Plain values, the rates of all marks at the top level."""
        marks = {mark: counts.to_json() for mark, counts in self.marks.items()}
        return self.total.to_json() | {"rows": self.rows, "marks": marks}


@dataclass(frozen=True)
class CaseErrors:
    """Right words in wrong case, over the ``rows`` whose references have capitals."""

    rows: int
    words: int
    errors: int

    @property
    def rate(self) -> float:
        """Share of the right words whose case is wrong, a fraction; 0 where no word is right."""
        return self.errors / max(self.words, 1)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"rate": self.rate} | dict(vars(self))


@dataclass(frozen=True)
class WrittenForm:
    """What references have of punctuation and case; None where they have none."""

    punctuation: Punctuation | None = None
    case: CaseErrors | None = None

    def to_json(self) -> dict[str, Any]:
        """``punctuation`` and ``case``, where there are any."""
        parts = {"punctuation": self.punctuation, "case": self.case}
        return {name: part.to_json() for name, part in parts.items() if part is not None}

    def sentences(self) -> list[str]:
        """Each of the two in words, in percent."""
        found = []
        if self.punctuation is not None:
            total = self.punctuation.total
            found.append(
                f"punctuation F1 {100 * total.f1:.2f} % (precision {100 * total.precision:.2f} %, "
                f"recall {100 * total.recall:.2f} %; {self.punctuation.rows} rows have any)"
            )
        if self.case is not None:
            found.append(
                f"case errors {100 * self.case.rate:.2f} % of {self.case.words} right words "
                f"({self.case.rows} rows have capitals)"
            )
        return found


@dataclass
class _WrittenCounts:
    """Counts of the rows seen so far."""

    marked: int = 0
    cased: int = 0
    right: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)
    spurious: Counter[str] = field(default_factory=Counter)
    words: int = 0
    wrong_case: int = 0

    def form(self) -> WrittenForm:
        punctuation = case = None
        if self.marked:
            each = {m: MarkCounts(self.right[m], self.missed[m], self.spurious[m]) for m in MARKS}
            counts = (self.right.total(), self.missed.total(), self.spurious.total())
            seen = {m: c for m, c in each.items() if c.right or c.missed or c.spurious}
            punctuation = Punctuation(self.marked, MarkCounts(*counts), seen)
        if self.cased:
            case = CaseErrors(self.cased, self.words, self.wrong_case)
        return WrittenForm(punctuation, case)


def written_form(references: Iterable[str], hypotheses: Iterable[str]) -> WrittenForm:
    """Compare the written form of every pair of raw texts; see the module for what is counted."""
    tally = _WrittenCounts()
    for reference, hypothesis in zip(references, hypotheses, strict=True):
        words = written_words(reference) if _may_tell(reference) else []
        marks, cased = following_marks(words), bool(words) and has_case(reference)
        if any(marks) or cased:
            _count(tally, words, written_words(hypothesis), marks if any(marks) else None, cased=cased)
    return tally.form()


def _may_tell(text: str) -> bool:
    """A quick look that spares rows without capitals and marks."""
    return not (text.isascii() and (text.islower() or text.isupper()) and text.replace(" ", "").isalnum())


def _count(
    tally: _WrittenCounts,
    words: Sequence[WrittenWord],
    heard: Sequence[WrittenWord],
    marks: Sequence[str] | None,
    *,
    cased: bool,
) -> None:
    """Add one row; ``marks`` is None where its reference has none."""
    tally.marked += marks is not None
    tally.cased += cased
    found = following_marks(list(heard))
    for block in Levenshtein.opcodes([w.key for w in words], [w.key for w in heard]):
        rows, places = range(block.src_start, block.src_end), range(block.dest_start, block.dest_end)
        if marks is not None:
            for row, place in zip_longest(rows, places):  # one of them is empty where nothing is aligned
                _add_marks(tally, "" if row is None else marks[row], "" if place is None else found[place])
        if cased and block.tag == "equal":
            for row, place in zip(rows, places, strict=True):
                _add_case(tally, words[row].text, heard[place].text)


def _add_marks(tally: _WrittenCounts, given: str, said: str) -> None:
    """The marks behind an aligned word, or behind a word that only one side has."""
    tally.right.update(set(given) & set(said))
    tally.missed.update(set(given) - set(said))
    tally.spurious.update(set(said) - set(given))


def _add_case(tally: _WrittenCounts, given: str, said: str) -> None:
    """A right word; one without letters of two cases, such as a number, cannot be wrong."""
    if given.lower() != given.upper():
        tally.words += 1
        tally.wrong_case += given != said and given.lower() == said.lower()
