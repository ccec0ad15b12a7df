"""Where each line of a JSONL file begins: the part of a manifest that is held in memory.

Knows bytes, lines and blank lines; a million rows cost about 12 MB. Does not know what a row means, except
for the number behind ``"duration"``, which is read without parsing the row.
"""

from __future__ import annotations

import json
import math
import os
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from asr_adapt.errors import DataError

BLOCK_BYTES = 1 << 24
_SEEKING = threading.Lock()
_NEWLINE = 10
_DURATION = re.compile(rb'"duration"\s*:\s*([-+0-9.eE]+|null)')
_FOREIGN_STARTS = {
    b"\x1f\x8b": "is compressed with gzip; decompress it first (gunzip).",
    b"\xff\xfe": "is UTF-16; save the manifest as UTF-8.",
    b"\xfe\xff": "is UTF-16; save the manifest as UTF-8.",
    b"PK": "is a zip archive or spreadsheet, not a JSONL manifest; use `asr-adapt manifest build`.",
    b"PAR1": "is a parquet file, not a JSONL manifest; use `asr-adapt manifest build`.",
}


@dataclass(frozen=True, slots=True)
class LineIndex:
    """Rows of one file: row ``i`` is bytes ``starts[i]`` to ``ends[i]``, on line ``lines[i]`` (from 1)."""

    path: Path
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    lines: NDArray[np.int32]
    size: int
    modified_ns: int

    def __len__(self) -> int:
        return len(self.starts)

    def open(self) -> int:
        """A file descriptor for reading rows; raises DataError when the file changed since it was indexed."""
        descriptor = _open_file(self.path)
        status = os.fstat(descriptor)
        if (status.st_size, status.st_mtime_ns) != (self.size, self.modified_ns):
            os.close(descriptor)
            raise DataError("changed after it was opened; run the command again.", path=self.path)
        return descriptor

    def raw_lines(self, first: int = 0, last: int | None = None) -> Iterator[bytes]:
        """The bytes of rows ``first`` to ``last`` in order, reading the file once in large blocks."""
        last = len(self) if last is None else last
        descriptor = self.open()
        try:
            while first < last:
                limit = self.starts[first] + BLOCK_BYTES
                end = min(last, max(first + 1, int(np.searchsorted(self.starts, limit, side="left"))))
                base = int(self.starts[first])
                block = _read_range(descriptor, base, int(self.ends[end - 1]), self.path)
                begins, stops = self.starts[first:end] - base, self.ends[first:end] - base
                for begin, stop in zip(begins.tolist(), stops.tolist(), strict=True):
                    yield block[begin:stop]
                first = end
        finally:
            os.close(descriptor)

    def durations(self) -> NDArray[np.float64]:
        """Seconds per row, NaN where absent or unreadable."""
        values = np.full(len(self), math.nan)
        for row, raw in enumerate(self.raw_lines()):
            found = _DURATION.findall(raw)
            if len(found) == 1 and raw.count(b"{") == 1:
                values[row] = _number(found[0])
            elif found:
                values[row] = _parsed_duration(raw)
        return values


def index_lines(path: str | Path) -> LineIndex:
    """Index a JSONL file; a UTF-8 BOM and blank lines are skipped. Raises DataError when it cannot be one."""
    path = Path(path)
    descriptor = _open_file(path)
    with os.fdopen(descriptor, "rb", buffering=0) as handle:
        status = os.fstat(handle.fileno())
        head = handle.read(4)
        for signature, message in _FOREIGN_STARTS.items():
            if head.startswith(signature):
                raise DataError(message, path=path)
        begin = 3 if head.startswith(b"\xef\xbb\xbf") else 0
        handle.seek(begin)
        starts, blank = _scan(handle.fileno(), begin)
        ends = np.append(starts[1:], status.st_size)
        keep = ends > starts
        for position in np.flatnonzero(blank & keep):
            first, last = int(starts[position]), int(ends[position])
            keep[position] = bool(read_at(handle.fileno(), last - first, first).strip())
    lines = np.flatnonzero(keep).astype(np.int32) + 1
    return LineIndex(path, starts[keep], ends[keep], lines, status.st_size, status.st_mtime_ns)


def _scan(descriptor: int, begin: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Start of every line, and whether its first byte is not ``{`` (so that it may be blank)."""
    starts: list[NDArray[np.int64]] = []
    suspicious: list[NDArray[np.bool_]] = []
    base, at_line_start = begin, True
    while block := os.read(descriptor, BLOCK_BYTES):
        content = np.frombuffer(block, dtype=np.uint8)
        begins = np.flatnonzero(content == _NEWLINE) + 1
        ends_with_newline = bool(content[-1] == _NEWLINE)
        if ends_with_newline:
            begins = begins[:-1]
        if at_line_start:
            begins = np.concatenate([[0], begins])
        starts.append(begins.astype(np.int64) + base)
        suspicious.append(content[begins] != ord("{"))
        base, at_line_start = base + len(block), ends_with_newline
    if not starts:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.bool_)
    return np.concatenate(starts), np.concatenate(suspicious)


def read_at(descriptor: int, length: int, start: int) -> bytes:
    """``length`` bytes from ``start``; threads do not disturb each other, nor do forked processes on Unix."""
    if hasattr(os, "pread"):
        return os.pread(descriptor, length, start)
    with _SEEKING:  # Windows, which does not fork
        os.lseek(descriptor, start, os.SEEK_SET)
        return os.read(descriptor, length)


def _read_range(descriptor: int, start: int, end: int, path: Path) -> bytes:
    block = read_at(descriptor, end - start, start)
    if len(block) != end - start:
        raise DataError("became shorter while it was read; run the command again.", path=path)
    return block


def _open_file(path: Path) -> int:
    try:
        if path.is_dir():
            raise DataError("is a folder, not a manifest; use `asr-adapt manifest build`.", path=path)
        return os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(f"the manifest cannot be opened ({reason}).", path=path) from error


def _number(raw: bytes) -> float:
    try:
        return float(raw)
    except ValueError:
        return math.nan


def _parsed_duration(raw: bytes) -> float:
    """For rows with nested objects, where the first match may belong to an inner one."""
    try:
        value = json.loads(raw).get("duration")
        return math.nan if value is None else float(value)
    except (ValueError, TypeError, AttributeError, RecursionError):
        return math.nan
