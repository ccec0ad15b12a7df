"""Decoding through libsndfile: WAV, FLAC, Ogg Vorbis, Opus, MP3, AIFF and kin.

Knows soundfile. Does not know resampling, channel mixing, or what to do when libsndfile cannot read a file.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import soundfile

from asr_adapt.audio.types import AudioInfo, DecodingStopped, Remark, Samples

#: Samples (frames × channels) decoded at once; a damaged header never decides how much is allocated.
BLOCK_SAMPLES = 1 << 20
#: An MP3 frame borrows bits from the frames before it, so decoding right after a seek gives silence; decoding
#: starts this far ahead and the surplus is dropped.
MP3_PREROLL_SECONDS = 0.5
#: More frames than any file has: the header, of a FLAC written to a pipe, does not know its length.
_UNKNOWN_FRAMES = 1 << 60


class _SequentialFile(soundfile.SoundFile):
    """A file read onwards without soundfile's seek after every read.

    That seek empties an MP3's bit reservoir: measured, each read then began with 4,500 silent samples.
    """

    def seekable(self) -> bool:
        return False


class SoundFileDecoder:
    """One file opened by libsndfile. Raises ``soundfile.LibsndfileError`` when it is not its business."""

    def __init__(self, source: Path | BinaryIO, name: str) -> None:
        self._file = _SequentialFile(source)
        self.info = AudioInfo(
            path=name,
            sample_rate=int(self._file.samplerate),
            channels=int(self._file.channels),
            duration=self._duration(),
            format=f"{self._file.format}/{self._file.subtype}",
        )

    def _duration(self) -> float:
        frames = int(self._file.frames)
        return math.inf if frames >= _UNKNOWN_FRAMES else max(0, frames) / max(1, int(self._file.samplerate))

    def blocks(self, start: int, stop: int | None, remark: Remark | None = None) -> Iterator[Samples]:
        """See :class:`~asr_adapt.audio.types.AudioDecoder`; damage is never stepped over."""
        done = 0
        try:
            self._go_to(start)
            left = None if stop is None else max(0, stop - start)
            step = max(1, min(BLOCK_SAMPLES // self.info.channels, self._file.frames))
            while left is None or left > 0:
                block = self._file.read(
                    step if left is None else min(step, left), dtype="float32", always_2d=True
                )
                if not len(block):
                    return
                done += len(block)
                yield block
                left = None if left is None else left - len(block)
        except (soundfile.SoundFileError, RuntimeError, ValueError) as error:
            raise DecodingStopped(error, path=self.info.path, frames=done) from error

    def _go_to(self, start: int) -> None:
        if not start:
            return
        preroll = 0
        if self._file.format == "MP3":
            preroll = min(start, round(MP3_PREROLL_SECONDS * self.info.sample_rate))
        self._file.seek(min(start - preroll, self._file.frames))
        if preroll:
            self._file.read(preroll, dtype="float32")

    def close(self) -> None:
        """Close the file."""
        self._file.close()
