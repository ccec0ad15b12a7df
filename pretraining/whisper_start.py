"""A random Whisper with a tokeniser of its own: where training of the bundled ``nano-whisper`` begins.

Knows the shape of the network, how the byte-level vocabulary is learnt from the project's own sentences, and
which special tokens Whisper's decoder needs. Does not know recipes, audio or the training loop.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from tokenizers.pre_tokenizers import ByteLevel
from torch import nn
from transformers import (
    AddedToken,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
    WhisperProcessor,
    WhisperTokenizer,
)

from asr_adapt.demo.sentences import sentences
from asr_adapt.files import atomic_directory

#: Text tokens: 256 bytes and 144 merges. Few, because short units align faster than long ones do.
TEXT_TOKENS = 400
END = "<|endoftext|>"
START = "<|startoftranscript|>"
SPECIALS = (
    START,
    "<|en|>",
    "<|translate|>",
    "<|transcribe|>",
    "<|startoflm|>",
    "<|startofprev|>",
    "<|nospeech|>",
    "<|notimestamps|>",
)
TIMESTAMPS = tuple(f"<|{number * 0.02:.2f}|>" for number in range(1501))
SENTENCES = 20_000  # of each domain, for the merges
SPREAD = 0.02  # of the initial weights


def write_whisper_start(folder: Path, seed: int) -> None:
    """A random model with its processor, as a plain transformers directory."""
    words = train_tokenizer(_texts(seed))
    torch.manual_seed(seed)
    model = WhisperForConditionalGeneration(nano_whisper_config(words))
    for convolution in (model.model.encoder.conv1, model.model.encoder.conv2):
        nn.init.kaiming_normal_(
            convolution.weight
        )  # louder than transformers' 0.02, lest the fixed positions outweigh the sound
    _describe_generation(model.generation_config, words)
    with atomic_directory(folder) as work:
        model.save_pretrained(work)
        WhisperProcessor(WhisperFeatureExtractor(feature_size=80), words).save_pretrained(work)


def nano_whisper_config(words: WhisperTokenizer) -> WhisperConfig:
    """7 M parameters: 4 encoder and 3 decoder layers of width 256, 30 s windows as every Whisper has."""
    ids = words.get_vocab()
    return WhisperConfig(
        vocab_size=len(words),
        num_mel_bins=80,
        d_model=256,
        encoder_layers=4,
        decoder_layers=3,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=1024,
        decoder_ffn_dim=1024,
        dropout=0.0,
        init_std=SPREAD,
        decoder_start_token_id=ids[START],
        pad_token_id=ids[END],
        bos_token_id=ids[END],
        eos_token_id=ids[END],
        suppress_tokens=None,
        begin_suppress_tokens=None,
    )


def train_tokenizer(texts: Iterable[str]) -> WhisperTokenizer:
    """Byte-level BPE of `TEXT_TOKENS` tokens over ``texts`` (lower case, without a leading space)."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    trainer = trainers.BpeTrainer(
        vocab_size=TEXT_TOKENS, initial_alphabet=sorted(ByteLevel.alphabet()), show_progress=False
    )
    bpe.train_from_iterator(texts, trainer)
    return _whisper_tokenizer(bpe)


def _whisper_tokenizer(bpe: Tokenizer) -> WhisperTokenizer:
    """The same merges with Whisper's special tokens behind them, in Whisper's order."""
    learnt = json.loads(bpe.to_str())["model"]
    vocabulary = {**learnt["vocab"], END: len(learnt["vocab"])}
    merges = [tuple(pair) for pair in learnt["merges"]]
    words = WhisperTokenizer(
        vocab=vocabulary, merges=merges, pad_token="<|endoftext|>"
    )  # pipelines batch by it
    words.add_special_tokens({"extra_special_tokens": list(SPECIALS)})
    words.add_tokens([AddedToken(token, normalized=False) for token in TIMESTAMPS])
    words.set_prefix_tokens(language="english", task="transcribe")
    return words


def _describe_generation(generation: Any, words: WhisperTokenizer) -> None:
    """What ``generate`` must know, so that a plain pipeline needs no argument."""
    ids = words.get_vocab()
    settings = {
        "decoder_start_token_id": ids[START],
        "pad_token_id": ids[END],
        "bos_token_id": ids[END],
        "eos_token_id": ids[END],
        "max_length": 224,
        "is_multilingual": True,
        "lang_to_id": {"<|en|>": ids["<|en|>"]},
        "task_to_id": {task: ids[f"<|{task}|>"] for task in ("transcribe", "translate")},
        "language": "<|en|>",
        "task": "transcribe",
        "no_timestamps_token_id": ids["<|notimestamps|>"],
        "prev_sot_token_id": ids["<|startofprev|>"],
        "max_initial_timestamp_index": 50,
        "return_timestamps": False,
        "suppress_tokens": [ids[token] for token in SPECIALS],
        "begin_suppress_tokens": None,
    }
    generation._from_model_config = False  # otherwise loading derives the settings from config.json again
    for name, value in settings.items():
        setattr(generation, name, value)


def _texts(seed: int) -> list[str]:
    """The sentences that the corpus is made of, as the labels spell them."""
    found = sentences(SENTENCES, seed, part="train", domain="home")
    return [text.lower() for text in found + sentences(SENTENCES, seed, part="train")]
