"""What happens to sound in which a voice-activity detector hears no speech at all.

Knows lengths and levels. Does not know detectors, recognisers or files. Detectors need a moment to hear that
somebody speaks: silero-vad misses a fifth of the single digits of FSDD (``benchmarks/bench_short_clips.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from asr_adapt.transcription.windows import Piece

#: A recording of at most so many seconds is heard whole where the detector finds nothing in it.
SHORT_SECONDS = 3.0
#: Nothing louder than this share of full scale (-60 dB) is silence, for which no detector is to blame.
SILENCE = 1e-3


def never_unheard(
    blocks: Iterable[np.ndarray],
    rate: int,
    speech: Callable[[Iterable[np.ndarray]], Iterator[Piece]],
    remark: Callable[[str], None],
) -> Iterator[Piece]:
    """The pieces that ``speech`` makes of ``blocks`` (float32 mono, ``rate`` samples a second).

    Where there are none although the sound is no silence, a short one is heard whole, so that the recogniser
    decides whether somebody speaks; of a longer one ``remark`` gets a sentence.
    """
    start = _Start(blocks, round(SHORT_SECONDS * rate))
    empty = True
    for piece in speech(start):
        empty = False
        yield piece
    if not empty or start.level <= SILENCE:
        return
    if start.samples <= start.most:
        yield Piece(0, np.concatenate(start.held))
    else:
        seconds = start.samples / rate
        remark(
            f"no speech was detected in {seconds:.1f} s of sound: --segmenter windows transcribes everything."
        )


class _Start:
    """Blocks as they pass: the highest level of all, and the samples while they are at most ``most``."""

    def __init__(self, blocks: Iterable[np.ndarray], most: int) -> None:
        self.blocks, self.most = blocks, most
        self.held: list[np.ndarray] = []
        self.samples, self.level = 0, 0.0

    def __iter__(self) -> Iterator[np.ndarray]:
        for block in self.blocks:
            self.samples += len(block)
            self.level = max(self.level, float(np.abs(block).max(initial=0.0)))
            self.held = [*self.held, block] if self.samples <= self.most else []
            yield block
