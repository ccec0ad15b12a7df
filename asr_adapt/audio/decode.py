"""Sound to samples: a file's header, its samples as mono float32, or a bounded-memory stream of blocks.

Knows segments, channel mixing, resampling, and what a file lacks of what its header promises. Does not know
manifests, models, or what the samples say.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache, partial

import numpy as np

from asr_adapt.audio.libsndfile import SoundFileDecoder
from asr_adapt.audio.mixing import OPPOSITE, Once, mixed
from asr_adapt.audio.opening import NO_SAMPLES, Input, Source
from asr_adapt.audio.resample import resample, resample_stream
from asr_adapt.audio.types import AudioDecoder, AudioError, AudioInfo, DecodingStopped, Remark, Samples
from asr_adapt.errors import shown

#: A file may end this much before its header's end: encoders pad, containers round.
SHORTFALL_SECONDS = 0.5
#: Rows name their end rounded; only one that lies this far behind the header's end asks for joined files.
_ROUNDING_SECONDS = 0.05

logger = logging.getLogger(__name__)


def probe(source: Source, *, track: str | None = None, count: bool = True) -> AudioInfo:
    """What a file holds; its length is that of all its joined files.

    A length that the header does not say is counted by decoding; with ``count`` off it is infinite.
    Raises AudioError when the file is missing, empty, header-only or not audio.
    """
    given = Input.of(source, track)
    with closing(given.whole()[0]) as decoder:
        info = decoder.info
        if math.isfinite(info.duration) or not count:
            return info
        frames = sum(len(block) for block in _blocks(decoder, given, 0, None, lambda text: None))
        return replace(info, duration=frames / info.sample_rate)


def open_decoder(source: Source, *, track: str | None = None) -> AudioDecoder:
    """Open ``source`` with the first decoder that understands it; the caller closes it.

    Of files joined end to end it may know the first only, see :func:`probe`.
    """
    return Input.of(source, track).first()


def read_audio(
    source: Source,
    *,
    sample_rate: int | None = 16_000,
    offset: float = 0.0,
    duration: float | None = None,
    channel: int | None = None,
    track: str | None = None,
    remark: Remark | None = None,
) -> Samples:
    """Read a file, or a segment of it, as mono float32 ``(samples,)``.

    ``sample_rate`` in Hz (None keeps the file's own), ``offset`` and ``duration`` in seconds; the segment is
    reached by seeking. Channels are averaged unless ``channel`` (from 0) is given. ``track`` chooses among
    the audio tracks of a video: a number from 0 or a language.

    A segment that runs past the end is returned as far as it goes; one that starts behind the end raises
    AudioError, and so do unreadable files, damage, and samples that are NaN or infinite. With ``remark``,
    damage gets a sentence and what can be decoded is returned.
    """
    given = Input.of(source, track)
    with open_segment(given, offset, duration) as segment:
        info = segment.decoder.info
        blocks = list(_mono_blocks(segment, given, channel, remark))
        if not blocks:
            raise _no_samples(info, offset)
        samples = blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
        return resample(samples, info.sample_rate, sample_rate or info.sample_rate)


@dataclass(frozen=True)
class Stretch:
    """An open decoder, the frames wanted (``stop`` None: to the end), and the bytes that the file lacks."""

    decoder: AudioDecoder
    start: int = 0
    stop: int | None = None
    missing: int = 0


@contextmanager
def open_segment(given: Input, offset: float = 0.0, duration: float | None = None) -> Iterator[Stretch]:
    """The decoder that holds a segment (seconds): of the first file alone where that is enough, which costs
    no look at the others; else of all joined files. Raises AudioError as :func:`read_audio`."""
    decoder, missing = (given.first(), 0) if duration is not None else given.whole()
    try:
        start, stop = _frame_range(decoder.info, offset, duration)
        if duration is not None and not _within_first(decoder.info, stop):
            decoder.close()
            decoder, missing = given.whole()
        yield Stretch(decoder, start, stop, missing)
    finally:
        decoder.close()


def stream_audio(
    path: Source,
    *,
    sample_rate: int = 16_000,
    block_seconds: float = 30.0,
    channel: int | None = None,
    track: str | None = None,
    remark: Remark | None = None,
) -> Iterator[Samples]:
    """Yield a file of any length as consecutive mono float32 blocks of ``block_seconds`` (the last shorter).

    Memory holds about one block. ``remark``, and what raises AudioError, are as in :func:`read_audio`; blocks
    may come before an error.
    """
    size = max(1, round(block_seconds * sample_rate))
    given = Input.of(path, track)
    with open_segment(given) as segment:
        decoder = segment.decoder
        mono = _mono_blocks(segment, given, channel, remark)
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


def _frame_range(info: AudioInfo, offset: float, duration: float | None) -> tuple[int, int | None]:
    if not (0 <= offset < float("inf")) or (duration is not None and not (0 < duration < float("inf"))):
        raise AudioError(
            f"offset {offset} s with duration {duration} s is not a segment; give offset ≥ 0 and "
            "duration > 0.",
            path=info.path,
        )
    start = round(offset * info.sample_rate)
    stop = None if duration is None else start + max(1, round(duration * info.sample_rate))
    return start, stop


def _within_first(info: AudioInfo, stop: int | None) -> bool:
    """Whether a segment ends where the first header's sound does or before, so that nothing else matters."""
    return stop is not None and stop <= (info.duration + _ROUNDING_SECONDS) * info.sample_rate


def require_channel(info: AudioInfo, channel: int | None) -> None:
    """Raise AudioError where the file has no such channel."""
    if channel is not None and not 0 <= channel < info.channels:
        raise AudioError(
            f"has no channel {channel}; its channels are 0 to {info.channels - 1}.", path=info.path
        )


def _mono_blocks(
    segment: Stretch, given: Input, channel: int | None, remark: Remark | None
) -> Iterator[Samples]:
    """One channel, or the mix of all; what is odd about the file goes to ``remark``, else to the log."""
    info = segment.decoder.info
    note = remark or partial(_log_once, info.path)
    require_channel(info, channel)
    if info.tracks and given.track is None:
        note(f"holds {len(info.tracks)} audio tracks ({', '.join(info.tracks)}); track {info.track} is used")
    opposite = Once(partial(note, OPPOSITE))
    frames = 0
    for block in _blocks(segment.decoder, given, segment.start, segment.stop, remark):
        if not np.isfinite(block).all():
            raise AudioError(
                "holds NaN or infinite samples; replace the file or drop the row.", path=info.path
            )
        frames += len(block)
        yield mixed(block, opposite) if channel is None else block[:, channel]
    if segment.stop is None:
        _note_shortfall(info, segment.start + frames, segment.missing, note)


def _blocks(
    decoder: AudioDecoder, given: Input, start: int, stop: int | None, remark: Remark | None
) -> Iterator[Samples]:
    """The decoder's blocks; where it gives up and ``remark`` listens, FFmpeg's from there on."""
    try:
        yield from decoder.blocks(start, stop, remark)
        return
    except DecodingStopped as error:
        if remark is None:
            raise
        place, message = start + error.frames, error.message
    other = given.by_ffmpeg() if isinstance(decoder, SoundFileDecoder) else None
    if other is not None:
        with closing(other):
            if _shape(other.info) == _shape(decoder.info):
                told: list[str] = []
                stopped = None
                try:
                    yield from other.blocks(place, stop, told.append)
                except DecodingStopped as error:
                    stopped = error
                for sentence in told or ["is damaged; undecodable parts are replaced by silence"]:
                    remark(sentence)
                if stopped is None:
                    return
                place += stopped.frames
    remark(f"{message.split('; ')[0]}, {place / decoder.info.sample_rate:.1f} s from its start")


def _shape(info: AudioInfo) -> tuple[int, int]:
    return info.sample_rate, info.channels


def _note_shortfall(info: AudioInfo, frames: int, missing: int, note: Remark) -> None:
    """Say where the file is shorter than its header or its structure promise."""
    there = frames / info.sample_rate
    if info.exact and math.isfinite(info.duration) and info.duration - there > SHORTFALL_SECONDS:
        note(f"ends early: its header promises {info.duration:.1f} s, {there:.1f} s are there")
    elif missing:
        note(f"ends early, at {there:.1f} s: {missing} bytes that its header promises are missing")


@lru_cache(maxsize=4096)
def _log_once(path: str, message: str) -> None:
    """Training reads a file in every epoch; one warning is enough."""
    logger.warning("%s: %s", shown(path), message)


def _no_samples(info: AudioInfo, offset: float) -> AudioError:
    if offset > 0:
        return AudioError(
            f"the segment starts at {offset:g} s but the audio ends at {info.duration:.3f} s; "
            "correct the offset or drop the row.",
            path=info.path,
        )
    return AudioError(NO_SAMPLES, path=info.path)
