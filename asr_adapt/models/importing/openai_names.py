"""OpenAI's names of Whisper's weights, which whisper.cpp keeps, and transformers' for the same.

Knows the two spellings. Does not know files.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch

_PATTERNS = (
    (re.compile(r"^(encoder|decoder)\.blocks\.(\d+)\."), r"model.\1.layers.\2."),
    (re.compile(r"^(encoder|decoder)\."), r"model.\1."),
    (re.compile(r"\.cross_attn_ln\."), ".encoder_attn_layer_norm."),
    (re.compile(r"\.attn_ln\."), ".self_attn_layer_norm."),
    (re.compile(r"\.cross_attn\."), ".encoder_attn."),
    (re.compile(r"\.attn\."), ".self_attn."),
    (re.compile(r"_attn\.query\."), "_attn.q_proj."),
    (re.compile(r"_attn\.key\."), "_attn.k_proj."),
    (re.compile(r"_attn\.value\."), "_attn.v_proj."),
    (re.compile(r"_attn\.out\."), "_attn.out_proj."),
    (re.compile(r"\.mlp_ln\."), ".final_layer_norm."),
    (re.compile(r"\.mlp\.0\."), ".fc1."),
    (re.compile(r"\.mlp\.2\."), ".fc2."),
    (re.compile(r"^model\.encoder\.ln_post\."), "model.encoder.layer_norm."),
    (re.compile(r"^model\.decoder\.ln\."), "model.decoder.layer_norm."),
    (re.compile(r"\.token_embedding\."), ".embed_tokens."),
    (re.compile(r"\.positional_embedding$"), ".embed_positions.weight"),
)
#: The way back.
_BACK = (
    (re.compile(r"^model\."), ""),
    (re.compile(r"\.layers\."), ".blocks."),
    (re.compile(r"\.encoder_attn_layer_norm\."), ".cross_attn_ln."),
    (re.compile(r"\.self_attn_layer_norm\."), ".attn_ln."),
    (re.compile(r"\.final_layer_norm\."), ".mlp_ln."),
    (re.compile(r"\.encoder_attn\."), ".cross_attn."),
    (re.compile(r"\.self_attn\."), ".attn."),
    (re.compile(r"attn\.q_proj\."), "attn.query."),
    (re.compile(r"attn\.k_proj\."), "attn.key."),
    (re.compile(r"attn\.v_proj\."), "attn.value."),
    (re.compile(r"attn\.out_proj\."), "attn.out."),
    (re.compile(r"\.fc1\."), ".mlp.0."),
    (re.compile(r"\.fc2\."), ".mlp.2."),
    (re.compile(r"^encoder\.layer_norm\."), "encoder.ln_post."),
    (re.compile(r"^decoder\.layer_norm\."), "decoder.ln."),
    (re.compile(r"embed_tokens"), "token_embedding"),
    (re.compile(r"embed_positions\.weight"), "positional_embedding"),
)


def openai_weights(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """transformers' weights by OpenAI's names, without the head, which is the embeddings once more."""
    found = {}
    for name, tensor in weights.items():
        if name == "proj_out.weight":
            continue
        for pattern, text in _BACK:
            name = pattern.sub(text, name)
        found[name] = tensor
    return found


def named(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The same weights by transformers' names."""
    found = {}
    for name, tensor in weights.items():
        for pattern, text in _PATTERNS:
            name = pattern.sub(text, name)
        found[name] = tensor
    return found
