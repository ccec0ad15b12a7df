"""One decoder layer on the tokens that are new, in float32 on a CPU.

Knows transformers' decoder layers (Whisper, Speech2Text) and how their keys and values lie in memory. Does
not know tokens, searches or training: there is no dropout and no gradient here.

The same arithmetic as the layer's own ``forward``. The first tokens of a text hear without keys and values
(:mod:`.absorbed`): one token's sums over a row take as long as with them, because both read as much memory.
A text of more tokens than a head is wide gets them. They lie apart for each row, so that rows leave and beams
share without a copy; keys as (width, frames) and values as (frames, width) of each head, so that a token's
attention is two passes over memory in order; and no more of them than the row heard. torch's fused attention,
made for many queries, takes three times as long for one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from asr_adapt.models.attention import absorbed
from asr_adapt.models.search.decoder_cache import HeardRow


def applies(states: Tensor) -> bool:
    """Whether what was heard, (batch, frames, width), is decoded this way."""
    return (
        states.device.type == "cpu"
        and states.dtype == torch.float32
        and not torch.is_grad_enabled()
        and not torch.is_autocast_enabled("cpu")
    )


def step_layer(
    layer: Any, index: int, hidden: Tensor, states: Tensor, mask: Tensor | None, cache: Any
) -> Tensor:
    """``hidden`` (batch, tokens, width) above the decoder layer ``index``.

    ``states`` are the encoder's output, ``mask`` (batch, 1, 1, frames) is additive, and ``cache``, a
    :class:`~asr_adapt.models.search.decoder_cache.DecoderCache`, takes the new keys and values.
    """
    normed = layer.self_attn_layer_norm(hidden)
    hidden = hidden + _said(layer.self_attn, index, normed, cache.self_attention_cache)
    normed = layer.encoder_attn_layer_norm(hidden)
    hidden = hidden + _heard(layer.encoder_attn, index, normed, states, mask, cache)
    inner = layer.activation_fn(layer.fc1(layer.final_layer_norm(hidden)))
    return hidden + layer.fc2(inner)


def _said(attention: Any, index: int, normed: Tensor, cache: Any) -> Tensor:
    """Attention to the tokens so far; several new ones are the first of their row."""
    query = _heads(attention.q_proj(normed) * attention.scaling, attention.num_heads)
    keys = _heads(attention.k_proj(normed), attention.num_heads)
    values = _heads(attention.v_proj(normed), attention.num_heads)
    keys, values = cache.update(keys, values, index)
    found = F.scaled_dot_product_attention(query, keys, values, is_causal=normed.shape[1] > 1, scale=1.0)
    return attention.out_proj(found.transpose(1, 2).reshape(normed.shape))


def _heard(
    attention: Any, index: int, normed: Tensor, states: Tensor, mask: Tensor | None, cache: Any
) -> Tensor:
    """Attention to the encoder's output: few tokens without keys and values, more with them."""

    def own() -> list[Tensor]:
        counts = [len(row) for row in states] if mask is None else (mask == 0).sum((1, 2, 3)).tolist()
        return [row[:count] for row, count in zip(states, counts, strict=True)]

    rows = cache.cross_attention_cache.each(index, own)
    few = cache.self_attention_cache.layers[index].get_seq_length() <= attention.head_dim
    if few and rows[0].keys is None and absorbed.can_absorb(attention):
        wide = absorbed.wide_queries(attention, normed)
        sums = [
            absorbed.attended(wide[at].flatten(0, 2)[None], row.states[None])[0] for row, at in _places(rows)
        ]
        return absorbed.projected(attention, torch.cat(sums).reshape(wide.shape))
    queries = _heads(attention.q_proj(normed) * attention.scaling, attention.num_heads)
    found = [_asked(attention, row, queries[at]) for row, at in _places(rows)]
    return attention.out_proj(torch.cat(found).transpose(1, 2).reshape(normed.shape))


def _places(rows: Sequence[HeardRow]) -> Iterator[tuple[HeardRow, slice]]:
    """Each row with its places in the batch; beams of a row stand side by side and read it once."""
    start = 0
    for _, group in groupby(rows, key=id):
        own = list(group)
        yield own[0], slice(start, start + len(own))
        start += len(own)


def _asked(attention: Any, row: HeardRow, queries: Tensor) -> Tensor:
    """What ``queries`` (beams, heads, tokens, width of a head) get of a row by its keys and values."""
    if row.keys is None or row.values is None:
        row.keys = _keys(attention.k_proj, row.states, attention.num_heads)
        row.values = _values(attention.v_proj, row.states, attention.num_heads)
    asked = queries.transpose(0, 1).flatten(1, 2)
    found = torch.bmm(torch.bmm(asked, row.keys).softmax(-1), row.values)
    return found.unflatten(1, (len(queries), -1)).transpose(0, 1)


def _heads(states: Tensor, heads: int) -> Tensor:
    return states.unflatten(2, (heads, -1)).transpose(1, 2)


def _keys(project: nn.Module, row: Tensor, heads: int) -> Tensor:
    """``project`` of ``row`` (frames, width) as (heads, width of a head, frames)."""
    if type(project) is not nn.Linear:  # an adapter, or weights of another kind
        return project(row).t().contiguous().unflatten(0, (heads, -1))
    found = row.new_empty(project.out_features, len(row))
    torch.mm(project.weight, row.t(), out=found)
    if project.bias is not None:
        found += project.bias[:, None]
    return found.unflatten(0, (heads, -1))


def _values(project: nn.Module, row: Tensor, heads: int) -> Tensor:
    """``project`` of ``row`` (frames, width) as (heads, frames, width of a head)."""
    if type(project) is not nn.Linear:
        return project(row).unflatten(1, (heads, -1)).transpose(0, 1).contiguous()
    found = row.new_empty(heads, len(row), project.out_features // heads)
    for own, weight in zip(found, project.weight.unflatten(0, (heads, -1)), strict=True):
        torch.mm(row, weight.t(), out=own)
    if project.bias is not None:
        found += project.bias.unflatten(0, (heads, -1))[:, None]
    return found
