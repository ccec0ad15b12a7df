"""A Whisper as one file of whisper.cpp, ``ggml-*.bin``: float32, float16, or 8-bit blocks (q8_0).

Knows the bytes as whisper.cpp's ``convert-pt-to-ggml.py`` and ``quantize`` write them. Does not know how
whisper.cpp hears with it (``ggml_runtime``); what reads the bytes back is
:mod:`asr_adapt.models.importing.ggml`.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from transformers.convert_slow_tokenizer import bytes_to_unicode

from asr_adapt.destinations import mark_folder
from asr_adapt.errors import ModelError
from asr_adapt.files import atomic_directory, atomic_write
from asr_adapt.models import Recogniser, WhisperRecogniser
from asr_adapt.models.importing.ggml import MAGIC
from asr_adapt.models.importing.openai_names import openai_weights
from asr_adapt.transcription.runtimes.ggml_runtime import open_ggml

#: Vocabularies that whisper.cpp has constants for: English, multilingual, and with Cantonese.
_VOCABULARIES = (51_864, 51_865, 51_866)
#: Numbers of types in a file of few words: of the file, and of its large weights.
_FILE_TYPES = {"float32": (0, 0), "float16": (1, 1), "q8_0": (2_007, 8)}
QUANTISATIONS = tuple(_FILE_TYPES)
#: Weights of one scale in q8_0.
_BLOCK = 32
#: Two-dimensional weights that stay in float32.
_SMALL = (
    "encoder.conv1.bias",
    "encoder.conv2.bias",
    "encoder.positional_embedding",
    "decoder.positional_embedding",
)


@dataclass(frozen=True)
class Written:
    """A file that was written, and its weights."""

    path: Path
    weights: int


@dataclass(frozen=True)
class GgmlCheck:
    """An exported file: its weights, and on how many ``clips`` whisper.cpp writes torch's text with it."""

    graph: str
    weights: int
    clips: int
    same_text: int


def export_ggml(
    recogniser: Recogniser,
    directory: str | Path,
    clips: Sequence[np.ndarray] = (),
    *,
    quantisation: str = "float16",
) -> GgmlCheck:
    """Write a folder with whisper.cpp's file.

    ``clips`` are float32 mono waveforms at the recogniser's rate, on which both are compared; that takes
    ``pywhispercpp`` (MissingExtraError). Raises ModelError as :func:`write_ggml` does.
    """
    name = ggml_name(recogniser, quantisation)
    with atomic_directory(directory, replace=True) as work:
        weights = write_ggml(recogniser, work / name, quantisation).weights
        same = _agreeing(recogniser, work / name, clips) if clips else 0
        mark_folder(work, "export")
    return GgmlCheck(name, weights, len(clips), same)


def _agreeing(recogniser: Recogniser, file: Path, clips: Sequence[np.ndarray]) -> int:
    assert isinstance(recogniser, WhisperRecogniser)  # others were refused
    exported = open_ggml(file, recogniser)
    return sum(
        theirs.text == recogniser.transcribe([clip])[0].text
        for clip, theirs in zip(clips, exported.transcribe(clips), strict=True)
    )


def ggml_name(recogniser: Recogniser, quantisation: str) -> str:
    """``ggml-tiny.en.bin`` or ``ggml-tiny.en-q8_0.bin``, as whisper.cpp calls its files."""
    stem = Path(recogniser.name).name.removeprefix("whisper-") or "model"
    end = {"float16": "", "float32": "-f32", "q8_0": "-q8_0"}[quantisation]
    return f"ggml-{stem}{end}.bin"


def has_vocabulary(recogniser: WhisperRecogniser) -> bool:
    """Whether whisper.cpp has constants for the model's vocabulary."""
    return recogniser.model.config.vocab_size in _VOCABULARIES


