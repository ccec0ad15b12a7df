"""Which rows of a manifest: by the value of a field, and no more than so many hours.

Knows conditions such as ``accent=heavy`` and fair samples. Does not know files, audio or what rows are for.
"""

from __future__ import annotations

import hashlib
import operator
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from asr_adapt.errors import DataError, UsageError
from asr_adapt.manifest.utterance import Utterance

_CONDITION = re.compile(r"\s*([\w.-]+)\s*(!=|>=|<=|=|>|<)\s*(.*?)\s*", re.DOTALL)
_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    ">": operator.gt,
    "<": operator.lt,
    ">=": operator.ge,
    "<=": operator.le,
}


class Selectable(Protocol):
    """Rows by number, such as a manifest, of which some can be taken."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Utterance]: ...

    def __getitem__(self, row: int, /) -> Utterance: ...

    @property
    def durations(self) -> NDArray[np.float64]:
        """Seconds of each row (rows,); not a number where a row has none."""
        ...

    def select(self: Rows, rows: Sequence[int], /) -> Rows:
        """The given rows, in the given order."""
        ...


Rows = TypeVar("Rows", bound=Selectable)


@dataclass(frozen=True)
class Condition:
    """``name`` must (``=``) or must not (``!=``) be one of ``values``, or is compared as a number."""

    name: str
    sign: str
    values: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Condition:
        """``accent=heavy``, ``accent=heavy,medium``, ``lang!=en``, ``duration<=20``.

        Raises :class:`UsageError` for anything else.
        """
        found = _CONDITION.fullmatch(text)
        if found is None or not found[3]:
            raise UsageError(
                f"--where {text!r} must read FIELD=VALUE, such as accent=heavy (also !=, <, <=, >, >=)."
            )
        name, sign, value = found.groups()
        if sign in _ORDER:
            try:
                float(value)
            except ValueError:
                raise UsageError(f"--where {text!r}: {sign} compares numbers, not {value!r}.") from None
            return cls(name, sign, (value,))
        return cls(name, sign, tuple(part.strip() for part in value.split(",")))

    def holds(self, row: Utterance) -> bool:
        """Whether ``row`` is meant; a row without the field is only by ``!=``."""
        value = row.get(self.name)
        if self.sign in _ORDER:
            try:
                return value is not None and _ORDER[self.sign](float(value), float(self.values[0]))
            except (TypeError, ValueError):
                return False
        among = value is not None and str(value) in self.values
        return among if self.sign == "=" else not among


def matching(manifest: Rows, conditions: Sequence[str]) -> Rows:
    """The rows for which every condition holds, in order.

    Raises :class:`DataError` where none is left, with the values that there are, and :class:`UsageError` for
    a condition that cannot be read.
    """
    wanted = [Condition.parse(text) for text in conditions]
    rows = [number for number, row in enumerate(manifest) if all(one.holds(row) for one in wanted)]
    if not rows and len(manifest):
        raise DataError(f"no row has {' and '.join(conditions)}; {_there_are(manifest, wanted)}.")
    return manifest.select(rows) if len(rows) < len(manifest) else manifest


def _there_are(manifest: Iterable[Utterance], wanted: Sequence[Condition]) -> str:
    told = []
    for one in wanted:
        values = sorted({str(v) for row in manifest if (v := row.get(one.name)) is not None})
        some = ", ".join(values[:8]) + (", …" if len(values) > 8 else "")
        told.append(f"{one.name} is {some}" if values else f"no row has a field {one.name}")
    return "; ".join(told)


def sample_hours(manifest: Rows, hours: float | None, seed: int = 0) -> Rows:
    """At most ``hours`` of the rows, drawn by their ids, so that more hours hold all rows of fewer.

    The order is the manifest's. Rows without a duration count for nothing.
    """
    durations = np.nan_to_num(manifest.durations)
    if hours is None or durations.sum() <= hours * 3600:
        return manifest
    order = _drawn(manifest, seed)
    within = np.cumsum(durations[order]) <= hours * 3600
    return manifest.select(sorted(np.asarray(order)[within].tolist()))


def sample_rows(manifest: Rows, count: int, seed: int = 0, each: str | None = None) -> Rows:
    """``count`` rows, drawn by their ids, so that more rows hold all of fewer; in the manifest's order.

    With ``each``, a field: so many rows of every value of it. Rows without the field are one value.
    """
    order = _drawn(manifest, seed)
    if each is None:
        return manifest.select(sorted(order[:count]))
    taken: Counter[str] = Counter()
    chosen = []
    for number in order:
        value = str(manifest[number].get(each))
        if taken[value] < count:
            taken[value] += 1
            chosen.append(number)
    return manifest.select(sorted(chosen))


def _drawn(manifest: Selectable, seed: int) -> list[int]:
    """Row numbers in the order in which they are drawn."""
    draws = [hashlib.sha256(f"{seed} {row.id}".encode()).digest() for row in manifest]
    return sorted(range(len(manifest)), key=draws.__getitem__)
