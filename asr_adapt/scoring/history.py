"""A baseline's past: the word error rate at every commit that changed its file.

Knows git's log and how a row of the baseline belongs to a group. Does not judge a change, nor draw
(``history_page``).
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from asr_adapt.errors import DataError, UsageError
from asr_adapt.manifest import Manifest
from asr_adapt.scoring.baseline import Baseline, pair_with
from asr_adapt.scoring.bootstrap import speaker_blocks, wer_interval
from asr_adapt.scoring.pairing import paired_ids
from asr_adapt.scoring.rules import ALL_ROWS

_MARK = "\x01"
UNCOMMITTED = "not committed"


@dataclass(frozen=True)
class Rate:
    """A group's word error rate with its 95 % interval, fractions, over ``rows``."""

    wer: float
    low: float
    high: float
    rows: int


@dataclass(frozen=True)
class HistoryPoint:
    """One version of the baseline. ``broken`` says why it cannot be compared with the one before it."""

    commit: str
    date: str
    subject: str
    rates: Mapping[str, Rate]
    model: str = ""
    broken: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain values; rates are fractions."""
        return asdict(self)


@dataclass(frozen=True)
class _Version:
    commit: str
    date: str
    subject: str
    text: str


def history(
    path: str | Path,
    *,
    by: Sequence[str] = (),
    rows: str | Path | None = None,
    most: int = 100,
    metric: str = "wer",
) -> list[HistoryPoint]:
    """Points from the oldest of the ``most`` newest versions to the file as it lies there.

    ``rows`` is a manifest or predictions file that says which row has which value of the fields ``by`` and
    which speaker; a baseline itself holds neither. Raises :class:`UsageError` outside a git repository,
    :class:`DataError` for a file that was never committed.
    """
    if by and rows is None:
        raise UsageError(
            f"--by {by[0]} needs --rows MANIFEST: a baseline does not hold the fields of its rows."
        )
    known = {} if rows is None else {row.id: row for row in Manifest.open(rows)}
    points: list[HistoryPoint] = []
    former: Baseline | None = None
    for version in _versions(Path(path), most):
        baseline = Baseline.parse(version.text, f"{path} of {version.commit}")
        broken = (
            "" if former is None else "; ".join(m.message for m in pair_with(former, baseline).mismatches)
        )
        rates = _rates(baseline.counted_in(metric), known, by)
        model = str(baseline.settings.get("model") or "")
        points.append(HistoryPoint(version.commit, version.date, version.subject, rates, model, broken))
        former = baseline
    return points


def _rates(baseline: Baseline, known: Mapping[str, Any], by: Sequence[str]) -> dict[str, Rate]:
    """The rate of all rows and of every value of each field."""
    ours, theirs = paired_ids(baseline.ids, list(known))
    rows = dict(zip(theirs, known.values(), strict=True))
    groups: dict[str, list[int]] = {ALL_ROWS: list(range(len(ours)))}
    for field in by:
        for place, name in enumerate(ours):
            value = rows[name].get(field) if name in rows else None
            groups.setdefault(f"{field}={value or 'unknown'}", []).append(place)
    speakers = [rows[name].speaker if name in rows else None for name in ours]
    errors, words = np.array(baseline.errors), np.array(baseline.words)
    return {name: _rate(errors[p], words[p], [speakers[i] for i in p]) for name, p in sorted(groups.items())}


def _rate(errors: np.ndarray, words: np.ndarray, speakers: Sequence[str | None]) -> Rate:
    bounds = wer_interval(errors, words, speaker_blocks(speakers, len(errors)))
    return Rate(float(errors.sum() / max(words.sum(), 1)), bounds.low, bounds.high, len(errors))


def _versions(path: Path, most: int) -> Iterator[_Version]:
    """Committed versions, oldest first, then the file itself where it differs from the newest."""
    folder = path.parent if path.parent != Path() else Path()
    if shutil.which("git") is None:
        raise UsageError("git is not installed, and a history is read from its commits: install git.")
    if _git(folder, "rev-parse", "--show-toplevel") is None:
        raise UsageError(
            f"{path} is in no git repository (or git refuses that one): a history is read from its commits."
        )
    log = _git(
        folder,
        "log",
        "--follow",
        f"-n{most}",
        f"--format={_MARK}%h%x09%cI%x09%s",
        "--name-only",
        "--",
        path.name,
    )
    newest = ""
    for entry in reversed((log or "").split(_MARK)[1:]):
        head, *names = [line for line in entry.splitlines() if line]
        commit, date, subject = head.split("\t", 2)
        text = _git(folder, "show", f"{commit}:{names[-1]}") if names else None
        if text is not None:  # a commit may delete the file
            newest = text
            yield _Version(commit, date, subject, text)
    here = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else newest
    if not newest and not here:
        raise DataError(
            "is neither there nor in any commit; name the baseline that CI compares with.", path=path
        )
    if here != newest:
        yield _Version(UNCOMMITTED, "", "the file as it lies there", here)


def _git(folder: Path, *arguments: str) -> str | None:
    """What git prints; None where it fails."""
    ran = subprocess.run(
        ["git", "-C", str(folder), "-c", "core.quotePath=false", *arguments],
        capture_output=True, encoding="utf-8", errors="replace", check=False,
    )  # fmt: skip
    return ran.stdout if ran.returncode == 0 else None
