"""Decoded sound on its container's clock: what is missing there is silence, so that the rest keeps its time.

Knows time stamps, sample positions and how far a gap is believed. Does not know files or decoders.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from asr_adapt.audio.types import Samples

#: Stamps this far from the count of samples are rounding or a drifting clock; more is a gap.
TOLERANCE_SECONDS = 0.1
#: Stamps that go back this far begin a new clock: joined transport streams.
RESTART_SECONDS = 1.0
#: Frames of silence yielded at once.
_SILENCE_FRAMES = 1 << 18

#: Blocks ``(frames, channels)``, each with the frame that its time stamp says it begins at (None: unknown).
Stamped = Iterable[tuple[int | None, Samples]]


@dataclass(frozen=True, slots=True)
class FrameClock:
    """``rate`` in Hz; a gap that would end behind frame ``end`` is not believed, and given to ``on_jump``."""

    rate: int
    end: float
    on_jump: Callable[[float], object]


def on_clock(blocks: Stamped, clock: FrameClock, start: int, stop: int | None) -> Iterator[Samples]:
    """Frames ``start`` to ``stop`` of the clock (None: to the end of the sound).

    No sample is ever dropped to fit: where there is more sound than time, the clock goes on with the samples.
    """
    position: int | None = None
    shift = 0
    for stamp, block in blocks:
        if position is None:
            position = min(start, stamp or 0) if start else 0
        at = position if stamp is None else stamp + shift
        if at < position - RESTART_SECONDS * clock.rate:
            shift += position - at
        elif at > clock.end and at > position + TOLERANCE_SECONDS * clock.rate:
            clock.on_jump((at - position) / clock.rate)
            shift += position - at
        elif at > position + TOLERANCE_SECONDS * clock.rate:
            yield from _silence(max(position, start), at if stop is None else min(at, stop), block.shape[1])
            position = at
        first = max(0, start - position)
        last = len(block) if stop is None else min(len(block), stop - position)
        position += len(block)
        if last > first:
            yield block[first:last]
        if stop is not None and position >= stop:
            return


def _silence(start: int, stop: int, channels: int) -> Iterator[Samples]:
    for first in range(start, stop, _SILENCE_FRAMES):
        yield np.zeros((min(_SILENCE_FRAMES, stop - first), channels), dtype=np.float32)
