"""Wav2Vec2-BERT: conformer layers on log-mel inputs.

Knows where transformers keeps its modules. Does not know losses, recipes or files.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers.masking_utils import create_bidirectional_mask

from asr_adapt.models.ctc.anatomy import Wav2Vec2Anatomy, relative_positions
from asr_adapt.models.ctc.architecture import CtcArchitecture
from asr_adapt.models.masking import SpecAugment, valid_frames
from asr_adapt.models.stack import EMBEDDING, FRONT_END, HEAD, LAYER, NORM, Stage


class Wav2Vec2BertAnatomy(Wav2Vec2Anatomy):
    """Wav2Vec2-BERT: log-mel inputs, conformer layers, no convolutional front end of its own."""

    input_name = "input_features"
    adaptable = ("linear_q", "linear_k", "linear_v", "linear_out", "intermediate_dense", "output_dense")

    def stages(self) -> list[Stage]:
        """As for wav2vec 2.0, with an empty front end."""
        p = self.model.base_model_prefix
        embedding = (
            *(f"{p}.{name}" for name in ("feature_projection", "masked_spec_embed")),
            *(f"{p}.encoder.{name}" for name in ("embed_positions", "dropout")),
        )
        return [
            Stage("feature_encoder", FRONT_END, ()),
            Stage("embedding", EMBEDDING, embedding),
            *(Stage(f"layer_{i}", LAYER, (f"{p}.encoder.layers.{i}",)) for i in range(len(self.layers))),
            Stage("final_norm", NORM, (f"{p}.adapter", f"{p}.intermediate_ffn")),
            Stage("head", HEAD, ("dropout", "lm_head")),
        ]

    def front_end(self, values: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Mel inputs are features already."""
        return values, lengths

    def embed(self, features: Tensor, lengths: Tensor, masking: SpecAugment | None) -> Tensor:
        """No positions are added here: those of a conformer enter the attention of each layer."""
        return self.encoder.dropout(self.projected(features, lengths, masking))

    def context(self, hidden: Tensor, lengths: Tensor) -> dict[str, Any]:
        """Attention mask, convolution mask and relative positions."""
        valid = valid_frames(lengths, hidden.shape[1])
        return {
            "attention_mask": create_bidirectional_mask(
                config=self.config, inputs_embeds=hidden, attention_mask=valid
            ),
            "relative_position_embeddings": relative_positions(self.encoder, hidden),
            "conv_attention_mask": valid,
        }

    def finish(self, hidden: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Intermediate feed-forward and adapter where the checkpoint has them."""
        if self.base.intermediate_ffn is not None:
            hidden = hidden + 0.5 * self.base.intermediate_ffn(hidden)
        if self.base.adapter is None:
            return hidden, lengths
        valid = valid_frames(lengths, hidden.shape[1])
        hidden = self.base.adapter(hidden, attention_mask=valid)
        lengths = self.model._get_feat_extract_output_lengths(lengths, add_adapter=True).to(torch.long)
        return hidden, lengths

    def units(self, samples: int, extractor: Any) -> int:
        """Mel frames of the Kaldi filter bank of SeamlessM4T: 25 ms windows, 10 ms hop, stacked."""
        return max((1 + (samples - 400) // 160) // getattr(extractor, "stride", 1), 0)

    def frames(self, units: int) -> int:
        """Frames that the head sees for ``units`` input frames."""
        return int(self.model._get_feat_extract_output_lengths(torch.tensor(units)))


ARCHITECTURE = CtcArchitecture(Wav2Vec2BertAnatomy)
