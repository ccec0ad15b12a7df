"""Leaks between parts: speakers, sentences, near-sentences and sounds that two manifests share.

Knows parts and pairs of rows. Does not decode audio; digests of sounds are handed in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from asr_adapt.errors import DataError
from asr_adapt.manifest.fingerprints import Digests, Prints, Rows, fingerprint, sentence_key
from asr_adapt.manifest.manifest import Manifest

LEAK_KINDS: Mapping[str, str] = {
    "speaker": "the same speaker",
    "sentence": "the same sentence, apart from case and punctuation",
    "near": "sentences that differ by one word",
    "audio": "the same sound",
}
#: Pairs of rows shown for each leak.
EXAMPLES = 5


@dataclass(frozen=True, slots=True)
class Leak:
    """``values`` distinct things of one kind that parts ``first`` and ``second`` share, with example rows."""

    kind: str
    first: str
    second: str
    values: int
    first_rows: int
    second_rows: int
    examples: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {name: getattr(self, name) for name in self.__slots__} | {"examples": list(self.examples)}


@dataclass(frozen=True, slots=True)
class Part:
    """A manifest with its name and prints."""

    name: str
    manifest: Manifest
    prints: Mapping[str, Prints]

    @classmethod
    def of(cls, name: str, manifest: Manifest, sounds: Digests | None = None) -> Part:
        """Fingerprint a manifest. Raises DataError at a row that cannot be read."""
        return cls(name, manifest, fingerprint(manifest, sounds))


@dataclass(slots=True)
class Audit:
    """The outcome; ``notes`` say what could not be seen."""

    leaks: list[Leak] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"leaks": [leak.to_json() for leak in self.leaks], "notes": self.notes}


def audit_parts(parts: Sequence[Part], kinds: Sequence[str] = tuple(LEAK_KINDS)) -> Audit:
    """Compare every pair of parts. Raises DataError for fewer than two."""
    if len(parts) < 2:
        raise DataError("an audit compares parts; name at least two manifests.")
    audit = Audit()
    for part in parts:
        unknown = len(part.manifest) - len(part.prints["speaker"].rows)
        if unknown and "speaker" in kinds:
            audit.notes.append(
                f"{part.name}: {unknown:,} rows have no speaker, so speaker leaks among them are not checked."
            )
    for position, first in enumerate(parts):
        for second in parts[position + 1 :]:
            for kind in kinds:
                leak = _compare(kind, first, second)
                if leak is not None:
                    audit.leaks.append(leak)
    return audit


def _compare(kind: str, first: Part, second: Part) -> Leak | None:
    if kind == "near":
        mine, theirs = _near_pairs(first, second)
        counts = (len(np.unique(mine)), len(np.unique(theirs)))
    else:
        one, other = first.prints[kind], second.prints[kind]
        mine, theirs = one.shared_with(other)
        counts = (len(one.rows_in(other)), len(other.rows_in(one)))
    if not len(mine):
        return None
    pairs = list(zip(mine.tolist(), theirs.tolist(), strict=True))[:EXAMPLES]
    shown = tuple(_example(kind, first, a, second, b) for a, b in pairs)
    return Leak(kind, first.name, second.name, len(mine), *counts, shown)


def _near_pairs(first: Part, second: Part) -> tuple[Rows, Rows]:
    """Row pairs whose sentences differ by one word; equal sentences are left out."""
    mine, theirs = first.prints["near"].shared_with(second.prints["near"])
    different = _sentences(first)[mine] != _sentences(second)[theirs]
    return mine[different], theirs[different]


def _example(kind: str, first: Part, mine: int, second: Part, theirs: int) -> str:
    one, other = first.manifest[mine], second.manifest[theirs]
    places = f"{first.name}:{one.line or mine + 1} and {second.name}:{other.line or theirs + 1}"
    if kind == "speaker":
        return f"{one.speaker} ({places})"
    if kind == "audio":
        return f"{one.audio_filepath} ({places})"
    if kind == "near":
        return f"{(one.text or '')[:60]!r} and {(other.text or '')[:60]!r} ({places})"
    return f"{sentence_key(one.text or '')[:60]!r} ({places})"


def _sentences(part: Part) -> Digests:
    values = np.zeros(len(part.manifest), dtype=np.uint64)
    values[part.prints["sentence"].rows] = part.prints["sentence"].digests
    return values
