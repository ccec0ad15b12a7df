"""Parakeet-CTC: a Fast Conformer on log-mel inputs whose head writes word pieces.

Knows where transformers keeps Parakeet's modules. Does not know losses, recipes
or files. Source: Rekesh et al., arXiv 2305.05084.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from asr_adapt.models.contract import Dropout
from asr_adapt.models.ctc.anatomy import Wav2Vec2Anatomy
from asr_adapt.models.ctc.architecture import CtcArchitecture
from asr_adapt.models.masking import SpecAugment, valid_frames
from asr_adapt.models.stack import EMBEDDING, FRONT_END, HEAD, LAYER, NORM, Stage


class ParakeetAnatomy(Wav2Vec2Anatomy):
    """A ``ParakeetForCTC``: eightfold subsampling by convolutions on mels, then conformer layers."""

    input_name = "input_features"
    adaptable = ("q_proj", "k_proj", "v_proj", "o_proj", "linear1", "linear2")
    writes_pieces = True

    def __init__(self, model: Any) -> None:
        self.model, self.encoder = model, model.encoder
        self.base, self.config = model.encoder, model.encoder.config
        self.layers: nn.ModuleList = self.encoder.layers
        self.final_norm = False

    def stages(self) -> list[Stage]:
        """As for wav2vec 2.0; nothing stands between subsampling and layers, nor between layers and head."""
        return [
            Stage("feature_encoder", FRONT_END, ("encoder.subsampling",)),
            Stage("embedding", EMBEDDING, ()),
            *(Stage(f"layer_{i}", LAYER, (f"encoder.layers.{i}",)) for i in range(len(self.layers))),
            Stage("final_norm", NORM, ()),
            Stage("head", HEAD, ("ctc_head",)),
        ]

    def front_end(self, values: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Mels (batch, frames, bands) to an eighth as many states."""
        states = self.encoder.subsampling(values, valid_frames(lengths, values.shape[1]))
        return states, self.encoder._get_subsampling_output_length(lengths).to(torch.long)

    def embed(self, features: Tensor, lengths: Tensor, masking: SpecAugment | None) -> Tensor:
        """Scaling, SpecAugment, dropout."""
        hidden = features * self.encoder.input_scale
        if masking is not None:
            hidden = masking(hidden, lengths)
        return nn.functional.dropout(hidden, self.encoder.dropout, self.encoder.training)

    def context(self, hidden: Tensor, lengths: Tensor) -> dict[str, Any]:
        """Relative positions, and a mask (batch, 1, frames, frames) where anything is padded."""
        positions = self.encoder.encode_positions(hidden)
        rate = self.encoder.dropout_positions
        found = {"position_embeddings": nn.functional.dropout(positions, rate, self.encoder.training)}
        if bool((lengths == hidden.shape[1]).all()):
            return found | {"attention_mask": None}
        valid = valid_frames(lengths, hidden.shape[1])
        return found | {"attention_mask": (valid[:, :, None] & valid[:, None, :])[:, None]}

    def layer(self, index: int, hidden: Tensor, context: dict[str, Any]) -> Tensor:
        """One layer; batch normalisation keeps its pretrained statistics, so that no row changes another."""
        block: Any = self.layers[index]
        block.conv.norm.eval()
        return block(hidden, **context)

    def finish(self, hidden: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Nothing lies between the top layer and the head."""
        return hidden, lengths

    def head(self, hidden: Tensor) -> Tensor:
        """Logits (batch, frames, pieces)."""
        return self.model.ctc_head(hidden)

    def units(self, samples: int, extractor: Any) -> int:
        """Mel frames of ``samples`` samples; of a single one the extractor cannot take a variance."""
        count = samples // int(extractor.hop_length)
        return count if count > 1 else 0

    def frames(self, units: int) -> int:
        """Frames that the head sees for ``units`` mel frames."""
        return int(self.encoder._get_subsampling_output_length(torch.tensor(units))) if units else 0

    def set_dropout(self, dropout: Dropout) -> None:
        """The rates are plain numbers here; there is no dropout before the head."""
        if dropout.hidden_dropout is not None:
            self.encoder.dropout = dropout.hidden_dropout
        layers: Any = self.layers
        for layer in layers:
            if dropout.attention_dropout is not None:
                layer.self_attn.attention_dropout = dropout.attention_dropout
            if dropout.activation_dropout is not None:
                layer.feed_forward1.activation_dropout = dropout.activation_dropout
                layer.feed_forward2.activation_dropout = dropout.activation_dropout


ARCHITECTURE = CtcArchitecture(ParakeetAnatomy)
