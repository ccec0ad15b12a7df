"""From what a caller names to an open decoder: the file itself, and all files joined in it.

Knows which decoder to ask first (libsndfile, then FFmpeg), shards, pipes and headers that cannot be true.
Does not read samples.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import soundfile

from asr_adapt.audio.containers import open_inside
from asr_adapt.audio.joined import JoinedDecoder, byte_ranges
from asr_adapt.audio.libsndfile import SoundFileDecoder
from asr_adapt.audio.structure import Structure, examine
from asr_adapt.audio.types import (
    HIGHEST_SAMPLE_RATE,
    LOWEST_SAMPLE_RATE,
    AudioDecoder,
    AudioError,
)

if TYPE_CHECKING:
    from asr_adapt.audio.ffmpeg import FFmpegDecoder

Source = str | Path | BinaryIO
NO_SAMPLES = "has a header but no samples; replace the file or drop the row."


@dataclass(frozen=True)
class Input:
    """A source that can be opened again and again; ``track`` chooses among audio tracks, see ``ffmpeg``."""

    handle: Path | BinaryIO
    name: str
    track: str | None = None

    @classmethod
    def of(cls, source: Source, track: str | None = None) -> Input:
        """Of a path, an address, or an open file; raises AudioError where there is nothing to open."""
        return cls(_openable(source), source_name(source), track)

    def first(self) -> AudioDecoder:
        """The first decoder that understands it. Of files joined end to end it may know the first only."""
        return _checked(_open_with_fallback(self._rewound(), self.name, self.track))

    def whole(self) -> tuple[AudioDecoder, int]:
        """A decoder of everything in it, and how many bytes it lacks by its own structure."""
        structure = self.structure()
        if len(structure.starts) == 1:
            return self.first(), structure.missing

        def decoder_of(part: BinaryIO) -> AudioDecoder:
            return _checked(_open_with_fallback(part, self.name, self.track))

        ranges = byte_ranges(self.handle, structure.starts)
        return JoinedDecoder(ranges, decoder_of, self.name), structure.missing

    def by_ffmpeg(self) -> FFmpegDecoder | None:
        """FFmpeg's decoder; None where it cannot open the file."""
        from asr_adapt.audio.ffmpeg import DECODE_ERRORS, FFmpegDecoder

        try:
            return FFmpegDecoder(self._rewound(), self.name, self.track)
        except AudioError:
            return None
        except DECODE_ERRORS:
            return None

    def _rewound(self) -> Path | BinaryIO:
        if not isinstance(self.handle, Path):
            self.handle.seek(0)
        return self.handle

    def structure(self) -> Structure:
        """What the file's own structure says of its bytes."""
        if isinstance(self.handle, Path):
            with self.handle.open("rb") as opened:
                return examine(opened)
        return examine(self.handle)


def _checked(decoder: AudioDecoder) -> AudioDecoder:
    """The decoder itself; closed, with AudioError, where its header cannot be that of a recording."""
    info = decoder.info
    try:
        if not LOWEST_SAMPLE_RATE <= info.sample_rate <= HIGHEST_SAMPLE_RATE or info.channels < 1:
            raise AudioError(
                f"the header claims {info.sample_rate} Hz and {info.channels} channels; replace the file.",
                path=info.path,
            )
        if info.duration <= 0:
            raise AudioError(NO_SAMPLES, path=info.path)
    except AudioError:
        decoder.close()
        raise
    return decoder


def source_name(source: Source) -> str:
    """How messages call ``source``."""
    if isinstance(source, (str, Path)):
        return str(source)
    return str(getattr(source, "name", "<stream>"))


def _open_with_fallback(handle: Path | BinaryIO, name: str, track: str | None) -> AudioDecoder:
    """libsndfile's decoder; FFmpeg's where that one fails, or sees no samples behind a length of 0."""
    first_reason: Exception | None = None
    try:
        decoder = SoundFileDecoder(handle, name)
        if decoder.info.duration > 0:
            if track is not None:
                _require_only_track(track, decoder)
            return decoder
        decoder.close()
    except (soundfile.SoundFileError, RuntimeError, TypeError, ValueError) as error:
        first_reason = error
    # Imported here because importing PyAV takes longer than decoding a clip and most corpora never need it.
    from asr_adapt.audio.ffmpeg import DECODE_ERRORS, FFmpegDecoder, reason

    if not isinstance(handle, Path):
        handle.seek(0)
    try:
        return FFmpegDecoder(handle, name, track)
    except DECODE_ERRORS as error:
        if first_reason is None:
            raise AudioError(NO_SAMPLES, path=name) from error
        raise AudioError(
            "is not audio that libsndfile or FFmpeg can decode; convert it or drop the row "
            f"(libsndfile: {_short(first_reason)}; FFmpeg: {reason(error)[:80].rstrip('.')}).",
            path=name,
        ) from error


def _require_only_track(track: str, decoder: AudioDecoder) -> None:
    """A file of libsndfile has one track, in no stated language."""
    if track.isdigit() and int(track):
        decoder.close()
        raise AudioError(f"has no audio track {track!r}; its only track is 0.", path=decoder.info.path)


def _short(error: Exception) -> str:
    text = str(error).removeprefix("Error opening ").strip().rstrip(".")
    return text.rsplit(": ", 1)[-1][:80] or type(error).__name__


def _openable(source: Source) -> Path | BinaryIO:
    if not isinstance(source, (str, Path)):
        return _seekable(source)
    inside = open_inside(source)
    return _checked_path(Path(source)) if inside is None else _seekable(inside)


def _checked_path(path: Path) -> Path:
    try:
        size = path.stat().st_size
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise AudioError(f"cannot be opened ({reason}); correct the path.", path=path) from error
    if path.is_dir():
        raise AudioError("is a folder, not an audio file; correct the path.", path=path)
    if not path.is_file():
        raise AudioError("is a pipe or a device, not an audio file; pipe it to standard input.", path=path)
    if size == 0:
        raise AudioError("is empty (0 bytes); replace the file or drop the row.", path=path)
    return path


def _seekable(stream: BinaryIO) -> BinaryIO:
    """Decoders seek; a pipe is read into memory once."""
    if not stream.seekable():
        stream = io.BytesIO(stream.read())
    stream.seek(0)
    return stream
