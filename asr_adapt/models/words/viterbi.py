"""The most likely frames of each label of a known transcript, from CTC log-probabilities.

Knows the Viterbi path through the blank-interleaved labels (Graves et al. 2006), in numpy. Does not know
words, recognisers or how the transcript was found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asr_adapt.errors import ModelError

LogProbabilities = NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class Span:
    """Label ``position`` of a transcript between frames ``start`` and ``end`` (behind the last).

    ``probability`` is its mean over these frames.
    """

    position: int
    start: int
    end: int
    probability: float


def forced_alignment(scores: LogProbabilities, labels: Sequence[int], blank: int) -> list[Span]:
    """One span a label, in order, from log-probabilities ``scores`` (frames, vocabulary).

    Raises ModelError when there are fewer frames than the labels need.
    """
    if not labels:
        return []
    states = np.full(2 * len(labels) + 1, blank)
    states[1::2] = labels
    skip = np.zeros(len(states), dtype=bool)  # a blank may be left out between different labels
    skip[3::2] = states[3::2] != states[1:-2:2]
    path = _best_path(scores[:, states], skip)
    spans = []
    for position, label in enumerate(labels):
        held = np.flatnonzero(path == 2 * position + 1)
        probability = float(np.exp(scores[held, label]).mean())
        spans.append(Span(position, int(held[0]), int(held[-1]) + 1, probability))
    return spans


def _best_path(scores: LogProbabilities, skip: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The best state of each frame: stay, move on by one, or by two where ``skip`` allows."""
    frames, count = scores.shape
    best = np.full(count, -np.inf)
    if frames:
        best[:2] = scores[0, :2]
    back = np.zeros((frames, count), dtype=np.int8)
    for frame in range(1, frames):
        one = np.r_[-np.inf, best[:-1]]
        two = np.where(skip, np.r_[-np.inf, -np.inf, best[:-2]], -np.inf)
        choices = np.stack((best, one, two))
        back[frame] = choices.argmax(0)
        best = choices.max(0) + scores[frame]
    state = count - 1 if best[-1] >= best[-2] else count - 2
    if not np.isfinite(best[state]):
        raise ModelError(f"{count // 2} labels do not fit: {frames} frames are too few.")
    path = np.empty(frames, dtype=np.int64)
    for frame in range(frames - 1, -1, -1):
        path[frame] = state
        state -= int(back[frame, state])
    return path