def write_ggml(recogniser: Recogniser, path: Path, quantisation: str = "float16") -> Written:
    """Write ``path``; raises ModelError for another family, type, or vocabulary than whisper.cpp knows."""
    if not isinstance(recogniser, WhisperRecogniser):
        raise ModelError("only Whisper models are exported to ggml.", path=recogniser.name)
    if quantisation not in _FILE_TYPES:
        raise ModelError(f"type {quantisation!r} is unknown: use one of {', '.join(QUANTISATIONS)}.")
    if not has_vocabulary(recogniser):
        raise ModelError(
            f"whisper.cpp knows vocabularies of {', '.join(map(str, _VOCABULARIES))} tokens, and this one "
            f"has {recogniser.model.config.vocab_size}: export to ctranslate2 instead.",
            path=recogniser.name,
        )
    kind, large = _FILE_TYPES[quantisation]
    weights = openai_weights(recogniser.model.state_dict())
    with atomic_write(path, "wb") as out:
        _write_head(out, recogniser, kind)
        for name, tensor in weights.items():
            _write_weight(out, name, tensor.float().cpu().numpy(), large)
    return Written(path, len(weights))


def _write_head(out: IO[bytes], recogniser: WhisperRecogniser, kind: int) -> None:
    """Sizes, mel filters, and the pieces of the vocabulary in front of the special tokens, as bytes."""
    config = recogniser.model.config
    out.write(struct.pack("<I", MAGIC))
    sizes = [config.vocab_size, config.max_source_positions, config.d_model]
    sizes += [config.encoder_attention_heads, config.encoder_layers, config.max_target_positions]
    sizes += [config.d_model, config.decoder_attention_heads, config.decoder_layers, config.num_mel_bins]
    out.write(struct.pack("<11i", *sizes, kind))
    filters = np.ascontiguousarray(np.asarray(recogniser.processor.feature_extractor.mel_filters).T)
    out.write(struct.pack("<2i", *filters.shape) + filters.astype("<f4").tobytes())
    pieces = _pieces(recogniser)
    out.write(struct.pack("<i", len(pieces)))
    for piece in pieces:
        out.write(struct.pack("<i", len(piece)) + piece)


def _pieces(recogniser: WhisperRecogniser) -> list[bytes]:
    tokenizer = recogniser.processor.tokenizer
    letters = {letter: byte for byte, letter in bytes_to_unicode().items()}
    pieces = tokenizer.convert_ids_to_tokens(list(range(recogniser.tokens.end)))
    return [bytes(letters[letter] for letter in piece) for piece in pieces]


def _write_weight(out: IO[bytes], name: str, values: np.ndarray, large: int) -> None:
    """Header and values of one weight; matrices in the type ``large``, the rest in 32 or 16 bits."""
    values = values.squeeze() if values.ndim == 1 or "positional" in name else values
    if name in ("encoder.conv1.bias", "encoder.conv2.bias"):
        values = values[:, None]
    kind = 0 if values.ndim < 2 or name in _SMALL else large
    if kind == 8 and (values.ndim != 2 or values.shape[-1] % _BLOCK):
        kind = 1  # whisper.cpp's quantize keeps convolutions in float16
    out.write(struct.pack("<3i", values.ndim, len(name), kind))
    out.write(struct.pack(f"<{values.ndim}i", *values.shape[::-1]) + name.encode())
    out.write(q8_0(values) if kind == 8 else values.astype(("<f4", "<f2")[kind]).tobytes())


def q8_0(values: np.ndarray) -> bytes:
    """Blocks of 32 weights: a float16 scale, the largest magnitude over 127, then 32 signed bytes."""
    blocks = values.reshape(-1, _BLOCK).astype(np.float32)
    scales = np.abs(blocks).max(1, keepdims=True) / 127
    steps = np.divide(blocks, scales, out=np.zeros_like(blocks), where=scales > 0)
    rounded = np.trunc(steps + np.copysign(0.5, steps)).astype(np.int8)  # half away from zero, as ggml's
    found = np.empty(len(blocks), dtype=[("scale", "<f2"), ("steps", "i1", (_BLOCK,))])
    found["scale"], found["steps"] = scales[:, 0], rounded
    return found.tobytes()
