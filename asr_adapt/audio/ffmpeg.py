"""Decoding through PyAV (FFmpeg): m4a, mp4, webm, wma, amr and whatever libsndfile cannot open.

Knows PyAV, which track is heard, and how packets lie on the container's clock (``timeline``). Does not know
resampling or channel mixing. Only container formats that carry their own sound are allowed, so that a
playlist named ``.wav`` never makes FFmpeg open other files or the network.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import av
import numpy as np
from av.stream import Disposition

from asr_adapt.audio.timeline import FrameClock, on_clock
from asr_adapt.audio.types import AudioError, AudioInfo, DecodingStopped, Remark, Samples

#: Decoding starts this far before a segment: Opus and AAC settle in it, and containers round time stamps.
PREROLL_SECONDS = Fraction(1, 5)
#: A sound that starts this much later than the file does starts late; less is the delay of an encoder.
LATE_SECONDS = Fraction(1, 10)
#: Longest silence put where packets are missing when the container does not say how long it is.
LONGEST_GAP_SECONDS = 600
_FORMATS = (
    "aac,ac3,adts,aiff,amr,ape,asf,au,avi,caf,dts,eac3,flac,flv,gsm,loas,matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,"
    "mp3,mpc,mpc8,mpeg,mpegts,nut,ogg,oma,rm,tta,voc,w64,wav,wv,xwma"
)
#: Formats without a length of their own: FFmpeg's is a guess from the bit rate.
_GUESSED = frozenset({"aac", "ac3", "adts", "amr", "dts", "eac3", "gsm", "loas", "mp3"})
#: Errors PyAV raises on damaged input, beside its own family.
DECODE_ERRORS: tuple[type[Exception], ...] = (
    av.error.FFmpegError,
    ValueError,
    IndexError,
    OverflowError,
    UnicodeDecodeError,
)


class FFmpegDecoder:
    """One file opened by FFmpeg; one of its audio tracks. Raises one of ``DECODE_ERRORS`` or AudioError.

    ``track`` is a number from 0 or a language (``eng``); None is the track marked as the default, else the
    first.
    """

    def __init__(self, source: Path | BinaryIO, name: str, track: str | None = None) -> None:
        opened: Any = str(source) if isinstance(source, Path) else source
        self._name = name
        self._container = av.open(opened, mode="r", options={"format_whitelist": _FORMATS})
        try:
            streams = self._container.streams.audio
            if not streams:
                raise AudioError("the file holds no audio stream; remove the row.", path=name)
            number = chosen_track([_language(s) for s in streams], _default(streams), track, name)
            self._stream = streams[number]
            self.info = self._read_info(number, [_described(n, s) for n, s in enumerate(streams)])
        except BaseException:
            self._container.close()
            raise

    def blocks(self, start: int, stop: int | None, remark: Remark | None = None) -> Iterator[Samples]:
        """See :class:`~asr_adapt.audio.types.AudioDecoder`; seeks to the packet before ``start``.

        Packets that are damaged or missing become silence, so that what follows stays at its time.
        """
        done = 0
        try:
            for block in on_clock(self._stamped(start, remark), self._clock(remark), start, stop):
                done += len(block)
                yield block
        except DECODE_ERRORS as error:
            raise DecodingStopped(reason(error), path=self._name, frames=done) from error

    def close(self) -> None:
        """Close the file."""
        self._container.close()

    @property
    def _time_base(self) -> Fraction:
        return self._stream.time_base or Fraction(1, self.info.sample_rate)

    def _clock(self, remark: Remark | None) -> FrameClock:
        known = self._container.duration
        end = known / av.time_base + 1 if known else LONGEST_GAP_SECONDS

        def jumped(seconds: float) -> None:
            if remark is not None:
                remark(f"its time stamps jump by {seconds:.0f} s; the audio continues without a pause")

        return FrameClock(self.info.sample_rate, end * self.info.sample_rate, jumped)

    def _stamped(self, start: int, remark: Remark | None) -> Iterator[tuple[int | None, Samples]]:
        """Blocks with the frame of the file's clock at which each begins."""
        zero: int | None = None
        if start:
            zero = self._zero(self._first_time_stamp())
            early = max(Fraction(0), Fraction(start, self.info.sample_rate) - PREROLL_SECONDS)
            self._container.seek(int(early / self._time_base) + zero, stream=self._stream, backward=True)
        for pts, block in self._decoded(remark):
            if zero is None:
                zero = self._zero(pts or 0)
            stamp = None if pts is None else round((pts - zero) * self._time_base * self.info.sample_rate)
            yield stamp, block

    def _zero(self, first: int) -> int:
        """The time stamp at which the file begins, where its first sound is stamped ``first``.

        That is the start of the container when the sound starts late; otherwise the sound's own, because the
        stream's start time may count encoder delay that is skipped.
        """
        begin = self._container.start_time
        if begin is None:
            return first
        start = int(Fraction(begin, av.time_base) / self._time_base)
        late = (first - start) * self._time_base
        known = self._container.duration
        longest = Fraction(known, av.time_base) if known else Fraction(LONGEST_GAP_SECONDS)
        return start if LATE_SECONDS <= late <= longest else first

    def _decoded(self, remark: Remark | None) -> Iterator[tuple[int | None, Samples]]:
        """Blocks ``(frames, channels)`` with the time stamp of their first frame."""
        converter = _Converter(self._stream.layout.name, self.info.sample_rate)
        damaged = False
        for packet in self._container.demux(self._stream):
            try:
                frames = packet.decode()
            except DECODE_ERRORS as error:
                if remark is None:
                    raise
                if not damaged:
                    remark(f"is damaged ({reason(error)}); undecodable parts are replaced by silence")
                damaged = True
                continue
            for frame in frames:
                yield from converter.blocks(frame)
        yield from converter.rest()

    def _read_info(self, number: int, tracks: list[str]) -> AudioInfo:
        stream, codec = self._stream, self._stream.codec_context
        if codec is None:  # a header that names no known coding, such as WAV with 0 bits a sample
            raise AudioError("its header names no known coding; replace the file.", path=self._name)
        seconds, exact = self._duration()
        return AudioInfo(
            path=self._name,
            sample_rate=int(codec.sample_rate or 0),
            channels=int(codec.channels or 0),
            duration=seconds,
            format=f"{self._container.format.name}/{stream.codec_context.name}",
            exact=exact,
            tracks=tuple(tracks) if len(tracks) > 1 else (),
            track=number,
        )

    def _first_time_stamp(self) -> int:
        """Of the first sound."""
        for frame in self._container.decode(self._stream):
            return frame.pts or 0
        return 0

    def _duration(self) -> tuple[float, bool]:
        """Seconds from the start of the file's clock to the end of the sound, and whether that is the sound's
        own length: from the stream, else the container, else (live webm, raw streams) from the packets."""
        stream, container = self._stream, self._container
        base = stream.time_base
        if base and container.format.name not in _GUESSED:
            if stream.duration:
                begin = Fraction(container.start_time or 0, av.time_base)
                late = (stream.start_time or 0) * base - begin
                return float(stream.duration * base + (late if late >= LATE_SECONDS else 0)), True
            if container.duration:
                return container.duration / av.time_base, not container.streams.video
        first, end, total = None, 0.0, 0.0
        for packet in container.demux(stream):
            if packet.time_base is None:
                continue
            length = float((packet.duration or 0) * packet.time_base)
            total += length
            if packet.pts is not None:
                time = float(packet.pts * packet.time_base)
                first = time if first is None else first
                end = max(end, time + length)
        container.seek(0)
        return (total if first is None else end - first), True


