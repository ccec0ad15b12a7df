"""Sound that comes through a pipe, decoded as it comes: raw 16-bit samples, or WAV.

Knows the header of a WAV and the numbers behind it. Does not know who writes into the pipe, nor any other
container: those need a file in which a decoder can seek.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from asr_adapt.audio.resample import resample_stream
from asr_adapt.audio.types import AudioError, Remark, Samples

#: What a pipe holds where no header says otherwise: 16 kHz, one channel, 16-bit little-endian integers.
RAW_RATE = 16_000
#: Most bytes that are taken from the pipe at once; less where less is there.
_BLOCK = 1 << 16
#: Seconds after which a pipe that has nothing is looked at again.
_GLANCE_SECONDS = 0.02
#: A chunk before the samples longer than this is no header.
_MOST_HEADER = 1 << 20
#: Lengths that a recorder writes before it knows the length: what follows then counts, to the end.
_UNKNOWN_LENGTHS = (0, 0xFFFFFFFF)
#: How files of other kinds begin, which raw samples hardly ever do.
_OTHERS = {
    b"OggS": "Ogg", b"fLaC": "FLAC", b"ID3": "MP3", b"\x1aE\xdf\xa3": "Matroska or WebM", b"FORM": "AIFF",
    b"RIFX": "big-endian WAV", b"riff": "W64", b"caff": "CAF",
}  # fmt: skip
_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE


@dataclass(frozen=True)
class _SampleFormat:
    """How samples lie behind the header; ``length`` counts their bytes, None: to the end of the pipe."""

    rate: int = RAW_RATE
    channels: int = 1
    kind: str = "<i2"
    length: int | None = None

    @property
    def frame(self) -> int:
        """Bytes of one sample of every channel."""
        return self.channels * (3 if self.kind == "i3" else np.dtype(self.kind).itemsize)


def piped_audio(
    handle: BinaryIO, rate: int, *, channel: int | None = None, remark: Remark | None = None
) -> Iterator[Samples]:
    """Blocks of float32 mono (n,) at ``rate`` Hz, as they come through ``handle``.

    With a WAV header: any rate and channels, integers of 8 to 32 bits or floats. Without: raw 16 kHz mono
    16-bit little-endian. ``channel`` picks one (from 0), by default they are averaged; ``remark`` gets a
    sentence where the last sample is not whole. Raises AudioError for files of other kinds.
    """
    pipe = _Pipe(handle)
    layout = _layout(pipe)
    if channel is not None and channel >= layout.channels:
        raise AudioError(f"has {layout.channels} channels, so there is no channel {channel}.", path="<stdin>")
    yield from resample_stream(_mono(pipe, layout, channel, remark), layout.rate, rate)


class _Pipe:
    """Bytes of a pipe; what was looked at is read again."""

    def __init__(self, handle: BinaryIO) -> None:
        self._handle, self._ahead = handle, b""

    def peek(self, count: int) -> bytes:
        """The next ``count`` bytes, fewer at the end."""
        while len(self._ahead) < count and (more := self._some()):
            self._ahead += more
        return self._ahead[:count]

    def take(self, count: int) -> bytes:
        """The next ``count`` bytes; raises AudioError where the pipe ends before."""
        found = self.peek(count)
        if len(found) < count:
            raise AudioError("ends inside its WAV header: pipe the whole recording.", path="<stdin>")
        self._ahead = self._ahead[count:]
        return found

    def blocks(self) -> Iterator[bytes]:
        """The rest, as it comes."""
        if self._ahead:
            yield self._ahead
        while block := self._some():
            yield block

    def _some(self) -> bytes:
        """What is there, waiting for at least a byte; empty at the end."""
        read = getattr(self._handle, "read1", self._handle.read)
        while (found := read(_BLOCK)) is None:  # a pipe that does not block, and nothing is there yet
            time.sleep(_GLANCE_SECONDS)
        return bytes(found)


def _layout(pipe: _Pipe) -> _SampleFormat:
    head = pipe.peek(12)
    if head[:4] in (b"RIFF", b"RF64") and head[8:] == b"WAVE":
        return _wav(pipe)
    other = next((name for mark, name in _OTHERS.items() if head.startswith(mark)), None)
    if other is None and head[4:8] == b"ftyp":
        other = "MP4"
    if other is not None:
        raise AudioError(
            f"is {other}, but live sound comes as WAV or as raw 16 kHz mono 16-bit samples: "
            "pipe it through ffmpeg -i - -f s16le -ar 16000 -ac 1 -",
            path="<stdin>",
        )
    return _SampleFormat()


def _wav(pipe: _Pipe) -> _SampleFormat:
    """Read the header up to the samples."""
    pipe.take(12)
    layout = None
    while True:
        name, length = struct.unpack("<4sI", pipe.take(8))
        if name == b"data":
            break
        if length > _MOST_HEADER:
            raise AudioError("is no WAV that can be read: its header has no end.", path="<stdin>")
        chunk = pipe.take(length + length % 2)
        if name == b"fmt ":
            layout = _format(chunk)
    if layout is None:
        raise AudioError("is no WAV that can be read: its header names no format.", path="<stdin>")
    known = None if length in _UNKNOWN_LENGTHS else length
    return _SampleFormat(layout.rate, layout.channels, layout.kind, known)


def _format(chunk: bytes) -> _SampleFormat:
    if len(chunk) < 16:
        raise AudioError("is no WAV that can be read: its format is cut short.", path="<stdin>")
    tag, channels, rate, _, _, bits = struct.unpack("<HHIIHH", chunk[:16])
    if tag == _EXTENSIBLE and len(chunk) >= 26:
        tag = struct.unpack("<H", chunk[24:26])[0]
    kinds = {
        (_PCM, 8): "u1", (_PCM, 16): "<i2", (_PCM, 24): "i3", (_PCM, 32): "<i4",
        (_FLOAT, 32): "<f4", (_FLOAT, 64): "<f8",
    }  # fmt: skip
    kind = kinds.get((tag, bits))
    if kind is None or not channels or not rate:
        raise AudioError(
            f"holds samples of a kind that cannot be read as they come (format {tag}, {bits} bits): "
            "pipe it through ffmpeg -i - -f s16le -ar 16000 -ac 1 -",
            path="<stdin>",
        )
    return _SampleFormat(rate, channels, kind)


def _mono(
    pipe: _Pipe, layout: _SampleFormat, channel: int | None, remark: Remark | None
) -> Iterator[Samples]:
    left, rest = layout.length, b""
    for block in pipe.blocks():
        taken = block if left is None else block[:left]
        left = None if left is None else left - len(taken)
        rest += taken
        whole = len(rest) - len(rest) % layout.frame
        if whole:
            frames = _numbers(rest[:whole], layout.kind).reshape(-1, layout.channels)
            mixed = frames.mean(axis=1) if channel is None else frames[:, channel]
            yield np.nan_to_num(mixed.astype(np.float32, copy=False), posinf=1.0, neginf=-1.0)
        rest = rest[whole:]
        if left == 0:
            return
    if rest and remark is not None:
        remark(f"the last {len(rest)} bytes are no whole sample and were left out.")


def _numbers(raw: bytes, kind: str) -> np.ndarray:
    """Samples between -1 and 1."""
    if kind == "i3":
        padded = np.zeros((len(raw) // 3, 4), np.uint8)
        padded[:, 1:] = np.frombuffer(raw, np.uint8).reshape(-1, 3)
        return padded.view("<i4")[:, 0] / np.float32(2**31)
    values = np.frombuffer(raw, np.dtype(kind))
    if kind == "u1":
        return (values.astype(np.float32) - 128) / 128
    if values.dtype.kind == "f":
        return values.astype(np.float32)
    return values / np.float32(2 ** (8 * values.dtype.itemsize - 1))
