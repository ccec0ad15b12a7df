"""What is known about a piece of audio before its samples are read, and the error of this room.

Knows names and units only. Does not know how any file format is decoded.
"""

from __future__ import annotations

from collections.abc import Iterator
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
    """A file's header: ``sample_rate`` in Hz, ``duration`` in seconds, ``format`` such as ``WAV/PCM_16``."""

    path: str
    sample_rate: int
    channels: int
    duration: float
    format: str


class Decoder(Protocol):
    """An open audio file of one backend; closed by whoever opened it."""

    info: AudioInfo

    def blocks(self, start: int, stop: int | None) -> Iterator[Samples]:
        """Yield frames ``start`` to ``stop`` (None: the end) as float32 arrays ``(frames, channels)``."""
        ...

    def close(self) -> None:
        """Release the file."""
        ...
