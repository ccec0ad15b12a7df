"""Rows of kept states put together into a batch.

Knows shapes. Does not know where rows were kept nor what their numbers mean.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from asr_adapt.models.contract import Hidden

#: Frames of a batch are rounded up to a multiple of this, so that few shapes occur. Whisper's whole window
#: (1,500 frames) is one, so that it needs no padding and no mask.
FRAME_STEP = 20


def same_shape(hidden: Hidden) -> Hidden:
    """``hidden`` cut or zero-padded to as many frames as :func:`stack_states` would give."""
    frames = _frames(hidden.lengths.tolist())
    states = hidden.states[:, :frames]
    if states.shape[1] < frames:
        states = F.pad(states, (0, 0, 0, frames - states.shape[1]))
    return Hidden(states, hidden.lengths)


def stack_states(rows: Sequence[Tensor], device: torch.device) -> Hidden:
    """Rows of states (frames, width) as one zero-padded batch on ``device``, in float32."""
    lengths = [len(row) for row in rows]
    batch = torch.zeros(len(rows), _frames(lengths), *rows[0].shape[1:], dtype=rows[0].dtype)
    for number, row in enumerate(rows):
        batch[number, : len(row)] = row
    return Hidden(batch.float(), torch.tensor(lengths)).to(device)


def _frames(lengths: Sequence[int]) -> int:
    return -(-max(lengths) // FRAME_STEP) * FRAME_STEP
