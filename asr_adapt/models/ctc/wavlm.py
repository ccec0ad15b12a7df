"""WavLM, with its attention on torch's fused kernel, which transformers' WavLM does not use.

Knows the gated relative position bias (Chen et al. 2021, https://arxiv.org/abs/2110.13900, section 3.1) and
how transformers keeps its weights. Does not know the rest of a layer, other architectures or training.
"""

from __future__ import annotations

from typing import Any, Unpack

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.models.wavlm.modeling_wavlm import WavLMAttention
from transformers.utils import TransformersKwargs

from asr_adapt.models.ctc.anatomy import Wav2Vec2Anatomy
from asr_adapt.models.ctc.architecture import CtcArchitecture
from asr_adapt.models.masking import valid_frames


class FusedAttention(WavLMAttention):
    """Gives what :class:`WavLMAttention` gives, without the attention weights.

    The four projections are called as modules, so that an adapter in their place is heard. The weights'
    names and the class of the saved model stay those of transformers.
    """

    @staticmethod
    def install(layers: nn.ModuleList) -> None:
        """Make the attention of every layer compute this way, on the weights it has."""
        for layer in layers:
            # the class alone changes: parameters, their names and everything that refers to them stay
            layer.attention.__class__ = FusedAttention

    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        position_bias: Tensor | None = None,
        index: int = 0,
        **kwargs: Unpack[TransformersKwargs],
    ) -> tuple[Tensor, None, Any]:  # theirs calls the bias a tuple, which it is not
        """Attend over ``hidden_states`` (batch, frames, width); output likewise, no weights, the bias.

        ``attention_mask`` (batch, frames) is true or 1 where there is sound. ``position_bias`` (heads,
        frames, frames) is layer 0's, which makes it where None is given and returns it for those above.
        """
        frames = hidden_states.shape[1]
        if position_bias is None:
            position_bias = self.compute_bias(frames, frames)
        query = self._heads(self.q_proj(hidden_states))
        attended = F.scaled_dot_product_attention(
            query,
            self._heads(self.k_proj(hidden_states)),
            self._heads(self.v_proj(hidden_states)),
            attn_mask=self._gated(hidden_states, position_bias, attention_mask).to(query.dtype),
            dropout_p=self.dropout if self.training else 0.0,
        )
        return self.out_proj(attended.transpose(1, 2).flatten(2)), None, position_bias

    def _heads(self, states: Tensor) -> Tensor:
        """(batch, frames, width) to (batch, heads, frames, width of a head)."""
        return states.unflatten(-1, (self.num_heads, self.head_dim)).transpose(1, 2)

    def _gated(self, hidden: Tensor, bias: Tensor, mask: Tensor | None) -> Tensor:
        """What is added to the scores: (batch, heads, frames, frames), minus infinity at padded keys."""
        gates: Tensor = self.gru_rel_pos_linear(self._heads(hidden))
        gate_a, gate_b = gates.unflatten(-1, (2, 4)).sum(-1).sigmoid().chunk(2, dim=-1)
        gate = gate_a * (gate_b * self.gru_rel_pos_const - 1.0) + 2.0
        if mask is None:
            return gate * bias
        padding = torch.zeros(mask.shape, dtype=bias.dtype, device=bias.device)
        padding = padding.masked_fill(mask.ne(1), float("-inf"))
        return torch.addcmul(padding[:, None, None, :], gate, bias)


class WavLmAnatomy(Wav2Vec2Anatomy):
    """WavLM: layer 0 owns the relative position table from which every layer's bias is made."""

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        FusedAttention.install(self.layers)

    def context(self, hidden: Tensor, lengths: Tensor) -> dict[str, Any]:
        """Two-dimensional mask and the shared position bias (heads, frames, frames)."""
        frames = hidden.shape[1]
        first: Any = self.layers[0]
        padded = bool((lengths < frames).any())
        return {
            "attention_mask": valid_frames(lengths, frames) if padded else None,
            "position_bias": first.attention.compute_bias(frames, frames),
        }


ARCHITECTURE = CtcArchitecture(WavLmAnatomy)
