"""Tiny random models of every supported architecture, as complete transformers directories."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers as t
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from asr_adapt.models.files.processors import character_tokenizer

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
_CONFORMER = _POST | {"conv_depthwise_kernel_size": 5}
_MELS = _COMMON | {
    "feature_projection_input_dim": 160,
    "conv_depthwise_kernel_size": 5,
    "left_max_position_embeddings": 8,
    "right_max_position_embeddings": 4,
}

_PARAKEET: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "conv_kernel_size": 5,
    "subsampling_conv_channels": 8,
    "dropout": 0.0,
    "layerdrop": 0.0,
    "activation_dropout": 0.0,
    "attention_dropout": 0.0,
}
#: Characters within a word, characters at a word's beginning, some longer pieces; the last is the blank.
PIECES = [
    "<unk>",
    *CHARACTERS,
    *(f"\u2581{c}" for c in CHARACTERS),
    "\u2581",
    "\u2581th",
    "\u2581the",
    "er",
    "<pad>",
]

_MERGES = [*(("\u2581", c) for c in CHARACTERS), ("\u2581t", "h"), ("\u2581th", "e"), ("e", "r")]

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
    "unispeech-sat": lambda: t.UniSpeechSatForCTC(
        t.UniSpeechSatConfig(**(_PRE | {"bos_token_id": 1, "eos_token_id": 2}))
    ),
    "wav2vec2-conformer": lambda: t.Wav2Vec2ConformerForCTC(t.Wav2Vec2ConformerConfig(**_CONFORMER)),
    "wav2vec2-conformer-rotary": lambda: t.Wav2Vec2ConformerForCTC(
        t.Wav2Vec2ConformerConfig(**_CONFORMER, position_embeddings_type="rotary")
    ),
    "wav2vec2-bert": lambda: t.Wav2Vec2BertForCTC(t.Wav2Vec2BertConfig(**_MELS)),
    "parakeet": lambda: t.ParakeetForCTC(
        t.ParakeetCTCConfig(
            vocab_size=len(PIECES),
            pad_token_id=len(PIECES) - 1,
            encoder_config=t.ParakeetEncoderConfig(**_PARAKEET),
        )
    ),
}


def piece_tokenizer() -> t.ParakeetTokenizer:
    """Word pieces as Parakeet writes them: a word's first piece carries the mark."""
    backend = Tokenizer(models.BPE({p: i for i, p in enumerate(PIECES)}, _MERGES, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.decoder = decoders.Metaspace()
    return t.ParakeetTokenizer(tokenizer_object=backend, unk_token="<unk>", pad_token="<pad>")


def save_tiny(name: str, folder: Path, seed: int = 0) -> Path:
    """A tiny model of architecture ``name`` in ``folder``; its logits are spread so that letters come out."""
    torch.manual_seed(seed)
    model: Any = ARCHITECTURES[name]()
    with torch.no_grad():
        if name == "parakeet":  # eightfold subsampling smooths noise: without gain all frames sound alike
            model.ctc_head.weight.mul_(20.0)
            for layer in model.encoder.subsampling.layers:
                if isinstance(layer, torch.nn.Conv2d) and layer.bias is not None:
                    layer.weight.mul_(20.0)
                    layer.bias.zero_()
        else:
            model.lm_head.weight.mul_(20.0)
    tokenizer = character_tokenizer(TOKENS)
    if name == "parakeet":
        processor: Any = t.ParakeetProcessor(t.ParakeetFeatureExtractor(), piece_tokenizer())
    elif name == "wav2vec2-bert":
        extractor: Any = t.SeamlessM4TFeatureExtractor(feature_size=80, num_mel_bins=80, stride=2)
        processor = t.Wav2Vec2BertProcessor(extractor, tokenizer)
    else:
        masked = name != "wav2vec2-base"
        extractor = t.Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=masked)
        processor = t.Wav2Vec2Processor(extractor, tokenizer)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
