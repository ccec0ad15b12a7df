"""OpenAI's names of Whisper's weights, which whisper.cpp keeps, and transformers' for the same.

Knows the two spellings. Does not know files.
"""

from __future__ import annotations

import re

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


def named(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The same weights by transformers' names."""
    found = {}
    for name, tensor in weights.items():
        for pattern, text in _PATTERNS:
            name = pattern.sub(text, name)
        found[name] = tensor
    return found
