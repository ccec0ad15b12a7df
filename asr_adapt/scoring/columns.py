"""Columns of rows that may have any fields: only the values that are there take memory.

Knows rows by number, fields by name and the values that rows have. Does not know what a field means.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any


class SparseColumns(Mapping[str, list[Any]]):
    """Fields by name, each a list of one value a row, None where a row lacks it; filled by :meth:`add`.

    A list is made when it is asked for: 10^5 field names, a few in each row, are as small as the rows are.
    """

    def __init__(self) -> None:
        self._cells: dict[str, dict[int, Any]] = {}
        self._rows = 0

    def add(self, row: Mapping[str, Any]) -> None:
        """Append a row."""
        for name, value in row.items():
            self._cells.setdefault(name, {})[self._rows] = value
        self._rows += 1

    def take(self, rows: Sequence[int]) -> SparseColumns:
        """Some rows, in the given order; a row may come more than once."""
        places: dict[int, list[int]] = defaultdict(list)
        for place, row in enumerate(rows):
            places[row].append(place)
        taken = SparseColumns()
        taken._rows = len(rows)
        for name, cells in self._cells.items():
            taken._cells[name] = {place: v for row, v in cells.items() for place in places.get(row, ())}
        return taken

    def values_of(self, name: str) -> set[Any]:
        """The different values that rows have in a field."""
        return set(self._cells.get(name, {}).values())

    def cell(self, name: str, row: int) -> Any:
        """One value, None where the row lacks it."""
        return self._cells[name].get(row)

    def __getitem__(self, name: str) -> list[Any]:
        cells = self._cells[name]
        return [cells.get(row) for row in range(self._rows)]

    def __contains__(self, name: object) -> bool:
        return name in self._cells

    def __iter__(self) -> Iterator[str]:
        return iter(self._cells)

    def __len__(self) -> int:
        return len(self._cells)
