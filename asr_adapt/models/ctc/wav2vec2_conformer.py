"""Wav2Vec2-Conformer: wav2vec 2.0's front end under conformer layers.

Knows where transformers keeps its modules, and that its convolutions would hear the padding. Does not know
losses, recipes or files. Source: Gulati et al., arXiv 2005.08100; fairseq S2T (arXiv 2010.05171).
"""

from __future__ import annotations

from typing import Any

from torch import Tensor
from transformers.masking_utils import create_bidirectional_mask
from transformers.models.wav2vec2_conformer.modeling_wav2vec2_conformer import (
    Wav2Vec2ConformerConvolutionModule,
)

from asr_adapt.models.ctc.anatomy import Wav2Vec2Anatomy, relative_positions
from asr_adapt.models.ctc.architecture import CtcArchitecture
from asr_adapt.models.masking import SpecAugment, valid_frames


class MaskedConvolution(Wav2Vec2ConformerConvolutionModule):
    """Gives each row what it would have alone: behind its end the convolution over time sees zeros.

    ``valid`` is boolean (batch, frames), or None where nothing is padded.
    """

    valid: Tensor | None = None

    def forward(self, hidden_states: Tensor) -> Tensor:
        """(batch, frames, width) to the same."""
        states = self.layer_norm(hidden_states).transpose(1, 2)
        states = self.glu(self.pointwise_conv1(states))
        if self.valid is not None:
            states = states * self.valid[:, None]
        states = self.activation(self.batch_norm(self.depthwise_conv(states)))
        return self.dropout(self.pointwise_conv2(states)).transpose(1, 2)


class Wav2Vec2ConformerAnatomy(Wav2Vec2Anatomy):
    """A ``Wav2Vec2ConformerForCTC``; relative or rotary positions enter each layer's attention."""

    adaptable = ("linear_q", "linear_k", "linear_v", "linear_out", "intermediate_dense", "output_dense")

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        self.final_norm = True
        # transformers builds the convolution of wav2vec 2.0's positions, loads it and never calls it
        self.unused = (f"{model.base_model_prefix}.encoder.pos_conv_embed",)
        for layer in self.layers:
            # the class alone changes: parameters and their names stay
            layer.conv_module.__class__ = MaskedConvolution

    def embed(self, features: Tensor, lengths: Tensor, masking: SpecAugment | None) -> Tensor:
        """No positions are added here: those of a conformer enter the attention of each layer."""
        return self.encoder.dropout(self.projected(features, lengths, masking))

    def context(self, hidden: Tensor, lengths: Tensor) -> dict[str, Any]:
        """Relative positions, and a mask where anything is padded."""
        positions = {"relative_position_embeddings": relative_positions(self.encoder, hidden)}
        padded = bool((lengths < hidden.shape[1]).any())
        valid = valid_frames(lengths, hidden.shape[1]) if padded else None
        for layer in self.layers:
            layer.conv_module.valid = valid  # type: ignore[union-attr]
        if valid is None:
            return positions | {"attention_mask": None}
        mask = create_bidirectional_mask(config=self.config, inputs_embeds=hidden, attention_mask=valid)
        return positions | {"attention_mask": mask}

    def layer(self, index: int, hidden: Tensor, context: dict[str, Any]) -> Tensor:
        """One layer; batch normalisation keeps its pretrained statistics, so that no row changes another."""
        block: Any = self.layers[index]
        block.conv_module.batch_norm.eval()
        return block(hidden, **context)


ARCHITECTURE = CtcArchitecture(Wav2Vec2ConformerAnatomy)
