"""One encoder layer on whole rows, without dropout and gradients, and with keys and values from elsewhere.

Knows transformers' encoder layers (Whisper, Speech2Text). Does not know sound, masks or training.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


def applies(layer: Any, states: Tensor) -> bool:
    """Whether ``states`` (batch, frames, width) of a layer that does not learn are computed this way.

    Under bfloat16 autocast on a CPU: torch's fused attention takes longer there in bfloat16 than in float32.
    """
    half = states.device.type == "cpu" and torch.is_autocast_enabled("cpu")
    return half and not layer.training and not torch.is_grad_enabled()


def encode_layer(
    layer: Any, states: Tensor, keys: Tensor | None = None, values: Tensor | None = None
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """One encoder layer on ``states``, which also hear ``keys`` and ``values``; its own keys and values."""
    attention = layer.self_attn
    normed = layer.self_attn_layer_norm(states)
    query, own_keys, own_values = (
        _heads(project(normed), attention.num_heads)
        for project in (attention.q_proj, attention.k_proj, attention.v_proj)
    )
    every_key, every_value = own_keys, own_values
    if keys is not None and values is not None:
        every_key = torch.cat([own_keys, keys.to(own_keys.dtype).expand(len(states), -1, -1, -1)], 2)
        every_value = torch.cat([own_values, values.to(own_values.dtype).expand(len(states), -1, -1, -1)], 2)
    heard = _attended(query, every_key, every_value)
    states = states + attention.out_proj(heard.transpose(1, 2).reshape(states.shape))
    inner = layer.activation_fn(layer.fc1(layer.final_layer_norm(states)))
    states = states + layer.fc2(inner)
    if states.dtype == torch.float16:  # as transformers' layer
        most = torch.finfo(states.dtype).max - 1000
        states = states.clamp(-most, most)
    return states, (own_keys, own_values)


def _attended(query: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Fused attention, on a CPU in float32; see :func:`applies`."""
    if query.device.type != "cpu" or query.dtype != torch.bfloat16:
        return F.scaled_dot_product_attention(query, keys, values)
    with torch.autocast("cpu", enabled=False):
        found = F.scaled_dot_product_attention(query.float(), keys.float(), values.float())
    return found.to(query.dtype)


def _heads(states: Tensor, heads: int) -> Tensor:
    return states.unflatten(2, (heads, -1)).transpose(1, 2)
