"""Parts that leak nothing: a manifest into train, dev and test.

Knows groups, shares and strata. Rows with the same speaker (or other chosen field) always land in one part;
rows of a larger part that repeat a sentence or a sound of a smaller one are left over. Does not decode audio.
"""

from __future__ import annotations

import hashlib
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from asr_adapt.errors import DataError, UsageError
from asr_adapt.manifest.fingerprints import Digests, Prints, Rows, fingerprint, sentence_key
from asr_adapt.manifest.manifest import Manifest
from asr_adapt.manifest.utterance import Utterance

#: A field name that stands for the transcript's words rather than its exact spelling.
SENTENCE = "sentence"
#: The part of the rows that repeat something of a smaller part.
LEFT_OVER = "leftover"
#: A part that would lose more than this share of its rows has a closed set of sentences.
MOST_LEFT_OVER = 0.5


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
class _RowGroup:
    key: str
    rows: array[int] = field(default_factory=lambda: array("q"))
    seconds: float = 0.0
    strata: dict[str, float] = field(default_factory=lambda: defaultdict(float))


def split_rows(rows: Iterable[Utterance], options: SplitOptions) -> dict[str, Rows]:
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
        name: _SplitPart(share * total, {value: share * seconds for value, seconds in strata.items()})
        for name, share in shares.items()
    }
    ordered = sorted(groups, key=lambda group: (-group.seconds, _shuffle_key(group.key, options.seed)))
    for position, group in enumerate(ordered):
        empty = [name for name, part in filled.items() if not part.rows]
        candidates = empty if len(empty) >= len(ordered) - position else list(filled)
        best = max(candidates, key=lambda name: filled[name].need(group))
        filled[best].add(group)
    return {name: np.sort(np.array(part.rows, dtype=np.int64)) for name, part in filled.items()}


def split_manifest(
    rows: Manifest, options: SplitOptions, sounds: Callable[[], Digests] | None, *, shared_text: bool = False
) -> dict[str, Manifest]:
    """The parts of :func:`split_rows` as manifests.

    What repeats a sentence or sound of a smaller part is in :data:`LEFT_OVER`. ``sounds`` gives a digest of
    every row's sound (None: sounds are not compared). With ``shared_text`` parts may share both.
    """
    chosen = split_rows(rows, options)
    if not shared_text:
        dropped = left_over(chosen, fingerprint(rows, None if sounds is None else sounds()))
        chosen = {name: np.setdiff1d(numbers, dropped[name]) for name, numbers in chosen.items()}
        rest = np.sort(np.concatenate(list(dropped.values())))
        if len(rest):
            chosen[LEFT_OVER] = rest
    return {name: rows.select(numbers) for name, numbers in chosen.items()}


def left_over(parts: Mapping[str, Rows], prints: Mapping[str, Prints]) -> dict[str, Rows]:
    """Rows to leave out of each part so that no two share a sentence, a near-sentence or a sound.

    The larger of two parts loses. Raises DataError when a part would lose more than half: then its sentences
    are a closed set (digits, commands) and sharing them is the task, not a leak.
    """
    order = sorted(parts, key=lambda name: -len(parts[name]))
    removed: dict[str, set[int]] = {name: set() for name in parts}
    for position, large in enumerate(order):
        own = {kind: found.of_rows(parts[large]) for kind, found in prints.items()}
        for small in order[position + 1 :]:
            other = {kind: found.of_rows(parts[small]) for kind, found in prints.items()}
            for kind in (SENTENCE, "near", "audio"):
                removed[large].update(own[kind].rows_in(other[kind]).tolist())
        if len(removed[large]) > MOST_LEFT_OVER * len(parts[large]):
            raise DataError(
                f"{len(removed[large])} of {len(parts[large])} rows of {large!r} repeat sentences or sounds "
                "of other parts; split by speaker,sentence or, for a closed set of them, use --shared-text."
            )
    return {name: np.array(sorted(numbers), dtype=np.int64) for name, numbers in removed.items()}


class _SplitPart:
    def __init__(self, target: float, strata: dict[str, float]) -> None:
        self.target, self.strata = target, strata
        self.seconds = 0.0
        self.have: dict[str, float] = defaultdict(float)
        self.rows: array[int] = array("q")

    def need(self, group: _RowGroup) -> float:
        """How far below target this part is, relative to its target, weighted by the group's strata."""
        whole = (self.target - self.seconds) / self.target
        inside = sum(
            seconds / group.seconds * (self.strata[value] - self.have[value]) / self.strata[value]
            for value, seconds in group.strata.items()
        )
        return 2 * inside + whole

    def add(self, group: _RowGroup) -> None:
        self.seconds += group.seconds
        self.rows += group.rows
        for value, seconds in group.strata.items():
            self.have[value] += seconds


class _Links:
    """Union-find over the values of the fields."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, str], int] = {}
        self._parent: list[int] = []

    def number(self, name: str, value: str) -> int:
        """The number of a value, given at first sight."""
        number = self._numbers.setdefault((name, value), len(self._parent))
        if number == len(self._parent):
            self._parent.append(number)
        return number

    def find(self, number: int) -> int:
        """The representative of a value's group."""
        while self._parent[number] != number:
            self._parent[number] = self._parent[self._parent[number]]
            number = self._parent[number]
        return number

    def join(self, one: int, other: int) -> None:
        """Put two values into one group."""
        self._parent[self.find(other)] = self.find(one)

    def names(self) -> list[str]:
        """The values by number."""
        return [value for _, value in self._numbers]


def _groups(rows: Iterable[Utterance], options: SplitOptions) -> list[_RowGroup]:
    """Rows joined whenever they share a value of any field in ``by``."""
    links = _Links()
    keys: array[int] = array("q")
    seconds: array[float] = array("d")
    strata: list[str] = []
    for row in rows:
        first, *others = [links.number(name, _value(row, name)) for name in options.by]
        for other in others:
            links.join(first, other)
        keys.append(first)
        seconds.append(row.duration or 1.0)
        strata.append(str(row.get(options.stratify)) if options.stratify else "")
    names = links.names()
    groups: dict[int, _RowGroup] = {}
    for number, (key, weight, stratum) in enumerate(zip(keys, seconds, strata, strict=True)):
        root = links.find(key)
        group = groups.setdefault(root, _RowGroup(names[root]))
        group.rows.append(number)
        group.seconds += weight
        group.strata[stratum] += weight
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
