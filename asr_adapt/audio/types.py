"""What is known about a piece of audio before its samples are read, and the error of this room.

Knows names and units only. Does not know how any file format is decoded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from asr_adapt.errors import DataError

Samples = NDArray[np.float32]

#: Rates that can hold speech; a header outside them is damaged and would make resampling explode.
LOWEST_SAMPLE_RATE = 2_000
HIGHEST_SAMPLE_RATE = 768_000


class AudioError(DataError):
    """Audio that cannot be opened, decoded or used (exit status 3)."""


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """A file's header: ``sample_rate`` in Hz, ``duration`` in seconds, ``format`` such as ``WAV/PCM_16``.

    ``duration`` is what the header promises, infinite where it does not say; :func:`~asr_adapt.audio.probe`
    then counts. ``exact`` says that it is the length of the sound itself, not of a whole video. ``tracks``
    describes the audio tracks of a file that holds several, and ``track`` is the one that is heard.
    """

    path: str
    sample_rate: int
    channels: int
    duration: float
    format: str
    exact: bool = True
    tracks: tuple[str, ...] = ()
    track: int = 0


#: Takes a sentence on sound that is lost, without the file's name.
Remark = Callable[[str], None]


class DecodingStopped(AudioError):
    """Decoding ended in the middle of a file; ``frames`` were decoded before."""

    def __init__(self, reason: object, *, path: str, frames: int) -> None:
        self.frames = frames
        text = " ".join(str(reason).split()).rstrip(".")
        why = f" ({text})" if text else ""
        super().__init__(f"decoding stopped in the middle of the file{why}; replace the file.", path=path)


class AudioDecoder(Protocol):
    """An open audio file of one backend; closed by whoever opened it."""

    info: AudioInfo

    def blocks(self, start: int, stop: int | None, remark: Remark | None = None) -> Iterator[Samples]:
        """Yield frames ``start`` to ``stop`` (None: the end) as float32 arrays ``(frames, channels)``.

        Damage raises AudioError. With ``remark`` what can be decoded is, and it gets a sentence on each loss;
        only where a decoder cannot go on, it raises :class:`DecodingStopped`.
        """
        ...

    def close(self) -> None:
        """Release the file."""
        ...
