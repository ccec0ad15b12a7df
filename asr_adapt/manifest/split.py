"""Parts that share no speaker: a manifest into train, dev and test.

Knows groups, shares and strata. Does not know audio. Rows linked by any of the chosen fields (the same
speaker, or the same sentence) always land in one part.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from asr_adapt.errors import DataError, UsageError
from asr_adapt.manifest.utterance import Utterance

#: A field name that stands for the transcript's words rather than its exact spelling.
SENTENCE = "sentence"


@dataclass(frozen=True, slots=True)
class SplitOptions:
    """``parts``: name to share (shares are scaled to 1). ``by``: fields whose values must not be shared.

    ``stratify``: a field whose values should be spread over the parts alike. ``seed`` chooses among equals.
    """

    parts: Mapping[str, float]
    by: Sequence[str] = ("speaker",)
    stratify: str | None = None
    seed: int = 0


@dataclass(slots=True)
class _Group:
    key: str
    rows: list[int] = field(default_factory=list)
    seconds: float = 0.0
    strata: dict[str, float] = field(default_factory=lambda: defaultdict(float))


def split_rows(
    rows: Sequence[Utterance] | Iterable[Utterance], options: SplitOptions
) -> dict[str, list[int]]:
    """Row numbers of each part, in manifest order. Raises DataError when a row has no value to split by.

    Groups go, largest first, to the part that is furthest below its share of the group's stratum and of the
    whole (longest-processing-time greedy). Every part gets at least one group when there are enough.
    """
    shares = _shares(options.parts)
    groups = _groups(rows, options)
    if len(groups) < len(shares):
        raise DataError(
            f"{len(groups)} group(s) by {'+'.join(options.by)} cannot fill {len(shares)} disjoint parts; "
            "ask for fewer parts or split by another field."
        )
    total = sum(group.seconds for group in groups)
    strata: dict[str, float] = defaultdict(float)
    for group in groups:
        for value, seconds in group.strata.items():
            strata[value] += seconds
    filled = {
        name: _Part(share * total, {v: share * s for v, s in strata.items()})
        for name, share in shares.items()
    }
    ordered = sorted(groups, key=lambda group: (-group.seconds, _shuffle_key(group.key, options.seed)))
    for position, group in enumerate(ordered):
        empty = [name for name, part in filled.items() if not part.rows]
        candidates = empty if len(empty) >= len(ordered) - position else list(filled)
        best = max(candidates, key=lambda name: filled[name].need(group))
        filled[best].add(group)
    return {name: sorted(part.rows) for name, part in filled.items()}


class _Part:
    def __init__(self, target: float, strata: dict[str, float]) -> None:
        self.target, self.strata = target, strata
        self.seconds = 0.0
        self.have: dict[str, float] = defaultdict(float)
        self.rows: list[int] = []

    def need(self, group: _Group) -> float:
        """How far below target this part is, relative to its target, weighted by the group's strata."""
        whole = (self.target - self.seconds) / self.target
        inside = sum(
            seconds / group.seconds * (self.strata[value] - self.have[value]) / self.strata[value]
            for value, seconds in group.strata.items()
        )
        return 2 * inside + whole

    def add(self, group: _Group) -> None:
        self.seconds += group.seconds
        self.rows += group.rows
        for value, seconds in group.strata.items():
            self.have[value] += seconds


def sentence_key(text: str) -> str:
    """A transcript reduced to its letters and digits, so that case and punctuation hide no repetition."""
    kept = "".join(c if c.isalnum() or ord(c) > 0x2FF else " " for c in text.casefold())
    return " ".join(kept.split())


def _groups(rows: Iterable[Utterance], options: SplitOptions) -> list[_Group]:
    """Rows joined whenever they share a value of any field in ``by`` (union-find over the values)."""
    parent: dict[tuple[str, str], tuple[str, str]] = {}

    def find(key: tuple[str, str]) -> tuple[str, str]:
        while parent.setdefault(key, key) != key:
            parent[key] = parent[parent[key]]
            key = parent[key]
        return key

    keys: list[tuple[str, str]] = []
    weights: list[tuple[float, str]] = []
    for row in rows:
        values = [(name, _value(row, name)) for name in options.by]
        for other in values[1:]:
            parent[find(other)] = find(values[0])
        keys.append(values[0])
        weights.append((row.duration or 1.0, str(row.get(options.stratify)) if options.stratify else ""))
    groups: dict[tuple[str, str], _Group] = {}
    for number, (key, (seconds, stratum)) in enumerate(zip(keys, weights, strict=True)):
        group = groups.setdefault(find(key), _Group(key[1]))
        group.rows.append(number)
        group.seconds += seconds
        group.strata[stratum] += seconds
    return list(groups.values())


def _value(row: Utterance, name: str) -> str:
    value = row.get("text" if name == SENTENCE else name)
    if value is None or value == "":
        raise row.error(f"has no {name!r} to split by; add it or choose another --by.", name)
    return sentence_key(str(value)) if name == SENTENCE else str(value)


def _shares(parts: Mapping[str, float]) -> dict[str, float]:
    if not parts or any(not share > 0 for share in parts.values()):
        raise UsageError("--parts needs names with shares above 0, such as train=0.8,dev=0.1,test=0.1.")
    total = sum(parts.values())
    return {name: share / total for name, share in parts.items()}


def _shuffle_key(key: str, seed: int) -> bytes:
    """A stable order among equal groups that depends on the seed alone."""
    return hashlib.sha256(f"{seed}:{key}".encode()).digest()
