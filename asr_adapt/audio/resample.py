"""Changing the sample rate, whole or block by block, with soxr.

Knows rates and mono float32 samples. Does not know files.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import soxr

from asr_adapt.audio.types import Samples

#: soxr's high quality: flat to 0.913 of the lower Nyquist frequency.
QUALITY = "HQ"


def resample(samples: Samples, from_rate: int, to_rate: int) -> Samples:
    """Mono ``(samples,)`` at ``from_rate`` Hz to ``to_rate`` Hz; the same array when the rates agree."""
    if from_rate == to_rate or not len(samples):
        return samples
    return np.asarray(soxr.resample(samples, from_rate, to_rate, quality=QUALITY), dtype=np.float32)


def resample_stream(blocks: Iterable[Samples], from_rate: int, to_rate: int) -> Iterator[Samples]:
    """Resample consecutive mono blocks as one signal; the filter's state crosses block boundaries."""
    if from_rate == to_rate:
        yield from blocks
        return
    stream = soxr.ResampleStream(from_rate, to_rate, 1, dtype="float32", quality=QUALITY)
    for block in blocks:
        yield np.asarray(stream.resample_chunk(block), dtype=np.float32)
    yield np.asarray(stream.resample_chunk(np.zeros(0, dtype=np.float32), last=True), dtype=np.float32)
