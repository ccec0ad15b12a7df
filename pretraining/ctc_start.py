"""Start of ``nano-en``: a random wav2vec 2.0 network with a CTC head over letters.

Knows the shape of the network and its alphabet. Does not know recipes, audio or the training loop.
"""

from __future__ import annotations

import string
from pathlib import Path

import torch
from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2ForCTC, Wav2Vec2Processor

from asr_adapt.files import atomic_directory
from asr_adapt.models.files.processors import character_tokenizer
from asr_adapt.text import PAD, UNKNOWN, WORD_DELIMITER

CHARACTERS = (*string.ascii_lowercase, "'")


def nano_config(vocabulary: int) -> Wav2Vec2Config:
    """5.5 M parameters, 20 ms frames.

    Four convolutions instead of seven: the first takes 4 ms windows every 1 ms, so that nothing runs at the
    3.2 kHz of the usual first layer (on a CPU that is most of the cost). ReLU for the same reason.
    """
    return Wav2Vec2Config(
        vocab_size=vocabulary,
        hidden_size=256,
        num_hidden_layers=6,
        num_attention_heads=4,
        intermediate_size=1024,
        hidden_act="relu",
        conv_dim=[160, 192, 256, 256],
        conv_kernel=[64, 8, 4, 4],
        conv_stride=[16, 5, 2, 2],
        feat_extract_norm="layer",
        feat_extract_activation="relu",
        conv_bias=True,
        do_stable_layer_norm=True,
        num_conv_pos_embeddings=32,
        num_conv_pos_embedding_groups=8,
        layerdrop=0.0,
        hidden_dropout=0.0,
        attention_dropout=0.0,
        activation_dropout=0.0,
        feat_proj_dropout=0.0,
        final_dropout=0.0,
        mask_time_prob=0.05,
        ctc_zero_infinity=True,
        ctc_loss_reduction="mean",
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=None,
    )


def write_ctc_start(folder: Path, seed: int) -> None:
    """A random model with its processor, as a plain transformers directory."""
    tokens = {token: i for i, token in enumerate((PAD, UNKNOWN, WORD_DELIMITER, *CHARACTERS))}
    extractor = Wav2Vec2FeatureExtractor(
        feature_size=1, sampling_rate=16_000, do_normalize=True, return_attention_mask=True
    )
    torch.manual_seed(seed)
    with atomic_directory(folder) as work:
        Wav2Vec2ForCTC(nano_config(len(tokens))).save_pretrained(work)
        Wav2Vec2Processor(extractor, character_tokenizer(tokens)).save_pretrained(work)
