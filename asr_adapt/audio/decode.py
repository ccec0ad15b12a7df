"""Sound to samples: a file's header, its samples as mono float32, or a bounded-memory stream of blocks.

Knows which decoder to ask first (libsndfile, then FFmpeg), channel mixing and resampling. Does not know
manifests, models, or what the samples say.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile

from asr_adapt.audio.containers import open_inside
from asr_adapt.audio.libsndfile import SoundFileDecoder
from asr_adapt.audio.resample import resample, resample_stream
from asr_adapt.audio.types import (
    HIGHEST_SAMPLE_RATE,
    LOWEST_SAMPLE_RATE,
    AudioError,
    AudioInfo,
    Decoder,
    Samples,
)

Source = str | Path | BinaryIO


def probe(source: Source) -> AudioInfo:
    """Read the header only. Raises AudioError when the file is missing, empty, header-only or not audio."""
    with closing(open_decoder(source)) as decoder:
        return decoder.info


def read_audio(
    source: Source,
    *,
    sample_rate: int | None = 16_000,
    offset: float = 0.0,
    duration: float | None = None,
    channel: int | None = None,
) -> Samples:
    """Read a file, or a segment of it, as mono float32 ``(samples,)``.

    ``sample_rate`` in Hz (None keeps the file's own), ``offset`` and ``duration`` in seconds; the segment is
    reached by seeking. Channels are averaged unless ``channel`` (from 0) is given. A segment that runs past
    the end is returned as far as it goes; one that starts behind the end raises AudioError, and so do
    unreadable files and samples that are NaN or infinite.
    """
    with closing(open_decoder(source)) as decoder:
        start, stop = _frame_range(decoder.info, offset, duration)
        blocks = list(_mono_blocks(decoder, start, stop, channel))
        if not blocks:
            raise _no_samples(decoder.info, offset)
        samples = blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
        return resample(samples, decoder.info.sample_rate, sample_rate or decoder.info.sample_rate)


def stream_audio(
    path: Source,
    *,
    sample_rate: int = 16_000,
    block_seconds: float = 30.0,
    channel: int | None = None,
) -> Iterator[Samples]:
    """Yield a file of any length as consecutive mono float32 blocks of ``block_seconds`` (the last shorter).

    Memory holds about one block. Raises AudioError like :func:`read_audio`, possibly after some blocks.
    """
    size = max(1, round(block_seconds * sample_rate))
    with closing(open_decoder(path)) as decoder:
        mono = _mono_blocks(decoder, 0, None, channel)
        pending: list[Samples] = []
        held = produced = 0
        for piece in resample_stream(mono, decoder.info.sample_rate, sample_rate):
            pending.append(piece)
            held += len(piece)
            if held >= size:
                joined = np.concatenate(pending)
                for first in range(0, held - held % size, size):
                    yield joined[first : first + size]
                produced += held - held % size
                pending, held = [joined[held - held % size :]], held % size
        if held:
            yield np.concatenate(pending)
        if not produced + held:
            raise _no_samples(decoder.info, 0.0)


def open_decoder(source: Source) -> Decoder:
    """Open ``source`` with the first decoder that understands it; the caller closes it."""
    name = source_name(source)
    decoder = _open_with_fallback(_openable(source), name)
    info = decoder.info
    try:
        if not LOWEST_SAMPLE_RATE <= info.sample_rate <= HIGHEST_SAMPLE_RATE or info.channels < 1:
            raise AudioError(
                f"the header claims {info.sample_rate} Hz and {info.channels} channels; replace the file.",
                path=name,
            )
        if info.duration <= 0:
            raise AudioError("has a header but no samples; replace the file or drop the row.", path=name)
    except AudioError:
        decoder.close()
        raise
    return decoder


def source_name(source: Source) -> str:
    """How messages call ``source``."""
    if isinstance(source, (str, Path)):
        return str(source)
    return str(getattr(source, "name", "<stream>"))


def _open_with_fallback(handle: Path | BinaryIO, name: str) -> Decoder:
    try:
        return SoundFileDecoder(handle, name)
    except (soundfile.SoundFileError, RuntimeError, TypeError, ValueError) as error:
        first_reason = error
    # Imported here because importing PyAV takes longer than decoding a clip and most corpora never need it.
    from asr_adapt.audio.ffmpeg import DECODE_ERRORS, FFmpegDecoder

    if not isinstance(handle, Path):
        handle.seek(0)
    try:
        return FFmpegDecoder(handle, name)
    except DECODE_ERRORS as error:
        raise AudioError(
            "is not audio that libsndfile or FFmpeg can decode; convert it or drop the row "
            f"(libsndfile: {_short(first_reason)}; FFmpeg: {_short(error)}).",
            path=name,
        ) from error


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
    if not path.is_file():
        raise AudioError("is a folder, not an audio file; correct the path.", path=path)
    if size == 0:
        raise AudioError("is empty (0 bytes); replace the file or drop the row.", path=path)
    return path


def _seekable(stream: BinaryIO) -> BinaryIO:
    """Decoders seek; a pipe is read into memory once."""
    if not stream.seekable():
        stream = io.BytesIO(stream.read())
    stream.seek(0)
    return stream


def _frame_range(info: AudioInfo, offset: float, duration: float | None) -> tuple[int, int | None]:
    if not (0 <= offset < float("inf")) or (duration is not None and not (0 < duration < float("inf"))):
        raise AudioError(
            f"offset {offset} s with duration {duration} s is no segment; give offset ≥ 0 and duration > 0.",
            path=info.path,
        )
    start = round(offset * info.sample_rate)
    stop = None if duration is None else start + max(1, round(duration * info.sample_rate))
    return start, stop


def _mono_blocks(decoder: Decoder, start: int, stop: int | None, channel: int | None) -> Iterator[Samples]:
    info = decoder.info
    if channel is not None and not 0 <= channel < info.channels:
        raise AudioError(
            f"has no channel {channel}; its channels are 0 to {info.channels - 1}.", path=info.path
        )
    for block in decoder.blocks(start, stop):
        if not np.isfinite(block).all():
            raise AudioError(
                "holds NaN or infinite samples; replace the file or drop the row.", path=info.path
            )
        if channel is not None:
            yield block[:, channel]
        else:
            yield block[:, 0] if info.channels == 1 else block.mean(axis=1, dtype=np.float32)


def _no_samples(info: AudioInfo, offset: float) -> AudioError:
    if offset > 0:
        return AudioError(
            f"the segment starts at {offset:g} s but the audio ends at {info.duration:.3f} s; "
            "correct the offset or drop the row.",
            path=info.path,
        )
    return AudioError("has a header but no samples; replace the file or drop the row.", path=info.path)
