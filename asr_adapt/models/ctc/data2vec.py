"""Data2VecAudio, whose positions come from a stack of convolutions.

Knows what differs from wav2vec 2.0. Does not know losses, recipes or files.
"""

from __future__ import annotations

import torch
from torch import Tensor

from asr_adapt.models.ctc.anatomy import Wav2Vec2Anatomy
from asr_adapt.models.ctc.architecture import CtcArchitecture


class Data2VecAnatomy(Wav2Vec2Anatomy):
    """Data2VecAudio: a stack of position convolutions, whose second layer would hear the padding."""

    def positions(self, hidden: Tensor, lengths: Tensor) -> Tensor:
        """Row by row without padding where rows differ in length."""
        if bool((lengths == hidden.shape[1]).all()):
            return self.encoder.pos_conv_embed(hidden)
        out = torch.zeros_like(hidden)
        for row, length in enumerate(lengths.tolist()):
            out[row, :length] = self.encoder.pos_conv_embed(hidden[row : row + 1, :length])[0]
        return out


ARCHITECTURE = CtcArchitecture(Data2VecAnatomy)