class _Converter:
    """Frames to float32 blocks at one rate and layout, whatever each frame has."""

    def __init__(self, layout: str, rate: int) -> None:
        self._layout, self._rate = layout, rate
        self._kind: tuple[Any, ...] | None = None
        self._resampler: Any = None

    def blocks(self, frame: Any) -> Iterator[tuple[int | None, Samples]]:
        kind = (frame.format.name, frame.layout.name, frame.sample_rate)
        if kind != self._kind:
            yield from self.rest()
            self._kind = kind
            self._resampler = av.AudioResampler(format="fltp", layout=self._layout, rate=self._rate)
        pts = frame.pts
        for converted in self._resampler.resample(frame):
            yield pts, _frames_by_channels(converted.to_ndarray())
            pts = None

    def rest(self) -> Iterator[tuple[int | None, Samples]]:
        if self._resampler is not None:
            for converted in self._resampler.resample(None):
                yield None, _frames_by_channels(converted.to_ndarray())


def chosen_track(languages: list[str], default: int, track: str | None, name: str) -> int:
    """The number of the track that ``track`` (a number from 0, or a language) names; AudioError without one.

    A language is also taken for the only track, where that one does not say its language.
    """
    if track is None:
        return default
    if track.isascii() and track.isdigit() and int(track) < len(languages):
        return int(track)
    wanted = track.lower()
    for number, language in enumerate(languages):
        if language and (language.startswith(wanted) or wanted.startswith(language)):
            return number
    if languages == [""] and not track.isdigit():
        return 0
    listed = ", ".join(f"{n} ({x})" if x else str(n) for n, x in enumerate(languages))
    raise AudioError(f"has no audio track {track!r}; its tracks are {listed}.", path=name)


def reason(error: Exception) -> str:
    """Why FFmpeg failed: its log's last line where it left one, else its error, never the file's name."""
    log = getattr(error, "log", None)
    if log and log[2].strip():
        return " ".join(str(log[2]).split())
    return getattr(error, "strerror", None) or str(error)


def _language(stream: Any) -> str:
    language = str(stream.metadata.get("language", "")).lower()
    return "" if language == "und" else language


def _default(streams: Any) -> int:
    marked = (n for n, stream in enumerate(streams) if stream.disposition & Disposition.default)
    return next(marked, 0)


def _described(number: int, stream: Any) -> str:
    parts = [_language(stream), str(stream.metadata.get("title", ""))]
    words = " ".join(part for part in parts if part)
    return f"{number}: {words}" if words else str(number)


def _frames_by_channels(planes: Any) -> Samples:
    return np.ascontiguousarray(np.asarray(planes, dtype=np.float32).T)
