"""A tiny random Whisper as a complete transformers directory: bytes as tokens, all of Whisper's specials."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers as t
from tokenizers.pre_tokenizers import ByteLevel

LANGUAGES = ("en", "de", "ha")


def tokenizer(*, multilingual: bool) -> t.WhisperTokenizer:
    """Byte-level without merges; ids of the specials follow those of the bytes in Whisper's order."""
    vocabulary = {token: i for i, token in enumerate([*sorted(ByteLevel.alphabet()), "<|endoftext|>"])}
    made = t.WhisperTokenizer(vocab=vocabulary, merges=[])
    languages = LANGUAGES if multilingual else LANGUAGES[:1]
    made.add_special_tokens(
        {
            "extra_special_tokens": [
                "<|startoftranscript|>",
                *(f"<|{code}|>" for code in languages),
                *("<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>"),
                *("<|nospeech|>", "<|notimestamps|>"),
            ]
        }
    )
    made.add_tokens([t.AddedToken(f"<|{i * 0.02:.2f}|>", normalized=False) for i in range(1501)])
    made.set_prefix_tokens()
    return made


def save_tiny_whisper(folder: Path, *, multilingual: bool = True, seed: int = 0, most: int = 24) -> Path:
    """A Whisper of width 32 with 2 + 3 layers whose logits are spread, so that letters come out."""
    torch.manual_seed(seed)
    words = tokenizer(multilingual=multilingual)
    ids = words.get_vocab()
    start, end = ids["<|startoftranscript|>"], ids["<|endoftext|>"]
    config = t.WhisperConfig(
        vocab_size=len(words),
        d_model=32,
        encoder_layers=2,
        decoder_layers=3,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=48,
        decoder_ffn_dim=48,
        decoder_start_token_id=start,
        pad_token_id=end,
        bos_token_id=end,
        eos_token_id=end,
        suppress_tokens=None,
        begin_suppress_tokens=None,
    )
    model = t.WhisperForConditionalGeneration(config)
    with torch.no_grad():
        for name, weights in model.named_parameters():
            if name.endswith("proj.weight") or ".fc" in name or "conv" in name:
                weights.mul_(8.0)
        model.model.decoder.embed_tokens.weight.mul_(8.0)
        model.model.decoder.embed_tokens.weight[end + 1 :].mul_(0.1)
    letters = {ids[c] for c in "abcdefghijklmnopqrstuvwxyzĠ"}
    settings: dict[str, Any] = {
        "decoder_start_token_id": start,
        "pad_token_id": end,
        "eos_token_id": end,
        "max_length": most,
        "suppress_tokens": [i for i in range(len(words)) if i not in letters and i != end],
        "begin_suppress_tokens": [ids["Ġ"], end],
        "is_multilingual": multilingual,
        "no_timestamps_token_id": ids["<|notimestamps|>"],
        "prev_sot_token_id": ids["<|startofprev|>"],
        "alignment_heads": [[1, 0], [1, 1], [2, 0]],
        "max_initial_timestamp_index": 50,
        "return_timestamps": False,
    }
    if multilingual:
        settings |= {
            "lang_to_id": {f"<|{code}|>": ids[f"<|{code}|>"] for code in LANGUAGES},
            "task_to_id": {task: ids[f"<|{task}|>"] for task in ("transcribe", "translate")},
            "language": "<|en|>",
            "task": "transcribe",
        }
    model.generation_config = t.GenerationConfig(**settings)
    model.save_pretrained(folder)
    t.WhisperProcessor(t.WhisperFeatureExtractor(), words).save_pretrained(folder)
    return folder
