"""From corpora as they lie on a disk to the manifests and the recipe of a run.

Knows which rows may train, choose and test when nobody has said so, and what is worth a note. Does not know
how a layout is read, how a recipe is carried out, or the command line.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from asr_adapt.errors import DataError
from asr_adapt.manifest import Manifest, Utterance, require_rows, write_manifest
from asr_adapt.manifest.build import BuildOptions, open_build
from asr_adapt.manifest.fingerprints import fingerprint
from asr_adapt.manifest.layouts import ImportOptions
from asr_adapt.manifest.select import matching, sample_hours
from asr_adapt.manifest.split import SENTENCE, SplitOptions, left_over, split_rows

logger = logging.getLogger(__name__)

#: Shares of the hours for the parts that are not given.
SHARES = {"train": 0.8, "dev": 0.1, "test": 0.1}
#: Fewer speakers than this cannot be spread over three parts that say something about others.
LEAST_SPEAKERS = 6
#: Rows of dev that are measured while training.
WATCHED_ROWS = 60
#: A guard's rows for the budget, for the before/after figures, and for replay.
GUARD_SHARES = {"guard_dev": 0.25, "guard_test": 0.45, "replay": 0.3}


@dataclass(frozen=True)
class Data:
    """Corpora in any layout, or manifests. ``dev`` and ``test`` are taken from ``train`` where they are not
    given; ``guard`` is speech that must not be forgotten. ``where`` chooses rows of ``train``, and of ``dev``
    and ``test``; ``hours`` limits what trains; ``text_column`` names the transcript where a corpus calls it
    otherwise."""

    train: tuple[Path, ...]
    dev: tuple[Path, ...] = ()
    test: tuple[Path, ...] = ()
    guard: tuple[Path, ...] = ()
    where: tuple[str, ...] = ()
    text_column: str | None = None
    hours: float | None = None
    seed: int = 1


@dataclass
class Parts:
    """Manifests by part (train, dev, test; with a guard guard_dev, guard_test, replay); notes for people."""

    rows: dict[str, Manifest] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def write(self, folder: Path) -> dict[str, Path]:
        """A manifest a part in ``folder``."""
        paths = {name: folder / f"{name}.jsonl" for name in self.rows}
        for name, rows in self.rows.items():
            write_manifest(paths[name], rows)
        return paths

    def table(self) -> list[dict[str, Any]]:
        """Rows, minutes or hours of speech, and speakers of each part."""
        return [
            {
                "part": name.replace("_", " "),
                "rows": len(rows),
                "speech": _spoken(float(np.nan_to_num(rows.durations).sum())),
                "speakers": len({row.speaker for row in rows} - {None}),
            }
            for name, rows in self.rows.items()
        ]


def _spoken(seconds: float) -> str:
    """``29.9 min``, or from two hours on ``2.4 h``."""
    return f"{seconds / 3600:.1f} h" if seconds >= 7200 else f"{seconds / 60:.1f} min"


def gather(data: Data) -> Parts:
    """Read, choose and split the rows. Raises DataError and UsageError as the steps do."""
    parts = Parts()
    rows = matching(_read(data.train, data, parts.notes), data.where)
    given = {name: getattr(data, name) for name in ("dev", "test") if getattr(data, name)}
    shares = {name: share for name, share in SHARES.items() if name not in given}
    chosen = _split(rows, shares, parts.notes, data.seed) if len(shares) > 1 else {"train": rows}
    for name, sources in given.items():
        chosen[name] = matching(_read(sources, data, parts.notes), data.where)
    chosen["train"] = sample_hours(chosen["train"], data.hours, data.seed)
    if data.guard:
        guard = _read(data.guard, data, parts.notes)
        chosen |= _split(guard, GUARD_SHARES, parts.notes, data.seed)
    parts.rows = {name: chosen[name] for name in ("train", "dev", "test", *GUARD_SHARES) if name in chosen}
    for name, found in parts.rows.items():
        if not len(found):
            raise DataError(f"no rows are left for {name}: give more speech, or name --{name} yourself.")
    return parts


def _read(sources: Sequence[Path], data: Data, notes: list[str]) -> Manifest:
    """The rows of all sources; what cannot be read is left out and said."""
    columns = {data.text_column: "text"} if data.text_column else {}
    options = BuildOptions(source_options=ImportOptions(columns), skip_unreadable=True)

    def rows() -> Iterator[Utterance]:
        for source in sources:
            job = open_build(source, options)
            logger.info("reading %s as %s: %s", source, job.layout.name, job.reason)
            yield from job.rows()
            notes.extend(f"left out: {reason}" for reason in job.left_out)

    return require_rows(Manifest.of(list(rows())))


def _split(rows: Manifest, shares: Mapping[str, float], notes: list[str], seed: int) -> dict[str, Manifest]:
    """Parts without a common speaker where there are enough speakers, else without a common sentence."""
    speakers = {row.speaker for row in rows}
    by_speaker = None not in speakers and len(speakers) >= LEAST_SPEAKERS
    if not by_speaker:
        known = len(speakers - {None})
        notes.append(
            f"{' and '.join(shares)} share speakers ({known} known, {LEAST_SPEAKERS} needed to part them): "
            "the figures say nothing about other speakers. Give --dev and --test of others if you can."
        )
    by = ("speaker",) if by_speaker else (SENTENCE,)
    numbers = split_rows(rows, SplitOptions(shares, by, seed=seed))
    if by_speaker:
        numbers = _without_repeats(rows, numbers, notes)
    return {name: rows.select(chosen) for name, chosen in numbers.items()}


def _without_repeats(rows: Manifest, numbers: dict[str, Any], notes: list[str]) -> dict[str, Any]:
    """Leave out of the larger parts what repeats a sentence of a smaller one, where sentences are many."""
    try:
        repeats = left_over(numbers, fingerprint(rows, None))
    except DataError:
        notes.append("the parts share sentences, because the sentences are a closed set (digits, commands).")
        return numbers
    dropped = sum(map(len, repeats.values()))
    if dropped:
        notes.append(f"{dropped} rows are dropped because they repeat a sentence of a smaller part.")
    return {name: np.setdiff1d(chosen, repeats[name]) for name, chosen in numbers.items()}


def recipe_of(model: str, paths: Mapping[str, Path | str], parts: Parts) -> dict[str, Any]:
    """The recipe that trains on the manifests ``paths``; what it leaves out follows from the model."""
    tree: dict[str, Any] = {
        "model": model,
        **{name: str(paths[name]) for name in ("train", "dev", "test")},
        "invalid_rows": "drop",
        "evaluation": {"every": 30, "rows": WATCHED_ROWS},
    }
    if "guard_dev" in paths:
        spoken = all(row.text for row in parts.rows["replay"]) if "replay" in parts.rows else True
        tree |= {
            "guard": str(paths["guard_dev"]),
            "guard_test": str(paths["guard_test"]),
            "replay": {"manifest": str(paths["replay"]), "labels": "text" if spoken else "base"},
        }
    return tree
