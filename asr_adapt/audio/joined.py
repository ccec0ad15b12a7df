"""Sound files joined end to end, decoded as one sound.

Knows byte ranges of a file as files of their own, and brings all parts to the rate and channels of the first.
Does not know how the parts are found (``structure``) nor decoded.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soxr

from asr_adapt.audio.resample import QUALITY
from asr_adapt.audio.types import AudioDecoder, AudioError, AudioInfo, Remark, Samples

OpenRange = Callable[[], "ByteRange"]


class ByteRange(io.RawIOBase):
    """Bytes ``start`` to ``stop`` of a file, as a file; it closes what it opened itself, nothing else."""

    def __init__(self, source: Path | BinaryIO, start: int, stop: int) -> None:
        self._own = isinstance(source, Path)
        self._handle: BinaryIO = source.open("rb") if isinstance(source, Path) else source
        self._start, self._size, self._position = start, stop - start, 0
        self.name = str(getattr(source, "name", "")) or str(source)

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """See :meth:`io.IOBase.seek`."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def tell(self) -> int:
        """See :meth:`io.IOBase.tell`."""
        return self._position

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """See :meth:`io.RawIOBase.readinto`."""
        wanted = min(len(buffer), max(0, self._size - self._position))
        self._handle.seek(self._start + self._position)
        content = self._handle.read(wanted)
        buffer[: len(content)] = content
        self._position += len(content)
        return len(content)

    def close(self) -> None:
        """Close the range, and the file where the range opened it."""
        if self._own and not self.closed:
            self._handle.close()
        super().close()


def byte_ranges(source: Path | BinaryIO, starts: Sequence[int]) -> list[OpenRange]:
    """Openers of the parts of ``source`` that begin at ``starts``; the last goes to the end of the file."""
    end = source.stat().st_size if isinstance(source, Path) else source.seek(0, io.SEEK_END)
    return [lambda a=a, b=b: ByteRange(source, a, b) for a, b in pairwise((*starts, end))]  # type: ignore[misc]


class JoinedDecoder:
    """Several files one after another, each opened by ``decoder_of``.

    A part that cannot be opened is left out and remarked on.
    """

    def __init__(
        self, ranges: Iterable[OpenRange], decoder_of: Callable[[BinaryIO], AudioDecoder], name: str
    ) -> None:
        self._decoder_of = decoder_of
        self._parts: list[tuple[OpenRange, AudioInfo]] = []
        self._broken: list[str] = []
        for number, opened in enumerate(ranges, 1):
            try:
                with closing(opened()) as part, closing(decoder_of(part)) as decoder:  # type: ignore[arg-type]
                    self._parts.append((opened, decoder.info))
            except AudioError as error:
                self._broken.append(f"part {number} of the joined files is left out: it {error.message}")
        if not self._parts:
            raise AudioError("holds joined files, none of which can be decoded; replace the file.", path=name)
        first = self._parts[0][1]
        self.info = replace(first, path=name, duration=sum(info.duration for _, info in self._parts))

    def blocks(self, start: int, stop: int | None, remark: Remark | None = None) -> Iterator[Samples]:
        """See :class:`~asr_adapt.audio.types.AudioDecoder`."""
        for message in self._broken:
            if remark is None:
                raise AudioError(message, path=self.info.path)
            remark(message)
        place = 0
        for number, (opened, info) in enumerate(self._parts, 1):
            last = number == len(self._parts)
            end = math.inf if last else place + round(info.duration * self.info.sample_rate)
            if end > start and (stop is None or place < stop):
                first = max(0, start - place)
                yield from self._part(opened, first, None if stop is None else stop - place, remark)
            if last:
                return
            place = int(end)

    def _part(
        self, opened: OpenRange, start: int, stop: int | None, remark: Remark | None
    ) -> Iterator[Samples]:
        """Frames ``start`` to ``stop`` of one part, in the rate and channels of the whole."""
        with closing(opened()) as part, closing(self._decoder_of(part)) as decoder:  # type: ignore[arg-type]
            ratio = decoder.info.sample_rate / self.info.sample_rate
            end = None if stop is None else round(stop * ratio)
            blocks = decoder.blocks(round(start * ratio), end, remark)
            yield from _converted(blocks, decoder.info, self.info)

    def close(self) -> None:
        """Nothing to do: each part is closed once it is read."""


def _converted(blocks: Iterable[Samples], have: AudioInfo, want: AudioInfo) -> Iterator[Samples]:
    if have.channels != want.channels:
        mixed = (block.mean(axis=1, keepdims=True, dtype=np.float32) for block in blocks)
        blocks = (np.repeat(block, want.channels, axis=1) for block in mixed)
    if have.sample_rate == want.sample_rate:
        yield from blocks
        return
    stream = soxr.ResampleStream(
        have.sample_rate, want.sample_rate, want.channels, dtype="float32", quality=QUALITY
    )
    for block in blocks:
        yield np.asarray(stream.resample_chunk(block), dtype=np.float32)
    rest = np.zeros((0, want.channels), dtype=np.float32)
    yield np.asarray(stream.resample_chunk(rest, last=True), dtype=np.float32)
