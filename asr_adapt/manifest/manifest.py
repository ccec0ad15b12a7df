"""Manifests seen as sequences of rows: indexed JSONL files, shards of them, or rows in memory.

Knows how rows are found and parsed on demand. Does not know foreign layouts, checks, or audio.
"""

from __future__ import annotations

import bisect
import glob
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from asr_adapt.errors import DataError, UsageError
from asr_adapt.manifest.index import LineIndex, index_lines, read_at
from asr_adapt.manifest.select import matching
from asr_adapt.manifest.utterance import Place, Utterance, parse_line

#: Rows that a notebook shows.
MOST_SHOWN = 5


class _FileShard:
    """One indexed JSONL file; rows are read with ``pread``, which is safe across forked workers."""

    def __init__(self, index: LineIndex) -> None:
        self.index = index
        self.place = Place(index.path.parent, str(index.path))
        self._descriptor: int | None = None

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, row: int) -> Utterance:
        if self._descriptor is None:
            self._descriptor = self.index.open()
        start, end = int(self.index.starts[row]), int(self.index.ends[row])
        raw = read_at(self._descriptor, end - start, start)
        return parse_line(raw, self.place, int(self.index.lines[row]))

    def __iter__(self) -> Iterator[Utterance]:
        for raw, line in zip(self.index.raw_lines(), self.index.lines.tolist(), strict=True):
            yield parse_line(raw, self.place, line)

    def scan(self, first: int, last: int) -> Iterator[Utterance | DataError]:
        lines = self.index.lines[first:last].tolist()
        for raw, line in zip(self.index.raw_lines(first, last), lines, strict=True):
            try:
                yield parse_line(raw, self.place, line)
            except DataError as error:
                yield error

    def durations(self) -> NDArray[np.float64]:
        return self.index.durations()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_descriptor": None}

    def __del__(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)


class _MemoryShard:
    """Rows that are already in memory."""

    def __init__(self, rows: Sequence[Utterance]) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: int) -> Utterance:
        return self.rows[row]

    def __iter__(self) -> Iterator[Utterance]:
        return iter(self.rows)

    def scan(self, first: int, last: int) -> Iterator[Utterance | DataError]:
        yield from self.rows[first:last]

    def durations(self) -> NDArray[np.float64]:
        return np.array([np.nan if r.duration is None else r.duration for r in self.rows], dtype=np.float64)


