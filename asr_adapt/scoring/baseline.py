"""A baseline: what a recogniser did on each test row, stored so that a later run can be compared with it.

Knows which facts make two runs comparable and where they differ. Does not judge: see ``gate``.

Only numbers and hashes are stored, no transcripts, so a baseline of private speech can be committed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from asr_adapt.errors import DataError, NotComparableError
from asr_adapt.files import atomic_write
from asr_adapt.scoring.baseline_file import FIX, read, written
from asr_adapt.scoring.compare import paired_rows, shorten
from asr_adapt.scoring.counts import ErrorTable, count_errors
from asr_adapt.scoring.pairing import composed, paired_ids
from asr_adapt.scoring.predictions import Predictions, PredictionSource, read_predictions
from asr_adapt.scoring.score import require_unique_ids, software
from asr_adapt.text import profile as profile_named

#: Settings that say what ran; all others say how it was decoded and must agree. Profiles are compared apart.
INFORMATIVE = frozenset({"model", "runtime", "device", "noise_floor", "normaliser"})


@dataclass(frozen=True)
class Baseline:
    """Per row: id, hash of the reference, word errors, words; and the rules they were counted under."""

    ids: list[str]
    references: list[str]
    errors: list[int]
    words: list[int]
    normaliser: Mapping[str, str]
    settings: Mapping[str, Any] = field(default_factory=dict)
    software: Mapping[str, str] = field(default_factory=dict)
    #: Characters and their errors in each row; empty in a baseline of before they were kept.
    characters: list[int] = field(default_factory=list)
    character_errors: list[int] = field(default_factory=list)

    @property
    def wer(self) -> float:
        """Corpus word error rate, a fraction."""
        return sum(self.errors) / max(sum(self.words), 1)

    def save(self, path: str | Path) -> None:
        """Write it as JSON, atomically."""
        with atomic_write(path) as handle:
            handle.write(written(asdict(self), self.wer))

    @classmethod
    def load(cls, path: str | Path) -> Baseline:
        """Read it back; :class:`DataError` says what is wrong and how to write a new one."""
        if not Path(path).is_file():
            raise DataError(f"there is no baseline; {FIX}", path=path)
        return cls.parse(Path(path).read_text(encoding="utf-8", errors="replace"), path)

    @classmethod
    def parse(cls, text: str, path: str | Path) -> Baseline:
        """As :meth:`load`, of a file's text; ``path`` names it in errors."""
        return cls(**read(text, path))

    def counted_in(self, metric: str) -> Baseline:
        """The baseline itself for ``wer``; for ``cer`` one whose words are the characters of this one.

        Raises :class:`NotComparableError` where it holds none.
        """
        if metric == "wer":
            return self
        if self.ids and not self.characters:
            raise NotComparableError("the baseline has no character counts: write a new one with --update.")
        return replace(self, errors=self.character_errors, words=self.characters)


def make_baseline(
    predictions: Predictions,
    normalise: str,
    table: ErrorTable | None = None,
    *,
    repeats: Sequence[PredictionSource] = (),
) -> Baseline:
    """The baseline of some predictions; :class:`DataError` when an id occurs twice.

    ``table`` saves counting again. ``repeats`` are further runs of the same model: the spread of all their
    WERs is stored as ``noise_floor``; what a file beside the predictions says of it is left out.
    """
    require_unique_ids(predictions)
    if table is None:
        table = count_errors(predictions.references, predictions.hypotheses, normalise)
    profile = profile_named(normalise)
    settings = {k: v for k, v in predictions.settings.items() if k != "noise_floor"}
    if repeats:
        settings["noise_floor"] = noise_floor([predictions, *repeats], normalise)
    return Baseline(
        ids=list(predictions.ids),
        references=[reference_hash(text) for text in predictions.references],
        errors=table.errors.tolist(),
        words=table.words.tolist(),
        characters=table.characters.tolist(),
        character_errors=table.character_errors.tolist(),
        normaliser=profile.to_json(),
        settings=settings,
        software=software(),
    )


def noise_floor(runs: Sequence[PredictionSource], normalise: str = "basic") -> float:
    """Largest difference of WER between repeated runs of one model on the same rows, a fraction.

    Raises :class:`NotComparableError` when the rows are not the same.
    """
    first, *others = (read_predictions(run) for run in runs)
    paired = [first, *(paired_rows(first, other) for other in others)]
    rates = [count_errors(run.references, run.hypotheses, normalise).total().wer for run in paired]
    return max(rates) - min(rates)


