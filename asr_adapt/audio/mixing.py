"""Channels into one signal.

Knows blocks of samples. Does not know files or what the channels hold.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from asr_adapt.audio.types import Samples

#: Two channels whose difference has this many times the energy of their sum are one signal and its inverse:
#: independent signals have equal energies, whatever they are.
OPPOSITE_ENERGY = 10.0

#: What is said of such a file.
OPPOSITE = "its two channels cancel each other out (one is the other inverted); the first is used"


class Once:
    """Calls ``action`` the first time it is called."""

    def __init__(self, action: Callable[[], object]) -> None:
        self._action: Callable[[], object] | None = action

    def __call__(self) -> None:
        """Act, or do nothing."""
        action, self._action = self._action, None
        if action is not None:
            action()


def mixed(block: Samples, on_opposite: Callable[[], object]) -> Samples:
    """The mean of the channels of ``(frames, channels)``, as ``(frames,)``.

    Two channels that cancel each other out, because one is the other inverted, give the first one;
    ``on_opposite`` is called then.
    """
    if block.shape[1] == 1:
        return block[:, 0]
    if block.shape[1] != 2:
        return block.mean(axis=1, dtype=np.float32)
    half = np.float32(0.5) * (block[:, 0] + block[:, 1])
    if _opposite(block, half):
        on_opposite()
        return np.ascontiguousarray(block[:, 0])
    return half


def _opposite(block: Samples, half: Samples) -> bool:
    """From energies alone: |L−R|² is 2(|L|² + |R|²) − |L+R|²."""
    summed = 4 * float(np.vdot(half, half))
    both = float(np.vdot(block, block))
    return both > 0 and 2 * both - summed > OPPOSITE_ENERGY * summed
