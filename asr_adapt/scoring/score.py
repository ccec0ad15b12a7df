"""A predictions file to a score: rates, intervals, groups, gaps, confusions, and under which rules.

Knows how counts, blocks and groups are put together and what must be stored so that a score can be compared
later. Does not know other scores (see ``compare``), baselines, or how a score is shown.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from typing import Any

import numpy as np

from asr_adapt import __version__
from asr_adapt.errors import DataError
from asr_adapt.scoring.bootstrap import Blocks, Interval, speaker_blocks
from asr_adapt.scoring.conversations import SpeakerErrors, speaker_errors
from asr_adapt.scoring.counts import Counts, ErrorTable, count_errors
from asr_adapt.scoring.estimate import Estimate, Rates, estimate
from asr_adapt.scoring.gap import Gap, measure_gap
from asr_adapt.scoring.predictions import (
    Predictions,
    PredictionSource,
    changed_profile,
    iterate_groups,
    profile_for,
    read_predictions,
)
from asr_adapt.scoring.spans import SpanScores, score_spans
from asr_adapt.scoring.written import WrittenForm, written_form
from asr_adapt.text import profile as profile_named

CROSS = "+"  #: joins field names and values of a cross, e.g. ``accent+gender``


@dataclass(frozen=True)
class Score(Rates):
    """Result of :func:`score`. ``groups`` maps a field (or cross ``a+b``) to value → :class:`Estimate`.

    ``written`` is about capitals and punctuation, where the references have any. Rates are fractions;
    ``rtfx`` is seconds of audio per second of computing, where rows carry ``time``.
    """

    counts: Counts
    interval: Interval
    groups: Mapping[str, Mapping[str, Estimate]]
    gaps: Mapping[str, Gap]
    confusions: Mapping[str, Any]
    normaliser: Mapping[str, str]
    audio_seconds: float | None = None
    rtfx: float | None = None
    source: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    written: WrittenForm = field(default_factory=WrittenForm)
    #: Of conversations, where rows have the words of each speaker.
    speakers: SpeakerErrors | None = None
    #: Of the spans that were asked for.
    spans: SpanScores | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values: counts and rates at the top level, see ``docs/scoring.md``."""
        return (
            self.counts.to_json()
            | {
                "interval": self.interval.to_json(),
                "groups": {by: {name: e.to_json() for name, e in g.items()} for by, g in self.groups.items()},
                "gaps": {by: gap.to_json() for by, gap in self.gaps.items()},
                "confusions": dict(self.confusions),
                "normaliser": dict(self.normaliser),
                "audio_seconds": self.audio_seconds,
                "rtfx": self.rtfx,
                "source": self.source,
                "settings": dict(self.settings),
                "software": software(),
                "notes": list(self.notes),
            }
            | self.written.to_json()
            | ({} if self.speakers is None else {"speakers": self.speakers.to_json()})
            | ({} if self.spans is None else {"spans": self.spans.to_json()})
        )

    def _repr_html_(self) -> str:
        from asr_adapt.scoring.notebook import show_score

        return show_score(self.to_json())


def software() -> dict[str, str]:
    """Versions of what counts: stored in every score and baseline."""
    packages = {name: version(name) for name in ("jiwer", "rapidfuzz", "numpy", "transformers")}
    return {"asr_adapt": __version__, "python": platform.python_version()} | packages


def score(
    source: PredictionSource,
    by: Sequence[str] = (),
    normalise: str | None = None,
    *,
    seed: int = 0,
    top: int = 20,
    spans: Sequence[str] = (),
) -> Score:
    """Score predictions: a path or glob of a predictions file, a :class:`Manifest`, or rows.

    ``by`` names fields to report apart; more than one also gives their cross, and ``"accent+gender"`` names a
    cross by itself. ``normalise`` is a profile of :mod:`asr_adapt.text`, by default the one that the file was
    evaluated under, else ``basic``. ``top`` is the number of confusions. ``spans`` names fields whose spans
    are scored apart (:mod:`asr_adapt.scoring.spans`).
    Raises :class:`DataError` for rows without ``text`` or ``pred_text``, :class:`UsageError` for unknown
    fields and profiles.
    """
    predictions = read_predictions(source)
    profile = profile_for(normalise, predictions)
    table = count_errors(predictions.references, predictions.hypotheses, profile)
    found = score_table(predictions, table, by, profile, seed=seed, top=top)
    return replace(found, spans=score_spans(predictions, spans, profile, seed=seed)) if spans else found


