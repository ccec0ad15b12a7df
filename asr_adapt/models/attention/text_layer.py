"""One decoder layer that learns, on whole texts, which hears by :mod:`.absorbed`.

Knows transformers' decoder layers (Whisper, Speech2Text). Does not know tokens, losses or searches. On an
accelerator the products of the plain way are larger and take no longer, so they stay.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from asr_adapt.models.attention import absorbed

#: Texts up to this share of a head's width are computed this way.
LONGEST_SHARE = 0.75


def applies(layer: Any, states: Tensor, tokens: int) -> bool:
    """Whether ``layer`` is computed this way on texts of ``tokens`` tokens that heard ``states``.

    Only where gradients are wanted: word times read the keys, and a search goes by :mod:`.token_step`.
    """
    attention = layer.encoder_attn
    called = layer._compiled_call_impl is not None  # or what only its own ``forward`` does:
    called |= layer.training and getattr(layer, "gradient_checkpointing", False)
    return (
        states.device.type == "cpu"
        and torch.is_grad_enabled()
        and not called
        and not (layer.training and attention.dropout)
        and tokens <= LONGEST_SHARE * attention.head_dim
        and absorbed.can_absorb(attention)
    )


def read_layer(layer: Any, hidden: Tensor, states: Tensor, mask: Tensor | None) -> Tensor:
    """``hidden`` (batch, tokens, width) above a decoder layer, which hears ``states`` (batch, frames, width).

    ``mask`` (batch, 1, 1, frames) is additive. The same arithmetic as the layer's own ``forward``.
    """
    said = _said(layer.self_attn, layer.self_attn_layer_norm(hidden))
    hidden = hidden + _dropped(said, layer.dropout, layer)
    found = _heard(layer.encoder_attn, layer.encoder_attn_layer_norm(hidden), states, mask)
    hidden = hidden + _dropped(found, layer.dropout, layer)
    inner = layer.activation_fn(layer.fc1(layer.final_layer_norm(hidden)))
    inner = layer.fc2(_dropped(inner, layer.activation_dropout, layer))
    return hidden + _dropped(inner, layer.dropout, layer)


def _said(attention: Any, normed: Tensor) -> Tensor:
    """Attention to the tokens so far; torch's fused one takes a tenth of a step to learn from so few."""
    query, keys, values = (
        project(normed).unflatten(2, (attention.num_heads, -1)).transpose(1, 2)
        for project in (attention.q_proj, attention.k_proj, attention.v_proj)
    )
    scores = (query * attention.scaling) @ keys.transpose(2, 3)
    later = torch.ones(scores.shape[2:], dtype=torch.bool, device=scores.device).triu(1)
    found = scores.masked_fill(later, -torch.inf).softmax(-1).to(values.dtype) @ values
    return attention.out_proj(found.transpose(1, 2).flatten(2))


def _heard(attention: Any, normed: Tensor, states: Tensor, mask: Tensor | None) -> Tensor:
    wide = absorbed.wide_queries(attention, normed)
    sums = absorbed.attended(wide.flatten(1, 2), states, None if mask is None else mask[:, 0])
    return absorbed.projected(attention, sums.unflatten(1, wide.shape[1:3]))


def _dropped(states: Tensor, rate: float, layer: nn.Module) -> Tensor:
    return F.dropout(states, rate, training=layer.training)
