"""Telling checkpoints of other runtimes apart, and reading each with its own reader.

Knows by which files or first bytes a kind is known. Does not know what is in them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from asr_adapt.errors import ModelError
from asr_adapt.models.importing.checkpoint import WhisperCheckpoint
from asr_adapt.models.importing.ctranslate2 import read_ctranslate2
from asr_adapt.models.importing.ggml import MAGIC, read_ggml
from asr_adapt.models.importing.openai_pt import read_openai
from asr_adapt.models.importing.vocabulary import WhisperVocabulary

KINDS = {"ctranslate2": "CTranslate2", "openai": "OpenAI", "ggml": "whisper.cpp"}
#: Weights by which a folder is transformers' own.
_TRANSFORMERS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin")
_ZIP = b"PK\x03\x04"


def foreign_kind(path: Path) -> str | None:
    """Which of ``KINDS`` lies at ``path``; None for anything else."""
    if path.is_dir():
        own = any((path / name).is_file() for name in _TRANSFORMERS)
        return "ctranslate2" if (path / "model.bin").is_file() and not own else None
    try:
        with path.open("rb") as handle:
            first = handle.read(4)
    except OSError:
        return None
    if first == MAGIC.to_bytes(4, "little"):
        return "ggml"
    return "openai" if first == _ZIP and path.suffix in (".pt", ".pth") else None


def read_foreign(path: Path, vocabulary: Callable[[int], WhisperVocabulary]) -> WhisperCheckpoint:
    """The Whisper at ``path``; ``vocabulary`` gives that of a model of so many tokens.

    Raises :class:`ModelError` for a file of no known kind, or a damaged one.
    """
    kind = foreign_kind(path)
    if kind == "ctranslate2":
        return read_ctranslate2(path, vocabulary)
    if kind == "openai":
        return read_openai(path, vocabulary)
    if kind == "ggml":
        return read_ggml(path)
    raise ModelError(
        "this is not a Whisper of another runtime: give a CTranslate2 folder with model.bin, an OpenAI .pt "
        "or a whisper.cpp ggml-*.bin.",
        path=path,
    )
