"""Manifests of real accented speech for ``bench_accents.py``, cut by speaker and by official part.

Knows the native layouts of FSDD and speechocean762 and which rows may train, choose and test.
Does not know models, recipes or scores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from asr_adapt.audio import probe
from asr_adapt.manifest import Utterance, write_manifest

DIGITS = ("ZERO", "ONE", "TWO", "THREE", "FOUR", "FIVE", "SIX", "SEVEN", "EIGHT", "NINE")
FSDD_ACCENTS = {"jackson": "us", "theo": "us", "nicolas": "french", "yweweler": "german"}
FSDD_TEST, FSDD_DEV = range(0, 5), range(45, 50)  # indices; 0–4 are the official test part
ADULT = 18  # years
DEV_HEAVY = ("0048", "9600", "9609", "9639")  # speakers of speechocean762 train that choose the best model
DEV_MILD = ("0006", "0482", "2022", "5418")  # mild train speakers that the base has not heard

Keep = Callable[[Utterance], bool]


def prepare_fsdd(data: Path, output: Path) -> dict[str, Path]:
    """``SPEAKER_train``, ``SPEAKER_dev``, ``SPEAKER_test`` for each of the four speakers."""
    rows = [_fsdd_row(path) for path in sorted((data / "fsdd" / "recordings").glob("*.wav"))]
    written = {}
    for speaker in FSDD_ACCENTS:
        for part in ("train", "dev", "test"):
            name = f"{speaker}_{part}"
            written[name] = _write(
                output / f"fsdd_{name}.jsonl",
                rows,
                lambda row, part=part, speaker=speaker: row.speaker == speaker and row.extra["part"] == part,
            )
    return written


def prepare_speechocean(data: Path, output: Path) -> dict[str, Path]:
    """``heavy_train``, ``heavy_dev``, ``mild_replay``, ``mild_dev`` and ``test`` (whole, labelled)."""
    folder = data / "speechocean762"
    train, test = _kaldi_rows(folder, "train"), _kaldi_rows(folder, "test")
    parts: dict[str, tuple[list[Utterance], Keep]] = {
        "heavy_train": (train, lambda row: row.accent == "heavy" and row.speaker not in DEV_HEAVY),
        "heavy_dev": (train, lambda row: row.speaker in DEV_HEAVY),
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


def _fsdd_row(path: Path) -> Utterance:
    digit, speaker, index = path.stem.split("_")
    number = int(index)
    part = "test" if number in FSDD_TEST else "dev" if number in FSDD_DEV else "train"
    return Utterance(
        audio_filepath=str(path.resolve()),
        id=path.stem,
        duration=probe(path).duration,
        text=DIGITS[int(digit)],
        speaker=speaker,
        accent=FSDD_ACCENTS[speaker],
        lang="en",
        extra={"part": part},
    )


def _kaldi_rows(folder: Path, part: str) -> list[Utterance]:
    """Rows of a Kaldi directory; ``accent`` is the band, ``age_group`` adult or child."""
    tables = {name: _table(folder / part / name) for name in _KALDI_FILES}
    rows = []
    for name, words in tables["text"].items():
        speaker = tables["utt2spk"][name][0]
        path = folder / tables["wav.scp"][name][0]
        age = tables["spk2age"][speaker][0]
        rows.append(
            Utterance(
                audio_filepath=str(path.resolve()),
                id=name,
                duration=probe(path).duration,
                text=" ".join(words),
                speaker=speaker,
                accent=tables["spk2accent"][speaker][0],
                gender=tables["spk2gender"][speaker][0],
                age=age,
                lang="en",
                extra={"age_group": "adult" if int(age) >= ADULT else "child"},
            )
        )
    return rows


_KALDI_FILES = ("text", "utt2spk", "wav.scp", "spk2age", "spk2accent", "spk2gender")


def _table(path: Path) -> dict[str, list[str]]:
    """A Kaldi file: the first word of a line to the others."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return {words[0]: words[1:] for words in map(str.split, lines) if words}
