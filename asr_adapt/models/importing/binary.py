"""Reading a binary model file with every length checked against what the file holds.

Knows how to take numbers, bytes and arrays from a file without copying more than there is. Does not know any
format.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from asr_adapt.errors import ModelError


class BinaryFile:
    """A file read from front to back, through a memory map; a context manager.

    Every failure is a :class:`ModelError` that names the file and the byte.
    """

    def __init__(self, path: str | Path) -> None:
        self.path, self.position = Path(path), 0
        try:
            self._handle = self.path.open("rb")
        except OSError as error:
            raise ModelError(f"the file cannot be read ({error.strerror}).", path=path) from error
        self.size = self.path.stat().st_size
        self._map = mmap.mmap(self._handle.fileno(), 0, access=mmap.ACCESS_READ) if self.size else b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(self._map, mmap.mmap):
            self._map.close()
        self._handle.close()

    @property
    def left(self) -> int:
        """Bytes not yet read."""
        return self.size - self.position

    def fault(self, what: str) -> ModelError:
        """An error at the present byte; the caller raises it."""
        return ModelError(
            f"the file is damaged at byte {self.position}: {what}; download it again.", path=self.path
        )

    def skip(self, count: int, what: str) -> None:
        """Pass over ``count`` bytes."""
        if not 0 <= count <= self.left:
            raise self.fault(f"{what} needs {count} bytes and {self.left} are left")
        self.position += count

    def take(self, count: int, what: str) -> bytes:
        """The next ``count`` bytes, copied."""
        start = self.position
        self.skip(count, what)
        return bytes(self._map[start : self.position])

    def number(self, kind: str, what: str) -> int:
        """One little-endian number; ``kind`` is a letter of :mod:`struct`."""
        width = struct.calcsize(f"<{kind}")
        return int(struct.unpack(f"<{kind}", self.take(width, what))[0])

    def array(self, dtype: str, shape: tuple[int, ...], what: str) -> np.ndarray:
        """An array of little-endian ``dtype``, copied out of the file."""
        kind = np.dtype(dtype).newbyteorder("<")
        count = 1
        for side in shape:
            count *= side
        start = self.position
        self.skip(count * kind.itemsize, what)
        if not count:
            return np.empty(shape, dtype)
        return np.frombuffer(self._map, kind, count, start).reshape(shape).astype(np.dtype(dtype))

    def string(self, count: int, what: str) -> str:
        """``count`` bytes of UTF-8 that can be printed, but for a closing zero byte."""
        try:
            text = self.take(count, what).decode("utf-8")
        except UnicodeDecodeError as error:
            raise self.fault(f"{what} is not UTF-8") from error
        if not text.removesuffix("\0").isprintable():
            raise self.fault(f"{what} has characters that cannot be printed")
        return text
