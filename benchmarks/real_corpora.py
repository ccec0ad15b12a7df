"""Manifests of real accents and languages for ``bench_real.py``, cut by speaker, prompt or official part.

Knows the layouts of the corpora and which rows may train, choose, guard and test. Does not know models,
recipes or scores.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice, zip_longest
from pathlib import Path
from typing import TypeVar

from accent_corpora import DEV_HEAVY, FSDD_ACCENTS, labelled, prepare_fsdd
from bench_hausa import prepare as prepare_hausa

from asr_adapt.manifest import Manifest, Utterance, write_manifest

Item = TypeVar("Item")
SEED = 20261126
#: Clips of each test speaker of speechocean762 outside the heavy band, which is tested whole.
PER_SPEAKER = 2
#: Speakers of alnum that choose the best step, and that are only tested.
ALNUM_DEV, ALNUM_TEST = 4, 14
#: Clips that choose the best step of a language.
DEV_ROWS = 20


@dataclass(frozen=True)
class Task:
    """What to learn from, choose by and test on: manifests by part, and fields to score apart."""

    name: str
    title: str
    parts: dict[str, Path]
    by: tuple[str, ...] = ()
    profile: str = "basic"
    language: str | None = None
    #: Of a new language; an accent takes the model's own.
    rate: float = 5e-5
    steps: int = 200


def native(data: Path, output: Path) -> dict[str, Path]:
    """``replay``, ``guard_dev`` and ``guard_test``: native English; no prompt of kathleen in two of them.

    LibriSpeech's test-other adds three speakers to the guard that keeps the budget and three others to the
    guard that is tested; no part learns from any of them.
    """
    takes: dict[str, Utterance] = {}
    for row in Manifest.open(data / "kathleen" / "manifest.jsonl"):
        takes.setdefault(str(row.extra["prompt"]), row)
    rows = shuffled(takes.values())
    other = list(Manifest.open(data / "librispeech_other" / "manifest.jsonl"))
    watched = set(sorted({_speaker(row) for row in other})[::2])
    parts = {
        "replay": rows[:100],
        "guard_dev": [*rows[200:230], *(row for row in other if _speaker(row) in watched)],
        "guard_test": [*rows[240:300], *(row for row in other if _speaker(row) not in watched)],
    }
    return written(parts, output, "native")


def speechocean(data: Path, output: Path) -> Task:
    """English read by Mandarin speakers: learns from the heavy band, tested on all bands, new speakers."""
    train, test = (labelled(data / "speechocean762" / part) for part in ("train", "test"))
    heavy = [row for row in test if row.accent == "heavy"]
    rest = by_turns([row for row in test if row.accent != "heavy"], _speaker, PER_SPEAKER)
    parts = {
        "train": [row for row in train if row.accent == "heavy" and row.speaker not in DEV_HEAVY],
        "dev": by_turns([row for row in train if row.speaker in DEV_HEAVY], _speaker, DEV_ROWS // 2),
        "test": [*heavy, *rest],
    }
    title = "English with a Mandarin accent (speechocean762)"
    return Task("speechocean", title, written(parts, output, "speechocean"), ("accent", "age_group"))


def alnum(data: Path, output: Path) -> Task:
    """Spelled names, phone numbers and addresses, Indian accents; parts by speaker."""
    rows = list(Manifest.open(data / "alnum" / "manifest.jsonl"))
    speakers = shuffled({_speaker(row): None for row in rows})
    test, dev = set(speakers[:ALNUM_TEST]), set(speakers[ALNUM_TEST : ALNUM_TEST + ALNUM_DEV])
    parts = {
        "train": [row for row in rows if _speaker(row) not in test | dev],
        "dev": [row for row in rows if _speaker(row) in dev],
        "test": [row for row in rows if _speaker(row) in test],
    }
    title = "Names, numbers and addresses, Indian accents (alnum)"
    return Task("alnum", title, written(parts, output, "alnum"), ("kind",), "alnum-en")


def digits(data: Path, output: Path, speaker: str, *, train: int = 100) -> Task:
    """One accented speaker of FSDD: learns digits from ``train`` clips, tested on all four speakers."""
    rows = prepare_fsdd(data, output)
    learnt = by_turns(list(Manifest.open(rows[f"{speaker}_train"])), lambda row: row.text or "", train // 10)
    tests = [row for other in FSDD_ACCENTS for row in Manifest.open(rows[f"{other}_test"])]
    parts = {
        "train": learnt,
        "dev": by_turns(list(Manifest.open(rows[f"{speaker}_dev"])), lambda row: row.text or "", 2),
        "test": by_turns(tests, lambda row: f"{row.speaker} {row.text}", 3),
    }
    accent = FSDD_ACCENTS[speaker].capitalize()
    files = written(parts, output, f"digits_{speaker}")
    return Task(f"digits_{speaker}", f"Digits, {accent} accent (FSDD, {speaker})", files, ("speaker",))


def swahili(data: Path, output: Path) -> Task:
    """Swahili, one speaker: the corpus's part ``val`` is the test; clips over Whisper's 30 s are left out."""
    rows = [row for row in Manifest.open(data / "swahili" / "manifest.jsonl") if (row.duration or 0) <= 30]
    learnt = shuffled(row for row in rows if row.extra["split"] == "train")
    parts = {
        "train": learnt[DEV_ROWS:],
        "dev": learnt[:DEV_ROWS],
        "test": [row for row in rows if row.extra["split"] == "val"],
    }
    return Task("swahili", "Swahili", written(parts, output, "swahili"), language="sw")


def hausa(data: Path, output: Path, *, train: int = 200, test: int = 80) -> Task:
    """Hausa: learns from a woman, tested on a man, other texts; ``train`` and ``test`` clips of each."""
    rows = prepare_hausa(data, output / "hausa")
    picked = {
        "train": shuffled(Manifest.open(rows["train"]))[:train],
        "dev": shuffled(Manifest.open(rows["dev"]))[:DEV_ROWS],
        "test": shuffled(Manifest.open(rows["test"]))[:test],
    }
    return Task("hausa", "Hausa", written(picked, output, "hausa"), language="ha")


def _speaker(row: Utterance) -> str:
    return row.speaker or ""


def shuffled(items: Iterable[Item]) -> list[Item]:
    """The items in a random order that is always the same."""
    found = list(items)
    random.Random(SEED).shuffle(found)
    return found


def by_turns(rows: Sequence[Utterance], group: Callable[[Utterance], str], each: int) -> list[Utterance]:
    """At most ``each`` random rows of every group."""
    groups: dict[str, list[Utterance]] = defaultdict(list)
    for row in shuffled(rows):
        groups[group(row)].append(row)
    turns = islice(zip_longest(*groups.values()), each)
    return sorted((row for turn in turns for row in turn if row is not None), key=lambda row: row.id)


def written(parts: dict[str, list[Utterance]], output: Path, name: str) -> dict[str, Path]:
    """A manifest a part; one that is there already stays, since a run may be reading it."""
    paths = {part: output / f"{name}_{part}.jsonl" for part in parts}
    for part, path in paths.items():
        if not path.is_file():
            write_manifest(path, parts[part])
    return paths
