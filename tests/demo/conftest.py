"""A tiny untrained recogniser for English letters: enough to carry the whole story out, not to recognise."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def untrained_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A transformers directory with random weights and the 26 letters."""
    import torch
    from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2ForCTC, Wav2Vec2Processor

    from asr_adapt.models.files.processors import character_tokenizer
    from asr_adapt.text import PAD, UNKNOWN, WORD_DELIMITER

    tokens = (PAD, UNKNOWN, WORD_DELIMITER, *string.ascii_lowercase, "'")
    make: Any = Wav2Vec2Config  # it takes older names of its fields too
    config = make(
        vocab_size=len(tokens),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        conv_dim=(16, 32),
        conv_kernel=(20, 16),
        conv_stride=(20, 16),
        num_feat_extract_layers=2,
        feat_extract_norm="layer",
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=2,
        pad_token_id=0,
    )
    folder = tmp_path_factory.mktemp("model") / "untrained"
    torch.manual_seed(1)
    Wav2Vec2ForCTC(config).save_pretrained(folder)
    extractor = Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=True)
    tokenizer = character_tokenizer({token: number for number, token in enumerate(tokens)})
    Wav2Vec2Processor(extractor, tokenizer).save_pretrained(folder)
    return folder
