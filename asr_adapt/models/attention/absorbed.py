"""Cross-attention to sound without its keys and values.

Knows transformers' attention modules (Whisper, Speech2Text). Does not know layers, caches, or training.

Keys are ``x W`` of 1,500 frames ``x``, but few tokens ask for them. Since ``q (x W)ᵀ = (q Wᵀ) xᵀ``, and the
values' weights can be applied to the weighted sum of frames, neither need be computed: each head's queries
are brought to the width of ``x`` instead. The same sums in another order; DeepSeek-V2 (arXiv 2405.04434,
section 2.1.2) "absorbs" weights so. They cost ``tokens / width of a head`` as much as keys and values do. A
bias of the keys is left out: it adds the same to the scores of all frames, which a softmax does not see.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


def can_absorb(attention: Any) -> bool:
    """Whether keys and values are plain products: no adapter, no quantised weights, none split by FSDP."""
    return all(_plain(project) is not None for project in (attention.k_proj, attention.v_proj))


def _plain(project: Any) -> Any:
    """The product itself, of an adapter of PEFT's that is switched off too; None where it is none."""
    if getattr(project, "disable_adapters", False):
        project = project.get_base_layer()
    return project if type(project) is nn.Linear and type(project.weight) is nn.Parameter else None


def wide_queries(attention: Any, normed: Tensor) -> Tensor:
    """Scaled queries of ``normed`` (batch, tokens, width) as (batch, heads, tokens, width of the frames)."""
    query = (attention.q_proj(normed) * attention.scaling).unflatten(2, (attention.num_heads, -1))
    weight = _plain(attention.k_proj).weight.unflatten(0, (attention.num_heads, -1))
    with torch.autocast(normed.device.type, enabled=False):
        return torch.einsum("bthc,hcd->bhtd", query.to(weight.dtype), weight)


def attended(wide: Tensor, states: Tensor, mask: Tensor | None = None) -> Tensor:
    """Weighted sums (batch, queries, width) of frames ``states`` (batch, frames, width), in their type.

    ``wide`` (batch, queries, width) asks for them; ``mask`` (batch, 1, frames) is additive.
    """
    with torch.autocast(wide.device.type, enabled=False):
        scores = torch.bmm(wide.to(states.dtype), states.transpose(1, 2))
        if mask is not None:
            scores = scores + mask
        return torch.bmm(scores.softmax(-1), states)


def projected(attention: Any, sums: Tensor) -> Tensor:
    """The attention's output (batch, tokens, width) of its sums (batch, heads, tokens, frames' width)."""
    value, heads = _plain(attention.v_proj), attention.num_heads
    with torch.autocast(sums.device.type, enabled=False):
        weight = value.weight.unflatten(0, (heads, -1))
        found = torch.einsum("bhtd,hcd->bthc", sums.to(weight.dtype), weight)
        if value.bias is not None:
            found = found + value.bias.unflatten(0, (heads, -1))
    return attention.out_proj(found.flatten(2))
