"""Manifests of real accented speech for ``bench_accents.py``, cut by speaker and by official part.

Knows the native layouts of FSDD and speechocean762 and which rows may train, choose and test.
Does not know models, recipes or scores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from asr_adapt.manifest import Utterance, write_manifest
from asr_adapt.manifest.build import BuildOptions, open_build
from asr_adapt.manifest.layouts import ImportOptions

DIGITS = ("ZERO", "ONE", "TWO", "THREE", "FOUR", "FIVE", "SIX", "SEVEN", "EIGHT", "NINE")
FSDD_ACCENTS = {"jackson": "us", "theo": "us", "nicolas": "french", "yweweler": "german"}
FSDD_TEST, FSDD_DEV = range(0, 5), range(45, 50)  # indices; 0–4 are the official test part
ADULT = 18  # years
DEV_HEAVY = ("0048", "9600", "9609", "9639")  # speakers of speechocean762 train that choose the best model
DEV_MILD = ("0006", "0482", "2022", "5418")  # mild train speakers that the base has not heard

Keep = Callable[[Utterance], bool]


def prepare_fsdd(data: Path, output: Path) -> dict[str, Path]:
    """``SPEAKER_train``, ``SPEAKER_dev``, ``SPEAKER_test`` for each of the four speakers."""
    options = BuildOptions(
        source_options=ImportOptions(name_pattern="{text}_{speaker}_{index}"),
        replacements={"text": {str(number): word for number, word in enumerate(DIGITS)}},
        values={"lang": "en"},
    )
    rows = [
        row.replace(accent=FSDD_ACCENTS[row.speaker or ""])
        for row in open_build(data / "fsdd" / "recordings", options).rows()
    ]
    return {
        f"{speaker}_{part}": _write(output / f"fsdd_{speaker}_{part}.jsonl", rows, _of(speaker, part))
        for speaker in FSDD_ACCENTS
        for part in ("train", "dev", "test")
    }


def _of(speaker: str, part: str) -> Keep:
    return lambda row: row.speaker == speaker and _fsdd_part(int(row.extra["index"])) == part


def _fsdd_part(index: int) -> str:
    return "test" if index in FSDD_TEST else "dev" if index in FSDD_DEV else "train"


def prepare_speechocean(data: Path, output: Path) -> dict[str, Path]:
    """``heavy_train``, ``heavy_dev``, ``medium_train``, ``mild_replay``, ``mild_dev``, ``test`` (whole)."""
    train, test = (labelled(data / "speechocean762" / part) for part in ("train", "test"))
    parts: dict[str, tuple[list[Utterance], Keep]] = {
        "heavy_train": (train, lambda row: row.accent == "heavy" and row.speaker not in DEV_HEAVY),
        "heavy_dev": (train, lambda row: row.speaker in DEV_HEAVY),
        "medium_train": (train, lambda row: row.accent == "medium"),
        "mild_replay": (train, lambda row: row.accent == "mild" and row.speaker not in DEV_MILD),
        "mild_dev": (train, lambda row: row.speaker in DEV_MILD),
        "test": (test, lambda row: True),
    }
    return {
        name: _write(output / f"speechocean_{name}.jsonl", rows, keep) for name, (rows, keep) in parts.items()
    }


def _write(path: Path, rows: Iterable[Utterance], keep: Keep) -> Path:
    if not path.is_file():
        write_manifest(path, (row for row in rows if keep(row)))
    return path


def labelled(folder: Path) -> list[Utterance]:
    """Rows of a Kaldi directory whose ``accent`` is the band; ``age_group`` is adult or child."""
    rows = open_build(folder, BuildOptions(values={"lang": "en"})).rows()
    return [row.replace(extra={**row.extra, "age_group": _age_group(int(row.age or 0))}) for row in rows]


def _age_group(age: int) -> str:
    return "adult" if age >= ADULT else "child"
