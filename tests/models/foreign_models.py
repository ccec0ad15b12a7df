"""Whispers of other runtimes, written from a transformers directory: OpenAI's .pt and whisper.cpp's ggml.

The writers are the opposite of the readers, after the formats themselves: names as in OpenAI's model.py,
bytes as in whisper.cpp's convert-pt-to-ggml.py.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import torch
from transformers import WhisperForConditionalGeneration, WhisperTokenizer
from transformers.convert_slow_tokenizer import bytes_to_unicode

from asr_adapt.models.importing import openai_names


def openai_weights(folder: Path) -> tuple[dict[str, int], dict[str, torch.Tensor]]:
    """Sizes and float32 weights of a transformers Whisper by OpenAI's names."""
    model = WhisperForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    config = model.config
    weights = {
        name: tensor.clone() for name, tensor in openai_names.openai_weights(model.state_dict()).items()
    }
    sizes = {
        "n_mels": config.num_mel_bins,
        "n_vocab": config.vocab_size,
        "n_audio_ctx": config.max_source_positions,
        "n_audio_state": config.d_model,
        "n_audio_head": config.encoder_attention_heads,
        "n_audio_layer": config.encoder_layers,
        "n_text_ctx": config.max_target_positions,
        "n_text_state": config.d_model,
        "n_text_head": config.decoder_attention_heads,
        "n_text_layer": config.decoder_layers,
    }
    return sizes, weights


def save_openai(folder: Path, path: Path, dtype: torch.dtype = torch.float16) -> Path:
    """``path`` as openai-whisper loads it."""
    sizes, weights = openai_weights(folder)
    tree = {name: tensor.to(dtype) for name, tensor in weights.items()}
    torch.save({"dims": sizes, "model_state_dict": tree}, path)
    return path


def save_ggml(folder: Path, path: Path, *, half: bool = True) -> Path:
    """``path`` as whisper.cpp loads it: large weights in float16 where ``half``, the rest in float32."""
    sizes, weights = openai_weights(folder)
    heard = ("n_vocab", "n_audio_ctx", "n_audio_state", "n_audio_head", "n_audio_layer")
    order = (*heard, "n_text_ctx", "n_text_state", "n_text_head", "n_text_layer", "n_mels")
    with path.open("wb") as out:
        out.write(struct.pack("<I", 0x67676D6C))
        out.write(struct.pack("<11i", *(sizes[name] for name in order), int(half)))
        out.write(struct.pack("<2i", sizes["n_mels"], 201) + bytes(4 * 201 * sizes["n_mels"]))
        pieces = ranked_pieces(folder)
        out.write(struct.pack("<i", len(pieces)))
        for piece in pieces:
            out.write(struct.pack("<i", len(piece)) + piece)
        for name, tensor in weights.items():
            values = tensor.squeeze().numpy()
            if name in ("encoder.conv1.bias", "encoder.conv2.bias"):
                values = values[:, None]
            small = values.ndim < 2 or name.endswith(("positional_embedding", "conv1.bias", "conv2.bias"))
            kind = 0 if small or not half else 1
            out.write(struct.pack("<3i", values.ndim, len(name), kind))
            out.write(struct.pack(f"<{values.ndim}i", *values.shape[::-1]) + name.encode())
            out.write(values.astype(np.float16 if kind else np.float32).tobytes())
    return path


def ranked_pieces(folder: Path) -> list[bytes]:
    """The pieces of a tokeniser in order of id, as bytes."""
    tokenizer = WhisperTokenizer.from_pretrained(folder)
    letters = {letter: byte for byte, letter in bytes_to_unicode().items()}
    end = tokenizer.convert_tokens_to_ids("<|endoftext|>")
    return [bytes(letters[c] for c in tokenizer.convert_ids_to_tokens(i)) for i in range(end)]