def merge_baselines(parts: Sequence[Baseline]) -> Baseline:
    """One baseline of several tests' rows, made under the same rules.

    A row may come from two tests if both counted the same; :class:`DataError` otherwise.
    """
    first = parts[0]
    if any(part.normaliser != first.normaliser for part in parts):
        raise DataError("rows of one baseline were scored under different profiles: use one for all tests.")
    rows: dict[str, tuple[object, ...]] = {}
    for part in parts:
        columns = (part.references, part.errors, part.words, part.characters, part.character_errors)
        for name, *row in zip(part.ids, *columns, strict=True):
            if rows.setdefault(name, tuple(row)) != tuple(row):
                raise DataError(f"two tests scored the row {name!r} differently: give each its own baseline.")
    names = ("references", "errors", "words", "characters", "character_errors")
    merged: dict[str, Any] = {
        name: list(column) for name, column in zip(names, zip(*rows.values(), strict=True), strict=True)
    }
    return replace(first, ids=list(rows), **merged)


def reference_hash(text: str) -> str:
    """Sixteen hexadecimal digits that identify a reference transcript, in whichever Unicode form it is."""
    return hashlib.blake2b(composed(text.strip()).encode("utf-8"), digest_size=8).hexdigest()


@dataclass(frozen=True)
class Mismatch:
    """One reason why two runs must not be compared; ``field`` is what ``--accept`` takes."""

    field: str
    message: str


@dataclass(frozen=True)
class Pairing:
    """Rows of the current run and of the baseline that belong together, and what does not fit."""

    rows: np.ndarray
    baseline_rows: np.ndarray
    mismatches: tuple[Mismatch, ...]
    notes: tuple[str, ...]


def pair_with(baseline: Baseline, current: Baseline, *, subset: bool = False) -> Pairing:
    """Pair rows by id and list every difference; ``subset`` allows the baseline to hold further rows."""
    ids, known = paired_ids(current.ids, baseline.ids)
    places = {name: row for row, name in enumerate(known)}
    rows = [row for row, name in enumerate(ids) if name in places]
    pairs = [places[ids[row]] for row in rows]
    changed = [
        current.ids[row]
        for row, place in zip(rows, pairs, strict=True)
        if current.references[row] != baseline.references[place]
    ]
    added = [name for name in ids if name not in places]
    missing = [] if subset else sorted(places.keys() - set(ids))
    mismatches = [
        *_rows("rows", added, "rows are not in the baseline"),
        *_rows("rows", missing, "rows of the baseline are missing"),
        *_rows("references", changed, "reference transcripts have changed"),
        *_values("normaliser", baseline.normaliser, current.normaliser),
        *_settings(baseline.settings, current.settings),
    ]
    return Pairing(
        np.array(rows, int), np.array(pairs, int), tuple(mismatches), tuple(_notes(baseline, current))
    )


def _rows(name: str, ids: Sequence[str], message: str) -> Iterable[Mismatch]:
    if ids:
        yield Mismatch(name, f"{len(ids)} {message} ({shorten(ids)})")


def _values(name: str, before: Any, now: Any) -> Iterable[Mismatch]:
    if before != now:
        yield Mismatch(name, f"{name} was {_plain(before)}, is {_plain(now)}")


def _plain(value: Any) -> str:
    if isinstance(value, Mapping) and value.keys() == {"name", "version"}:
        return f"{value['name']}@{value['version']}"
    return "not set" if value is None else str(value)


def _settings(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterable[Mismatch]:
    if not before.keys() - INFORMATIVE or not now.keys() - INFORMATIVE:
        return  # predictions made elsewhere: nothing is known that could differ
    for name in sorted((before.keys() | now.keys()) - INFORMATIVE):
        yield from _values(name, before.get(name), now.get(name))


def _notes(before: Baseline, now: Baseline) -> Iterable[str]:
    known = before.settings and now.settings
    if before.settings and not now.settings:
        yield "the predictions do not record how they were decoded: a change of decoding would go unnoticed"
    for name in ("model", "runtime", "device"):
        old, new = before.settings.get(name), now.settings.get(name)
        if known and old != new:
            yield f"{name}: baseline {_plain(old)}, now {_plain(new)}"
    if before.software.get("jiwer") != now.software.get("jiwer"):
        yield f"jiwer: baseline {before.software.get('jiwer')}, now {now.software.get('jiwer')}"
