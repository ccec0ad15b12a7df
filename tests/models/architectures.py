"""Tiny random models of every supported architecture, as complete transformers directories."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers as t

from asr_adapt.models.heads import character_tokenizer

CHARACTERS = "abcdefghijklmnopqrstuvwxyz'"
TOKENS = {token: i for i, token in enumerate(("<pad>", "<unk>", "|", *CHARACTERS))}

_COMMON: dict[str, Any] = {
    "vocab_size": len(TOKENS),
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "pad_token_id": 0,
    "bos_token_id": None,
    "eos_token_id": None,
    "layerdrop": 0.0,
    "hidden_dropout": 0.0,
    "attention_dropout": 0.0,
    "activation_dropout": 0.0,
    "final_dropout": 0.0,
    "feat_proj_dropout": 0.0,
}
_CONV: dict[str, Any] = {
    "conv_dim": (24, 24, 24),
    "conv_kernel": (16, 8, 4),
    "conv_stride": (8, 8, 5),
    "num_feat_extract_layers": 3,
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
}
_POST = _COMMON | _CONV | {"feat_extract_norm": "layer", "conv_bias": True}
_PRE = _POST | {"do_stable_layer_norm": True}
_MELS = _COMMON | {
    "feature_projection_input_dim": 160,
    "conv_depthwise_kernel_size": 5,
    "left_max_position_embeddings": 8,
    "right_max_position_embeddings": 4,
}

ARCHITECTURES = {
    "wav2vec2": lambda: t.Wav2Vec2ForCTC(t.Wav2Vec2Config(**_PRE)),
    "wav2vec2-base": lambda: t.Wav2Vec2ForCTC(
        t.Wav2Vec2Config(**(_COMMON | _CONV), feat_extract_norm="group")
    ),
    "hubert": lambda: t.HubertForCTC(t.HubertConfig(**_PRE)),
    "wavlm": lambda: t.WavLMForCTC(t.WavLMConfig(**_POST, num_buckets=16)),
    "data2vec-audio": lambda: t.Data2VecAudioForCTC(
        t.Data2VecAudioConfig(**(_COMMON | _CONV | {"num_conv_pos_embeddings": 2, "conv_pos_kernel_size": 5}))
    ),
    "unispeech": lambda: t.UniSpeechForCTC(t.UniSpeechConfig(**_PRE)),
    "wav2vec2-bert": lambda: t.Wav2Vec2BertForCTC(t.Wav2Vec2BertConfig(**_MELS)),
}


def save_tiny(name: str, folder: Path, seed: int = 0) -> Path:
    """A tiny model of architecture ``name`` in ``folder``; its logits are spread so that letters come out."""
    torch.manual_seed(seed)
    model = ARCHITECTURES[name]()
    with torch.no_grad():
        model.lm_head.weight.mul_(20.0)
    tokenizer = character_tokenizer(TOKENS)
    if name == "wav2vec2-bert":
        extractor: Any = t.SeamlessM4TFeatureExtractor(feature_size=80, num_mel_bins=80, stride=2)
        processor: Any = t.Wav2Vec2BertProcessor(extractor, tokenizer)
    else:
        masked = name != "wav2vec2-base"
        extractor = t.Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=masked)
        processor = t.Wav2Vec2Processor(extractor, tokenizer)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
