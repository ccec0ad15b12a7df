"""A tiny random Moonshine-streaming as a complete transformers directory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers as t

from tests.models.plain_models import LETTERS, letter_tokenizer


def save_tiny_moonshine_streaming(place: Path, *, width: int = 32, tied: bool = False) -> Path:
    """An encoder of width 32 and a decoder of ``width`` that writes letters; windows as short as can be."""
    torch.manual_seed(0)
    make: Any = t.MoonshineStreamingConfig  # it takes older names of its fields too
    config = make(
        encoder_config={
            "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2,
            "num_key_value_heads": 2, "sliding_windows": [[6, 3], [5, 0]],
        },
        vocab_size=3 + len(LETTERS), hidden_size=width, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=2, max_position_embeddings=1500, bos_token_id=1,
        eos_token_id=2, decoder_start_token_id=1, pad_token_id=2, tie_word_embeddings=tied,
    )  # fmt: skip
    model = t.MoonshineStreamingForConditionalGeneration(config)
    with torch.no_grad():
        for name, weights in model.named_parameters():
            if "proj.weight" in name or ".fc" in name or "conv" in name:
                weights.mul_(6.0)
            if name.endswith("proj_out.weight") or (tied and name.endswith("embed_tokens.weight")):
                weights.mul_(20.0)
                weights[:3].mul_(0.05)  # letters, not the end at once
    model.generation_config = t.GenerationConfig(
        max_length=12, bos_token_id=1, eos_token_id=2, pad_token_id=2, decoder_start_token_id=1
    )
    model.save_pretrained(place)
    extractor = t.Wav2Vec2FeatureExtractor(do_normalize=False, return_attention_mask=True)
    t.MoonshineStreamingProcessor(extractor, letter_tokenizer()).save_pretrained(place)
    return place
