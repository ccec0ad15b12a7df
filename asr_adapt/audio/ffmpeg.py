"""Decoding through PyAV (FFmpeg): m4a, mp4, webm, wma, amr and whatever libsndfile cannot open.

Knows PyAV. Does not know resampling or channel mixing. Only container formats that carry their own sound
are allowed, so that a playlist named ``.wav`` never makes FFmpeg open other files or the network.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import av
import numpy as np

from asr_adapt.audio.types import AudioError, AudioInfo, Samples

#: Decoding starts this far before a segment: Opus and AAC settle in it, and containers round time stamps.
PREROLL_SECONDS = Fraction(1, 5)
_FORMATS = (
    "aac,ac3,adts,aiff,amr,ape,asf,au,avi,caf,dts,eac3,flac,flv,gsm,loas,matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,"
    "mp3,mpc,mpc8,mpeg,mpegts,nut,ogg,oma,rm,tta,voc,w64,wav,wv,xwma"
)
#: Errors PyAV raises on damaged input, beside its own family.
DECODE_ERRORS: tuple[type[Exception], ...] = (
    av.error.FFmpegError,
    ValueError,
    IndexError,
    OverflowError,
    UnicodeDecodeError,
)


class FFmpegDecoder:
    """One file opened by FFmpeg; its first audio stream. Raises one of ``DECODE_ERRORS`` or AudioError."""

    def __init__(self, source: Path | BinaryIO, name: str) -> None:
        opened: Any = str(source) if isinstance(source, Path) else source
        self._name = name
        self._origin = 0
        self._container = av.open(opened, mode="r", options={"format_whitelist": _FORMATS})
        try:
            if not self._container.streams.audio:
                raise AudioError("the file holds no audio stream; remove the row.", path=name)
            self._stream = self._container.streams.audio[0]
            self.info = self._read_info(name)
        except BaseException:
            self._container.close()
            raise

    def blocks(self, start: int, stop: int | None) -> Iterator[Samples]:
        """See :class:`~asr_adapt.audio.types.Decoder`; seeks to the packet before ``start``."""
        rate = self.info.sample_rate
        try:
            if start:
                self._origin = self._first_time_stamp()
                early = max(Fraction(0), Fraction(start, rate) - PREROLL_SECONDS)
                target = int(early / self._time_base) + self._origin
                self._container.seek(target, stream=self._stream, backward=True)
            yield from self._trimmed(start, stop)
        except DECODE_ERRORS as error:
            raise AudioError(
                f"decoding stopped in the middle of the file ({error}); replace the file.", path=self._name
            ) from error

    def close(self) -> None:
        """Close the file."""
        self._container.close()

    @property
    def _time_base(self) -> Fraction:
        return self._stream.time_base or Fraction(1, self.info.sample_rate)

    def _trimmed(self, start: int, stop: int | None) -> Iterator[Samples]:
        position: int | None = None
        for pts, block in self._decoded():
            if position is None:
                position = self._frame_index(pts) if start else 0
            first = max(0, start - position)
            last = len(block) if stop is None else min(len(block), stop - position)
            position += len(block)
            if last > first:
                yield block[first:last]
            if stop is not None and position >= stop:
                return

    def _decoded(self) -> Iterator[tuple[int | None, Samples]]:
        """Blocks ``(frames, channels)`` with the time stamp of their first frame."""
        resampler = av.AudioResampler(
            format="fltp", layout=self._stream.layout.name, rate=self.info.sample_rate
        )
        for frame in self._container.decode(self._stream):
            pts = frame.pts
            for converted in resampler.resample(frame):
                yield pts, _frames_by_channels(converted.to_ndarray())
        for converted in resampler.resample(None):
            yield None, _frames_by_channels(converted.to_ndarray())

    def _frame_index(self, pts: int | None) -> int:
        if pts is None:
            return 0
        return max(0, round((pts - self._origin) * self._time_base * self.info.sample_rate))

    def _read_info(self, name: str) -> AudioInfo:
        stream, codec = self._stream, self._stream.codec_context
        if codec is None:  # a header that names no known coding, such as WAV with 0 bits a sample
            raise AudioError("its header names no known coding; replace the file.", path=name)
        return AudioInfo(
            path=name,
            sample_rate=int(codec.sample_rate or 0),
            channels=int(codec.channels or 0),
            duration=self._duration(),
            format=f"{self._container.format.name}/{stream.codec_context.name}",
        )

    def _first_time_stamp(self) -> int:
        """Of the first sound; not the stream's start time, which may count encoder delay that is skipped."""
        for frame in self._container.decode(self._stream):
            return frame.pts or 0
        return 0

    def _duration(self) -> float:
        """Seconds: from the stream, else the container, else (live webm) from the last packet."""
        stream = self._stream
        if stream.duration and stream.time_base:
            return float(stream.duration * stream.time_base)
        if self._container.duration:
            return float(self._container.duration / av.time_base)
        end = 0.0
        for packet in self._container.demux(stream):
            if packet.pts is not None and packet.time_base is not None:
                end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
        self._container.seek(0)
        return end


def _frames_by_channels(planes: Any) -> Samples:
    return np.ascontiguousarray(np.asarray(planes, dtype=np.float32).T)
