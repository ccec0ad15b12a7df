"""Overlapping windows over audio of any length.

Knows how a stream of blocks becomes pieces that a recogniser can hear, in bounded memory. Does not know what
is speech (``speech``) nor how overlapping transcripts are merged (``stitching``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Piece:
    """Samples ``(n,)`` float32 mono that start at sample ``start`` of their file.

    ``seam`` says that the piece overlaps its neighbour, so that word times are needed to join them. Where
    silence was cut out, ``parts`` has the first sample in the file and the length of each part that was left;
    ``speech`` are first and last sample, in the piece, of what a detector called speech (empty: not asked).
    """

    start: int
    samples: np.ndarray
    seam: bool = False
    parts: tuple[tuple[int, int], ...] = ()
    speech: tuple[tuple[int, int], ...] = ()

    @property
    def stop(self) -> int:
        """The sample of the file behind the last."""
        return sum(self.parts[-1]) if self.parts else self.start + len(self.samples)


def windows(blocks: Iterable[np.ndarray], window: int, overlap: int, *, first: int = 0) -> Iterator[Piece]:
    """Pieces of at most ``window`` samples, each beginning ``overlap`` samples before the last one ended.

    Audio no longer than one window is one piece. Memory holds one window and one block. ``first`` is the
    number of the stream's first sample.
    """
    if not 0 <= 2 * overlap <= window or window < 1:
        raise ValueError(f"an overlap of {overlap} samples does not fit a window of {window}")
    hop = window - overlap
    held: list[np.ndarray] = []
    length = 0
    seam = False
    for block in blocks:
        held.append(block)
        length += len(block)
        if length <= window:
            continue
        samples = np.concatenate(held)
        while len(samples) > window:
            seam = overlap > 0
            yield Piece(first, samples[:window], seam)
            samples = samples[hop:]
            first += hop
        held, length = [samples.copy()], len(samples)
    if length:
        yield Piece(first, np.concatenate(held), seam)
