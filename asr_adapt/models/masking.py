"""Which frames are sound, and SpecAugment (Park et al. 2019) on hidden states, written in torch.

Knows padding, and how to hide spans of frames and of features, row by row from given seeds, so that a row's
mask does not depend on its batch. Does not know where in the network it is applied.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


def valid_frames(lengths: Tensor, frames: int) -> Tensor:
    """Boolean (batch, frames): which positions hold sound, not padding."""
    return torch.arange(frames, device=lengths.device)[None, :] < lengths[:, None]


@dataclass(frozen=True)
class SpecAugment:
    """Mask settings of one batch.

    ``time_share`` is the expected fraction of masked frames (spans may overlap),
    ``time_length`` the span in frames; likewise for features. ``seeds`` holds one number a row.
    """

    time_share: float
    time_length: int
    feature_share: float
    feature_length: int
    seeds: Sequence[int]

    def __call__(self, hidden: Tensor, lengths: Tensor, fill: Tensor | None = None) -> Tensor:
        """A masked copy of ``hidden`` (batch, frames, width); masked frames become ``fill`` or zero."""
        batch, frames, width = hidden.shape
        in_time = torch.zeros(batch, frames, dtype=torch.bool)
        in_feature = torch.zeros(batch, width, dtype=torch.bool)
        for row, (seed, length) in enumerate(zip(self.seeds, lengths.tolist(), strict=True)):
            generator = torch.Generator().manual_seed(seed)
            _mark(in_time[row], int(length), self.time_share, self.time_length, generator)
            _mark(in_feature[row], width, self.feature_share, self.feature_length, generator)
        times, features = in_time.to(hidden.device)[..., None], in_feature.to(hidden.device)[:, None, :]
        if fill is None:
            return hidden.masked_fill(times | features, 0.0)
        return torch.where(times, fill.to(hidden.dtype), hidden).masked_fill(features, 0.0)


def _mark(mask: Tensor, length: int, share: float, span: int, generator: torch.Generator) -> None:
    """Mark ``share · length / span`` spans (rounded at random) inside the first ``length`` positions."""
    if share <= 0 or length <= span:
        return
    exact = share * length / span
    count = int(exact + torch.rand((), generator=generator).item())
    for start in torch.randint(0, length - span + 1, (count,), generator=generator).tolist():
        mask[start : start + span] = True
