"""Whisper's network taken apart: convolutions, encoder layers, decoder, each on clips of any length.

Knows Whisper's convolutions and positions. transformers' own forward hears exactly 30 s; this one hears
``lengths`` frames of each row, so a row never depends on the others. Does not know text, losses or decoding.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from asr_adapt.models.attention.transformer_network import TransformerNetwork
from asr_adapt.models.masking import valid_frames
from asr_adapt.models.stack import EMBEDDING, LayerStack, Stage

#: Mel frames of one encoder frame.
STRIDE = 2


class WhisperNetwork(TransformerNetwork):
    """The modules of a ``WhisperForConditionalGeneration`` in the order in which sound passes them."""

    projection = "proj_out"

    def stack(self) -> LayerStack:
        """Stages from sound to text; encoder positions are fixed sinusoids and never learn."""
        return self.layer_stack(
            ("conv1", "conv2", "embed_positions"),
            positions=(Stage("positions", EMBEDDING, ("model.decoder.embed_positions",)),),
            fixed=("model.encoder.embed_positions",),
        )

    def front_end(self, values: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Mels (batch, frames, bands) to the input of encoder layer 0 (batch, frames / 2, width)."""
        mels = values.transpose(1, 2).to(self.encoder.conv1.weight.dtype)
        padded = bool((lengths < mels.shape[2]).any())
        valid = valid_frames(lengths, mels.shape[2])[:, None]
        if padded:  # what a row alone would see behind its end: the convolution's own zeros
            mels = mels * valid
        mels = F.gelu(self.encoder.conv1(mels))
        if padded:
            mels = mels * valid
        states = F.gelu(self.encoder.conv2(mels)).transpose(1, 2)
        states = states + self.encoder.embed_positions.weight[: states.shape[1]]
        dropped = F.dropout(states, self.encoder.dropout, training=self.encoder.conv1.training)
        return dropped, torch.div(lengths + 1, STRIDE, rounding_mode="floor")

    def embed(self, ids: Tensor, past: int) -> Tensor:
        """Tokens and learnt positions."""
        positions = self.decoder.embed_positions.weight[past : past + ids.shape[1]]
        return self.decoder.embed_tokens(ids) + positions