class Manifest(Sequence[Utterance]):
    """Rows in order. Built with :meth:`open` or :meth:`of`; immutable; can be pickled to workers."""

    def __init__(
        self, shards: Sequence[_FileShard | _MemoryShard], order: NDArray[np.int64] | None = None
    ) -> None:
        self._shards = list(shards)
        self._ends = list(accumulate(len(shard) for shard in self._shards))
        self._order = order

    @classmethod
    def open(cls, source: str | Path | Iterable[str | Path]) -> Manifest:
        """Open one JSONL file, a glob, or a list of either, as one sequence. ``-`` reads standard input.

        Only line positions are kept in memory. Raises DataError for a file that cannot be a manifest and
        UsageError for a glob that matches nothing.
        """
        sources = [source] if isinstance(source, (str, Path)) else list(source)
        shards: list[_FileShard | _MemoryShard] = []
        for name in sources:
            if str(name) == "-":
                shards.append(_MemoryShard(_read_standard_input()))
            else:
                shards.extend(_FileShard(index_lines(path)) for path in _expand(name))
        return cls(shards)

    @classmethod
    def of(cls, rows: Iterable[Utterance]) -> Manifest:
        """A manifest of rows in memory."""
        return cls([_MemoryShard(list(rows))])

    @property
    def paths(self) -> list[Path]:
        """The files this manifest reads from; empty for rows in memory."""
        return [shard.index.path for shard in self._shards if isinstance(shard, _FileShard)]

    @cached_property
    def durations(self) -> NDArray[np.float64]:
        """Seconds per row ``(rows,)``, NaN where absent; read without parsing the rows."""
        parts = [shard.durations() for shard in self._shards]
        values = np.concatenate(parts) if parts else np.zeros(0)
        return values if self._order is None else values[self._order]

    def select(self, rows: Sequence[int] | NDArray[np.integer]) -> Manifest:
        """The given rows, in the given order, as a manifest that shares this one's index."""
        chosen = np.asarray(rows, dtype=np.int64)
        size = len(self)
        if len(chosen) and (chosen.min() < -size or chosen.max() >= size):
            raise IndexError(f"rows must lie between 0 and {size - 1}")
        chosen = np.where(chosen < 0, chosen + size, chosen)
        return Manifest(self._shards, chosen if self._order is None else self._order[chosen])

    def where(self, *conditions: str) -> Manifest:
        """The rows for which every condition holds: ``accent=heavy``, ``lang!=en``, ``duration<=20``.

        Raises DataError where none is left, and UsageError for a condition that cannot be read.
        """
        return matching(self, conditions)

    def save(self, path: str | Path) -> int:
        """Write the rows to a JSONL file and return how many.

        Relative audio paths are rewritten so that they hold from the folder of ``path``. Raises UsageError
        where ``path`` is a file that the rows are read from.
        """
        from asr_adapt.destinations import require_file
        from asr_adapt.manifest.write import write_manifest

        require_file(Path(path), self.paths)
        return write_manifest(path, self)

    def __len__(self) -> int:
        if self._order is not None:
            return len(self._order)
        return self._ends[-1] if self._ends else 0

    @overload
    def __getitem__(self, row: int) -> Utterance: ...
    @overload
    def __getitem__(self, row: slice) -> Manifest: ...
    def __getitem__(self, row: int | slice) -> Utterance | Manifest:
        if isinstance(row, slice):
            return self.select(range(*row.indices(len(self))))
        size = len(self)
        if not -size <= row < size:
            raise IndexError(f"row {row} of {size}")
        position = row % size if self._order is None else int(self._order[row])
        shard = bisect.bisect_right(self._ends, position)
        begin = self._ends[shard - 1] if shard else 0
        return self._shards[shard][position - begin]

    def __iter__(self) -> Iterator[Utterance]:
        """Rows in order; whole files are streamed in large blocks."""
        if self._order is not None:
            yield from (self[row] for row in range(len(self)))
            return
        for shard in self._shards:
            yield from shard

    def scan(self, start: int = 0, stop: int | None = None) -> Iterator[Utterance | DataError]:
        """Rows ``start`` to ``stop`` in order, broken ones as the DataError that reading them raises."""
        stop = len(self) if stop is None else stop
        if self._order is not None:
            yield from (_attempt(self, row) for row in range(start, stop))
            return
        begin = 0
        for shard in self._shards:
            end = begin + len(shard)
            first, last = max(start, begin) - begin, min(stop, end) - begin
            if first < last:
                yield from shard.scan(first, last)
            begin = end

    def _repr_html_(self) -> str:
        from asr_adapt.notebook import framed, table

        shown = [row.to_row() for row in self[:MOST_SHOWN]]
        names = list(dict.fromkeys(name for row in shown for name in row))
        rows = [{name: row.get(name) for name in names} for row in shown]
        hours = float(np.nan_to_num(self.durations).sum()) / 3600
        return framed(table(rows, f"{len(self):,} rows, {hours:.2f} hours; the first {len(rows)}"))

    def __repr__(self) -> str:
        return f"Manifest({len(self)} rows from {', '.join(map(str, self.paths)) or 'memory'})"


def _attempt(manifest: Manifest, row: int) -> Utterance | DataError:
    try:
        return manifest[row]
    except DataError as error:
        return error


def _expand(name: str | Path) -> list[Path]:
    text = str(name)
    if Path(text).exists() or not glob.has_magic(text):
        return [Path(text)]
    matches = sorted(glob.glob(text, recursive=True))  # noqa: PTH207 - Path.glob refuses absolute patterns
    if not matches:
        raise UsageError(f"no file matches {text!r}; correct the pattern.")
    return [Path(match) for match in matches]


def _read_standard_input() -> list[Utterance]:
    place = Place(Path(), "<stdin>")
    content = sys.stdin.buffer.read().removeprefix(b"\xef\xbb\xbf")
    rows = enumerate(content.split(b"\n"), start=1)
    return [parse_line(raw, place, line) for line, raw in rows if raw.strip()]


def require_rows(manifest: Manifest) -> Manifest:
    """The manifest itself; raises DataError when it has no rows."""
    if not len(manifest):
        raise DataError("holds no rows.", path=", ".join(map(str, manifest.paths)) or None)
    return manifest
