"""The pieces of each CTC architecture in the order in which sound passes them.

Knows where transformers keeps the front end, projection, layers, norm and head of an architecture, and how a
layer is called. Does not know about recipes, losses, text or files.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers.masking_utils import create_bidirectional_mask

from asr_adapt.models.contract import Dropout
from asr_adapt.models.masking import SpecAugment, valid_frames
from asr_adapt.models.stack import EMBEDDING, FRONT_END, HEAD, LAYER, NORM, Stage


class Wav2Vec2Anatomy:
    """wav2vec 2.0 and its kin: convolutions on samples, then a transformer encoder."""

    input_name = "input_values"
    #: Whether the head writes word pieces instead of characters.
    writes_pieces = False
    #: Own names of a layer's linear maps whose forward is called, so that an adapter inside is heard.
    adaptable: tuple[str, ...] = (
        "q_proj",
        "k_proj",
        "v_proj",
        "out_proj",
        "intermediate_dense",
        "output_dense",
    )

    #: Prefixes of parameters that the architecture keeps but never uses: they cannot learn.
    unused: tuple[str, ...] = ()

    def __init__(self, model: Any) -> None:
        self.model = model
        self.config = model.config
        self.base = getattr(model, model.base_model_prefix)
        self.encoder = self.base.encoder
        self.layers: nn.ModuleList = self.encoder.layers
        self.final_norm = bool(getattr(self.config, "do_stable_layer_norm", False))

    @property
    def packable(self) -> bool:
        """Whether :mod:`packed <asr_adapt.models.ctc.packed>` computes the same from rows without padding."""
        odd = getattr(self.config, "conv_pos_batch_norm", False) or getattr(self.config, "add_adapter", False)
        return type(self) is Wav2Vec2Anatomy and not odd

    def stages(self) -> list[Stage]:
        """The stack's stages; together they own every parameter."""
        p = self.model.base_model_prefix
        embedding = [f"{p}.feature_projection", f"{p}.masked_spec_embed", f"{p}.encoder.pos_conv_embed"]
        embedding.append(f"{p}.encoder.dropout")
        top = [f"{p}.adapter"]
        (top if self.final_norm else embedding).append(f"{p}.encoder.layer_norm")
        layers = [Stage(f"layer_{i}", LAYER, (f"{p}.encoder.layers.{i}",)) for i in range(len(self.layers))]
        return [
            Stage("feature_encoder", FRONT_END, (f"{p}.feature_extractor",)),
            Stage("embedding", EMBEDDING, tuple(embedding)),
            *layers,
            Stage("final_norm", NORM, tuple(top)),
            Stage("head", HEAD, ("dropout", "lm_head")),
        ]

    def front_end(self, values: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Samples (batch, samples) to features (batch, frames, channels)."""
        frames = self.convolved(lengths)
        padded = bool((lengths < values.shape[1]).any())
        if padded and getattr(self.config, "feat_extract_norm", "layer") == "group":
            return self._unpadded_front_end(values, lengths), frames
        return self.base.feature_extractor(values).transpose(1, 2), frames

    def _unpadded_front_end(self, values: Tensor, lengths: Tensor) -> Tensor:
        # group normalisation averages over time, so padding would change every frame of a shorter row
        rows = [
            self.base.feature_extractor(row[None, :length]).transpose(1, 2)[0]
            for row, length in zip(values, lengths.tolist(), strict=True)
        ]
        return nn.utils.rnn.pad_sequence(rows, batch_first=True)

    def embed(self, features: Tensor, lengths: Tensor, masking: SpecAugment | None) -> Tensor:
        """Features to the input of layer 0, with SpecAugment where the architecture has it."""
        hidden = self.projected(features, lengths, masking)
        hidden = hidden + self.positions(hidden, lengths)
        if not self.final_norm:
            hidden = self.encoder.layer_norm(hidden)
        return self.encoder.dropout(hidden)

    def projected(self, features: Tensor, lengths: Tensor, masking: SpecAugment | None) -> Tensor:
        """Projection to the layers' width, SpecAugment where the architecture has it, zeroed padding."""
        projected = self.base.feature_projection(features)
        hidden = projected[0] if isinstance(projected, tuple) else projected
        if masking is not None:
            hidden = masking(hidden, lengths, getattr(self.base, "masked_spec_embed", None))
        return hidden * valid_frames(lengths, hidden.shape[1])[..., None]

    def positions(self, hidden: Tensor, lengths: Tensor) -> Tensor:
        """The convolutional position embedding of zero-padded ``hidden``."""
        return self.encoder.pos_conv_embed(hidden)

    def context(self, hidden: Tensor, lengths: Tensor) -> dict[str, Any]:
        """Keyword arguments that every layer takes; no mask where nothing is padded (the fast kernels)."""
        if bool((lengths == hidden.shape[1]).all()):
            return {"attention_mask": None}
        valid = valid_frames(lengths, hidden.shape[1])
        mask = create_bidirectional_mask(config=self.config, inputs_embeds=hidden, attention_mask=valid)
        return {"attention_mask": mask}

    def layer(self, index: int, hidden: Tensor, context: dict[str, Any]) -> Tensor:
        """One transformer layer."""
        output = self.layers[index](hidden, **context)
        return output[0] if isinstance(output, tuple) else output

    def finish(self, hidden: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """What lies between the top layer and the head."""
        if self.final_norm:
            hidden = self.encoder.layer_norm(hidden)
        adapter = getattr(self.base, "adapter", None)
        if adapter is None:
            return hidden, lengths
        return adapter(hidden), self._adapted(lengths)

    def head(self, hidden: Tensor) -> Tensor:
        """Logits (batch, frames, vocabulary)."""
        return self.model.lm_head(self.model.dropout(hidden))

    def units(self, samples: int, extractor: Any) -> int:
        """Input units (samples, mel frames) of ``samples`` samples."""
        return samples

    def frames(self, units: int) -> int:
        """Frames that the head sees for ``units`` samples."""
        count = self.convolved(torch.tensor(units))
        if getattr(self.base, "adapter", None) is not None:
            count = self._adapted(count)
        return max(int(count), 0)

    def convolved(self, lengths: Tensor) -> Tensor:
        for kernel, stride in zip(self.config.conv_kernel, self.config.conv_stride, strict=True):
            lengths = torch.div(lengths - kernel, stride, rounding_mode="floor") + 1
        return lengths.to(torch.long)

    def set_dropout(self, dropout: Dropout) -> None:
        """Set the rates of the modules; None keeps a module's own."""
        if dropout.final_dropout is not None:
            self.model.dropout.p = dropout.final_dropout
        in_attention = set()
        for name, module in self.encoder.named_modules():
            own = name.rpartition(".")[2]
            if own in ("attention", "self_attn"):
                in_attention.add(id(module.dropout))  # conformers keep a module there, the others a number
                if dropout.attention_dropout is not None:
                    module.dropout = _rate_like(module.dropout, dropout.attention_dropout)
            elif isinstance(module, nn.Dropout) and id(module) not in in_attention:
                rate = dropout.activation_dropout if own == "intermediate_dropout" else dropout.hidden_dropout
                module.p = module.p if rate is None else rate

    def _adapted(self, lengths: Tensor) -> Tensor:
        for _ in range(self.config.num_adapter_layers):
            lengths = torch.div(lengths - 1, self.config.adapter_stride, rounding_mode="floor") + 1
        return lengths


def relative_positions(encoder: Any, hidden: Tensor) -> Any:
    """What a conformer's layers take for positions of ``hidden`` (batch, frames, width); None without any."""
    embed = encoder.embed_positions
    if embed is None:
        return None
    if hasattr(embed, "cached_sequence_length"):  # of rotary ones; none made in inference mode may be learnt
        embed.cached_sequence_length = None
    return embed(hidden)


def _rate_like(present: Any, rate: float) -> Any:
    """``rate`` in the form that the module keeps it: a number, or a Dropout module."""
    if isinstance(present, nn.Dropout):
        present.p = rate
        return present
    return rate
