"""When each word of a known transcript was said, from CTC log-probabilities.

Knows the Viterbi path through the blank-interleaved transcript (Graves et al. 2006). Does not know how the
transcript was found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from asr_adapt.errors import DataError


@dataclass(frozen=True, slots=True)
class Spoken:
    """A token's frames ``start`` to ``stop`` (behind the last) and its mean probability there."""

    start: int
    stop: int
    probability: float


def align(frames: np.ndarray, tokens: Sequence[int], blank: int) -> list[Spoken]:
    """The frames of each token, from log-probabilities ``(frames, vocabulary)``.

    Raises DataError when there are fewer frames than the tokens need.
    """
    if not tokens:
        return []
    states = np.full(2 * len(tokens) + 1, blank)
    states[1::2] = tokens
    skip = np.zeros(len(states), dtype=bool)  # a blank may be left out between different tokens
    skip[3::2] = states[3::2] != states[1:-2:2]
    path = _viterbi(frames[:, states], skip)
    spoken = []
    for state in range(1, len(states), 2):
        held = np.flatnonzero(path == state)
        probability = float(np.exp(frames[held, states[state]]).mean())
        spoken.append(Spoken(int(held[0]), int(held[-1]) + 1, probability))
    return spoken


def _viterbi(scores: np.ndarray, skip: np.ndarray) -> np.ndarray:
    """The best state of each frame: stay, move on by one, or by two where ``skip`` allows."""
    length, count = scores.shape
    best = np.full(count, -np.inf)
    best[:2] = scores[0, :2]
    back = np.zeros((length, count), dtype=np.int8)
    for t in range(1, length):
        one = np.r_[-np.inf, best[:-1]]
        two = np.where(skip, np.r_[-np.inf, -np.inf, best[:-2]], -np.inf)
        choices = np.stack((best, one, two))
        back[t] = choices.argmax(0)
        best = choices.max(0) + scores[t]
    state = count - 1 if best[-1] >= best[-2] else count - 2
    if best[state] == -np.inf:
        raise DataError(f"{length} frames are too few for a transcript of {count // 2} characters.")
    path = np.empty(length, dtype=np.int64)
    for t in range(length - 1, -1, -1):
        path[t] = state
        state -= int(back[t, state])
    return path