def score_table(
    predictions: Predictions,
    table: ErrorTable,
    by: Sequence[str],
    normalise: str,
    *,
    seed: int = 0,
    top: int = 20,
) -> Score:
    """The score of predictions that are already counted."""
    table = replace(table, looped=predictions.looped)
    blocks = speaker_blocks(predictions.speakers, len(table))
    whole = estimate(table, blocks, seed=seed)
    groups: dict[str, dict[str, Estimate]] = {}
    gaps: dict[str, Gap] = {}
    for name, rows in group_rows(predictions, by).items():
        groups[name] = {
            value: group_estimate(predictions, table, index, seed) for value, index in rows.items()
        }
        if len(rows) > 1:
            gaps[name] = measure_gap(table, blocks, rows, seed=seed)
    profile = profile_named(normalise)
    audio_seconds, rtfx = _speed(predictions)
    return Score(
        counts=whole.counts,
        interval=whole.interval,
        groups=groups,
        gaps=gaps,
        confusions=table.confusions.to_json(top),
        normaliser=profile.to_json(),
        audio_seconds=audio_seconds,
        rtfx=rtfx,
        source=predictions.source,
        settings=predictions.settings,
        notes=tuple(_notes(predictions, whole, blocks, normalise)),
        written=written_form(predictions.references, predictions.hypotheses),
        speakers=_speakers(predictions, normalise),
    )


def _speakers(predictions: Predictions, normalise: str) -> SpeakerErrors | None:
    found = predictions.conversations
    return speaker_errors(found, normalise) if found else None


def group_estimate(predictions: Predictions, table: ErrorTable, rows: np.ndarray, seed: int) -> Estimate:
    """The estimate of one group, its blocks being this group's own speakers."""
    speakers = predictions.speakers
    own = None if speakers is None else [speakers[row] for row in rows]
    local = speaker_blocks(own, len(rows))
    index = np.zeros(len(table), dtype=np.int64)
    index[rows] = local.index
    return estimate(table, Blocks(index, local.count, local.unit), rows, seed=seed)


def group_rows(predictions: Predictions, by: Sequence[str]) -> dict[str, dict[str, np.ndarray]]:
    """Row indices per field and value, sorted by value; several fields also give their cross."""
    names = list(dict.fromkeys(by))
    if len(names) > 1:
        names.append(CROSS.join(names))
    result: dict[str, dict[str, np.ndarray]] = {}
    for name in names:
        fields = [part.strip() for part in name.replace(",", CROSS).split(CROSS)]
        columns = [predictions.column(part) for part in fields]
        values: list[Any] = (
            columns[0] if len(columns) == 1 else [_cross(row) for row in zip(*columns, strict=True)]
        )
        result[CROSS.join(fields)] = dict(sorted(iterate_groups(values)))
    return result


def _cross(values: tuple[Any, ...]) -> str:
    return CROSS.join("unknown" if value is None else str(value) for value in values)


def _speed(predictions: Predictions) -> tuple[float | None, float | None]:
    durations, times = predictions.seconds("duration"), predictions.seconds("time")
    seconds = float(np.nansum(durations)) if np.isfinite(durations).any() else None
    timed = np.isfinite(durations) & np.isfinite(times)
    spent = float(times[timed].sum())
    return seconds, float(durations[timed].sum()) / spent if spent > 0 else None


def _notes(predictions: Predictions, whole: Estimate, blocks: Blocks, profile: str) -> list[str]:
    notes = []
    if changed := changed_profile(predictions, profile):
        notes.append(changed)
    if blocks.unit == "utterance":
        known = {speaker for speaker in predictions.speakers or () if speaker is not None}
        count = "1 speaker is" if len(known) == 1 else f"{len(known)} speakers are"
        reason = f"only {count} known" if known else "no row names its speaker"
        notes.append(f"The intervals are over utterances ({reason}): they say nothing about other speakers.")
    if whole.counts.empty_references:
        notes.append(
            f"{whole.counts.empty_references} rows have an empty reference; "
            f"{whole.counts.insertions_on_silence} words were recognised there."
        )
    repeated = len(predictions) - len(set(predictions.ids))
    if repeated:
        notes.append(f"{repeated} rows repeat the id of an earlier row.")
    return notes


def require_unique_ids(predictions: Predictions) -> dict[str, int]:
    """Row number by id; :class:`DataError` when an id occurs twice, since rows could not be paired."""
    rows: dict[str, int] = {}
    for row, name in enumerate(predictions.ids):
        if rows.setdefault(name, row) != row:
            raise DataError(
                f"the id {name!r} occurs twice: give every row its own id.", path=predictions.source
            )
    return rows
