"""Two predictions of the same rows: is B better than A, for whom, and on which words.

Knows how rows are paired by id and when two files must not be compared. Does not know baselines, rules of a
gate, or how a comparison is shown.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from asr_adapt.errors import NotComparableError
from asr_adapt.scoring.bootstrap import LEVEL, speaker_blocks
from asr_adapt.scoring.counts import ErrorTable, count_errors
from asr_adapt.scoring.paired import Difference, PairedErrors, Verdict, holm, paired_difference, verdict
from asr_adapt.scoring.pairing import composed, paired_ids
from asr_adapt.scoring.predictions import (
    Predictions,
    PredictionSource,
    label_of,
    profile_for,
    read_predictions,
)
from asr_adapt.scoring.score import group_rows, require_unique_ids, software
from asr_adapt.scoring.written import WrittenForm, written_form
from asr_adapt.text import profile as profile_named

MEANINGFUL = 0.10  #: a change of this share of A's WER is worth finding; decides "underpowered"
_SHOWN_IDS = 3


@dataclass(frozen=True)
class GroupComparison:
    """One group of rows: the difference, its p adjusted over all groups (Holm), and the verdict."""

    rows: int
    words: int
    difference: Difference
    p_adjusted: float
    verdict: Verdict

    def to_json(self) -> dict[str, Any]:
        """Plain values; the fields of the difference at the top level."""
        return {"verdict": self.verdict, "rows": self.rows, "words": self.words} | (
            self.difference.to_json() | {"p_adjusted": self.p_adjusted}
        )


@dataclass(frozen=True)
class WordChange:
    """A reference word: how often A and B missed it, of how many occurrences."""

    word: str
    occurrences: int
    missed_a: int
    missed_b: int


@dataclass(frozen=True)
class Comparison:
    """Result of :func:`compare`; ``groups`` maps field → value → comparison. Negative delta: B is better.
    ``written_a`` and ``written_b`` are about capitals and punctuation, where references have any."""

    name_a: str
    name_b: str
    overall: GroupComparison
    groups: Mapping[str, Mapping[str, GroupComparison]]
    worse_words: tuple[WordChange, ...]
    better_words: tuple[WordChange, ...]
    normaliser: Mapping[str, str]
    #: Rows on which the decoder looped, in A and in B.
    looped_rows: tuple[int, int] = (0, 0)
    level: float = LEVEL
    written_a: WrittenForm = field(default_factory=WrittenForm)
    written_b: WrittenForm = field(default_factory=WrittenForm)

    @property
    def verdict(self) -> Verdict:
        """The verdict over all rows."""
        return self.overall.verdict

    def _repr_html_(self) -> str:
        from asr_adapt.scoring.notebook import show_comparison

        return show_comparison(self.to_json())

    def to_json(self) -> dict[str, Any]:
        """Plain values, the overall difference at the top level."""
        return self.overall.to_json() | {
            "a": self.name_a,
            "b": self.name_b,
            "groups": {
                by: {name: g.to_json() for name, g in groups.items()} for by, groups in self.groups.items()
            },
            "word_changes": {
                "worse": [vars(change) for change in self.worse_words],
                "better": [vars(change) for change in self.better_words],
            },
            "normaliser": dict(self.normaliser),
            "looped_rows": dict(zip("ab", self.looped_rows, strict=True)),
            "level": self.level,
            "software": software(),
            "written": {"a": self.written_a.to_json(), "b": self.written_b.to_json()},
        }


def compare(
    a: PredictionSource,
    b: PredictionSource,
    by: Sequence[str] = (),
    normalise: str | None = None,
    *,
    meaningful: float = MEANINGFUL,
    seed: int = 0,
) -> Comparison:
    """Compare two predictions of the same rows, overall and per group of fields ``by``.

    Both are scored again under the profile ``normalise``, by default the one that they were evaluated under,
    else ``basic``. ``meaningful`` is the relative change of A's WER
    that the test set should be able to reveal; where it cannot, the verdict is "underpowered" instead of
    "no evidence". Raises :class:`NotComparableError` unless ids and references are the same, and where the
    two were evaluated under different profiles and none is given.
    """
    first, second = read_predictions(a), read_predictions(b)
    used = profile_for(normalise, first, second)
    second = paired_rows(first, second)
    table_a, table_b = (count_errors(p.references, p.hypotheses, used) for p in (first, second))
    overall, groups = compare_tables(first, table_a, table_b, by, meaningful=meaningful, seed=seed)
    worse, better = word_changes(first.references, table_a, table_b, used)
    profile = profile_named(used)
    return Comparison(
        name_a=label_of(first),
        name_b=label_of(second),
        overall=overall,
        groups=groups,
        worse_words=worse,
        better_words=better,
        normaliser=profile.to_json(),
        looped_rows=(int(first.looped.sum()), int(second.looped.sum())),
        written_a=written_form(first.references, first.hypotheses),
        written_b=written_form(second.references, second.hypotheses),
    )


def paired_rows(a: Predictions, b: Predictions) -> Predictions:
    """``b`` in the order of ``a``; :class:`NotComparableError` names missing, added or changed rows."""
    require_unique_ids(a), require_unique_ids(b)
    ids_a, ids_b = paired_ids(a.ids, b.ids)
    rows_a, rows_b = ({name: row for row, name in enumerate(ids)} for ids in (ids_a, ids_b))
    problems = []
    for missing, where in ((rows_a.keys() - rows_b.keys(), b), (rows_b.keys() - rows_a.keys(), a)):
        if missing:
            problems.append(f"{len(missing)} rows are not in {where.source} ({shorten(missing)})")
    shared = rows_a.keys() & rows_b.keys()
    changed = [i for i in shared if _text(a, rows_a[i]) != _text(b, rows_b[i])]
    if changed:
        problems.append(f"{len(changed)} references differ ({shorten(changed)})")
    if problems:
        raise NotComparableError(
            f"{a.source} and {b.source} cannot be compared: {'; '.join(problems)}. "
            "Evaluate both models on the same manifest."
        )
    return b.take([rows_b[name] for name in ids_a])


def _text(predictions: Predictions, row: int) -> str:
    return composed(predictions.references[row].strip())


def shorten(ids: Collection[str]) -> str:
    """The first few ids in order, for a message."""
    shown = sorted(ids)[:_SHOWN_IDS]
    return ", ".join(shown) + (", …" if len(ids) > _SHOWN_IDS else "")


def group_difference(
    predictions: Predictions, pairs: PairedErrors, rows: np.ndarray, seed: int = 0
) -> Difference:
    """The paired difference over some rows, their own speakers being the blocks."""
    speakers = predictions.speakers
    own = None if speakers is None else [speakers[row] for row in rows]
    return paired_difference(pairs.take(rows), speaker_blocks(own, len(rows)), seed=seed)


def compare_tables(
    predictions: Predictions,
    a: ErrorTable,
    b: ErrorTable,
    by: Sequence[str] = (),
    *,
    meaningful: float = MEANINGFUL,
    seed: int = 0,
) -> tuple[GroupComparison, dict[str, dict[str, GroupComparison]]]:
    """Counted rows of two systems, in the order of ``predictions``: overall and per group."""
    pairs = PairedErrors(a.errors, a.words, b.errors, b.words)

    def judged(rows: np.ndarray, difference: Difference, p: float) -> GroupComparison:
        enough = meaningful * difference.wer_a
        words = int(pairs.words_a[rows].sum())
        return GroupComparison(len(rows), words, difference, p, verdict(difference, p, meaningful=enough))

    everything = np.arange(len(predictions))
    whole = group_difference(predictions, pairs, everything, seed)
    result: dict[str, dict[str, GroupComparison]] = {}
    for name, rows_by_value in group_rows(predictions, by).items():
        differences = [group_difference(predictions, pairs, rows, seed) for rows in rows_by_value.values()]
        adjusted = holm([difference.p for difference in differences])
        result[name] = {
            value: judged(rows, difference, p)
            for (value, rows), difference, p in zip(rows_by_value.items(), differences, adjusted, strict=True)
        }
    return judged(everything, whole, whole.p), result


def word_changes(
    references: Sequence[str], a: ErrorTable, b: ErrorTable, normalise: str, top: int = 20
) -> tuple[tuple[WordChange, ...], tuple[WordChange, ...]]:
    """Reference words missed more often by B, and those missed less often, biggest change first."""
    missed_a, missed_b = a.confusions.missed(), b.confusions.missed()
    changes = {word: missed_b[word] - missed_a[word] for word in missed_a | missed_b}
    apply = profile_named(normalise).apply
    occurrences = dict.fromkeys(changes, 0)
    for text in references:
        for word in apply(text).split():
            if word in occurrences:
                occurrences[word] += 1
    ordered = sorted(changes, key=lambda word: (-abs(changes[word]), word))
    rows = [WordChange(word, occurrences[word], missed_a[word], missed_b[word]) for word in ordered]
    worse = tuple(row for row in rows if row.missed_b > row.missed_a)[:top]
    return worse, tuple(row for row in rows if row.missed_b < row.missed_a)[:top]
