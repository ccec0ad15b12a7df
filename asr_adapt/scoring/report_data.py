"""What a report page shows, gathered: test sets, systems on each, their scores and rows.

Knows how prediction files fall into sets of the same rows and what the page's script needs of each row. Does
not know HTML, charts or audio.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from asr_adapt.errors import UsageError
from asr_adapt.scoring.compare import GroupComparison, compare_tables
from asr_adapt.scoring.counts import ErrorTable, count_errors
from asr_adapt.scoring.predictions import (
    Predictions,
    PredictionSource,
    label_of,
    profile_for,
    read_predictions,
)
from asr_adapt.scoring.score import Score, score_table
from asr_adapt.text import profile as profile_named

#: Shown as groups when no field is asked for and the rows have them.
DEFAULT_FIELDS = ("accent", "gender", "lang", "age")
MOST_VALUES = 12  #: a field with more values than this is no chart of its own
_MOST_FILTER_VALUES = 200


@dataclass(frozen=True)
class System:
    """One predictions file: its label on the page, its counts and score."""

    label: str
    predictions: Predictions
    table: ErrorTable
    score: Score


@dataclass(frozen=True)
class EvaluationSet:
    """Systems that were run on the same rows; ``changes`` compares each with the first, all under
    ``profile``, and ``group_changes`` does so by field and value."""

    name: str
    systems: tuple[System, ...]
    changes: tuple[GroupComparison, ...] = ()
    profile: str = "basic"
    group_changes: tuple[Mapping[str, Mapping[str, GroupComparison]], ...] = ()

    @property
    def first(self) -> System:
        """The system that the others are compared with."""
        return self.systems[0]


@dataclass(frozen=True)
class ReportOptions:
    """How predictions are scored and shown. ``audio``: "auto", "embed", "link" or "none"; ``normalise``: by
    default the profile that the files were evaluated under."""

    title: str = "Recognition report"
    by: tuple[str, ...] = ()
    normalise: str | None = None
    audio: str = "auto"
    seed: int = 0
    summary: Mapping[str, Any] = field(default_factory=dict)


def gather_sets(sources: Sequence[PredictionSource], options: ReportOptions) -> list[EvaluationSet]:
    """Read, score and group the predictions; files with the same ids and references form one set.

    A file called ``target.before.jsonl`` is system ``before`` on set ``target``. Raises :class:`UsageError`
    without any source.
    """
    if not sources:
        raise UsageError("a report needs at least one predictions file.")
    read = [read_predictions(source) for source in sources]
    profile = profile_for(options.normalise, *read)
    groups: dict[tuple[tuple[str, str], ...], list[Predictions]] = {}
    for predictions in read:
        key = sorted(zip(predictions.ids, predictions.references, strict=True))
        groups.setdefault(tuple(key), []).append(predictions)
    return [_test_set(members, options, profile) for members in groups.values()]


def _test_set(members: list[Predictions], options: ReportOptions, profile: str) -> EvaluationSet:
    order = {name: row for row, name in enumerate(members[0].ids)}
    aligned = [members[0]]
    for other in members[1:]:
        rows = sorted(range(len(other)), key=lambda row: order[other.ids[row]])
        aligned.append(other.take(rows))
    by = options.by or default_fields(members[0])
    name, labels = _names(members)
    systems = []
    for predictions, label in zip(aligned, labels, strict=True):
        table = count_errors(predictions.references, predictions.hypotheses, profile)
        score = score_table(predictions, table, by, profile, seed=options.seed)
        systems.append(System(label, predictions, table, score))
    first = systems[0]
    compared = [
        compare_tables(first.predictions, first.table, system.table, by, seed=options.seed)
        for system in systems[1:]
    ]
    changes, groups = tuple(c[0] for c in compared), tuple(c[1] for c in compared)
    return EvaluationSet(name, tuple(systems), changes, profile, groups)


def default_fields(predictions: Predictions) -> tuple[str, ...]:
    """Known fields with at least two and not too many values."""
    found = []
    for name in DEFAULT_FIELDS:
        values = predictions.columns.values_of(name)
        if 1 < len(values) <= MOST_VALUES:
            found.append(name)
    return tuple(found)


def _names(members: list[Predictions]) -> tuple[str, list[str]]:
    stems = [Path(member.source).stem for member in members]
    heads = {stem.partition(".")[0] for stem in stems}
    if len(heads) == 1 and all("." in stem for stem in stems):
        return heads.pop(), [stem.partition(".")[2] for stem in stems]
    if len(members) == 1:
        return stems[0], [label_of(members[0])]
    labels = stems if len(set(stems)) == len(stems) else [f"{s} ({i})" for i, s in enumerate(stems, 1)]
    return " / ".join(stems), labels


def rows_json(test_set: EvaluationSet, audio: Sequence[str]) -> dict[str, Any]:
    """The rows of a set for the page's script; ``audio`` holds a URL (or "") per row.

    Each row is a list: id, seconds, words, reference, hypotheses, errors, field values, audio URL, and 1 for
    each system whose decoder looped, else 0. Texts are normalised, since errors are counted on them.
    """
    predictions = test_set.first.predictions
    apply = profile_named(test_set.profile).apply
    fields = [name for name in predictions.columns if _filterable(name, predictions.columns.values_of(name))]
    durations = predictions.seconds("duration")
    hypotheses = [[apply(text) for text in system.predictions.hypotheses] for system in test_set.systems]
    errors = np.stack([system.table.errors for system in test_set.systems], axis=1).tolist()
    looped = np.stack([s.predictions.looped for s in test_set.systems], axis=1).astype(int).tolist()
    words = test_set.first.table.words.tolist()
    rows = []
    for row, name in enumerate(predictions.ids):
        rows.append(
            [
                name,
                round(float(durations[row]), 2) if np.isfinite(durations[row]) else None,
                words[row],
                apply(predictions.references[row]),
                [texts[row] for texts in hypotheses],
                errors[row],
                [_plain(predictions.columns.cell(name, row)) for name in fields],
                audio[row],
                looped[row],
            ]
        )
    labels = [system.label for system in test_set.systems]
    return {"name": test_set.name, "systems": labels, "fields": fields, "rows": rows}


def _filterable(name: str, values: Collection[Any]) -> bool:
    distinct = {value for value in values if isinstance(value, str)}
    return name != "audio_filepath" and 1 < len(distinct) <= _MOST_FILTER_VALUES


def _plain(value: Any) -> str:
    return "" if value is None else str(value)
