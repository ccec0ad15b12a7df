"""A CTranslate2 Whisper directory (faster-whisper's): ``model.bin`` with its vocabulary and settings.

Knows version 6 of CTranslate2's file format, its names of Whisper's weights, and its scales. Does not know
what is done with the weights. Source of the format: CTranslate2's ``model_spec.py``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from asr_adapt.errors import ModelError
from asr_adapt.models.importing.binary import BinaryFile
from asr_adapt.models.importing.checkpoint import WhisperCheckpoint
from asr_adapt.models.importing.vocabulary import END, NO_TIMESTAMPS, START, WhisperVocabulary
from asr_adapt.models.importing.vocabulary_sources import MULTILINGUAL, from_tokens, read_tokenizer_json

VERSION = 6
#: Types by their number in the file; bfloat16 is read as its bits.
_TYPES = ("float32", "int8", "int16", "int32", "float16", "uint16")
_BFLOAT16 = 5
_MOST_RANK = 8
_NAMES = (
    (re.compile(r"^(encoder|decoder)/layer_(\d+)/"), r"model.\1.layers.\2."),
    (re.compile(r"^(encoder|decoder)/"), r"model.\1."),
    (re.compile(r"self_attention/layer_norm/"), "self_attn_layer_norm/"),
    (re.compile(r"self_attention/"), "self_attn/"),
    (re.compile(r"(?<=\d\.)attention/layer_norm/"), "encoder_attn_layer_norm/"),
    (re.compile(r"(?<=\d\.)attention/"), "encoder_attn/"),
    (re.compile(r"ffn/layer_norm/"), "final_layer_norm/"),
    (re.compile(r"ffn/linear_0/"), "fc1/"),
    (re.compile(r"ffn/linear_1/"), "fc2/"),
    (re.compile(r"embeddings/weight$"), "embed_tokens/weight"),
    (re.compile(r"position_encodings/encodings$"), "embed_positions/weight"),
    (re.compile(r"/gamma$"), "/weight"),
    (re.compile(r"/beta$"), "/bias"),
    (re.compile(r"/"), "."),
)
#: Attention projections that CTranslate2 stacks one above the other, by kind of attention and linear.
_STACKED = {
    ("self_attn", 0): ("q_proj", "k_proj", "v_proj"),
    ("self_attn", 1): ("out_proj",),
    ("encoder_attn", 0): ("q_proj",),
    ("encoder_attn", 1): ("k_proj", "v_proj"),
    ("encoder_attn", 2): ("out_proj",),
}
_LINEAR = re.compile(r"^(.*\.(self_attn|encoder_attn))\.linear_(\d)\.(weight|bias)$")
_SETTINGS = re.compile(r"num_heads$|pre_norm$|activation$|alignment_|alibi|scale_embeddings$|start_from_zero")


def read_ctranslate2(folder: str | Path, vocabulary: Callable[[int], WhisperVocabulary]) -> WhisperCheckpoint:
    """The Whisper in ``folder``: float32, float16, bfloat16, and int8 or int16 weights over their scales.

    ``vocabulary`` gives that of a model of so many tokens, where the folder holds none. Raises
    :class:`ModelError` for a damaged file, another version or another model.
    """
    place = Path(folder)
    path = place / "model.bin"
    variables = read_variables(path)
    embeddings = variables.get("decoder/embeddings/weight")
    if embeddings is None or embeddings.ndim != 2:
        raise ModelError("the file has no embeddings of words.", path=path)
    words = _vocabulary(place, len(embeddings), vocabulary)
    heads, weights = _heads(variables, path), _dequantised(variables, path)
    _require_tied_head(weights, path)
    return WhisperCheckpoint(path, named(weights), heads, words, _read_settings(place / "config.json"))


def read_variables(path: Path) -> dict[str, torch.Tensor]:
    """Every variable of a ``model.bin``, aliases too, by CTranslate2's names."""
    with BinaryFile(path) as file:
        version = file.number("I", "the format version")
        if version != VERSION:
            raise ModelError(
                f"CTranslate2 format version {version} is not known, only {VERSION}: convert the model again "
                "with ct2-transformers-converter 3 or later.",
                path=path,
            )
        kind = _string(file, "the model's kind")
        file.number("I", "the revision")
        if kind != "WhisperSpec":
            raise ModelError(f"the model is a {kind}, not a Whisper.", path=path)
        found: dict[str, torch.Tensor] = {}
        for _ in range(file.number("I", "the number of weights")):
            name = _string(file, "a weight's name")
            if name in found:
                raise file.fault(f"weight {name} comes twice")
            found[name] = _variable(file, name)
        for _ in range(file.number("I", "the number of aliases")):
            alias, name = _string(file, "an alias"), _string(file, "an alias's weight")
            if name not in found:
                raise file.fault(f"alias {alias} is of the unknown weight {name}")
            found[alias] = found[name]
            if f"{name}_scale" in found:
                found[f"{alias}_scale"] = found[f"{name}_scale"]
        if file.left:
            raise file.fault(f"{file.left} bytes follow the last weight")
    return found


def named(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The same weights by transformers' names, stacked attention projections taken apart.

    CTranslate2 has a key bias, which Whisper has not: it is left out where it is zero.
    """
    found: dict[str, torch.Tensor] = {}
    for name, tensor in weights.items():
        if name.startswith("decoder/projection/"):
            continue  # the embeddings once more
        theirs = name
        for pattern, text in _NAMES:
            theirs = pattern.sub(text, theirs)
        match = _LINEAR.match(theirs)
        parts = _STACKED.get((match[2], int(match[3]))) if match else None
        if match is None or parts is None or tensor.shape[0] % len(parts):
            found[theirs] = tensor
            continue
        for part, piece in zip(parts, tensor.chunk(len(parts)), strict=True):
            if not (part == "k_proj" and match[4] == "bias" and not piece.any()):
                found[f"{match[1]}.{part}.{match[4]}"] = piece.contiguous()
    return found


def _string(file: BinaryFile, what: str) -> str:
    count = file.number("H", f"the length of {what}")
    text = file.string(count, what)
    if not text.endswith("\0"):
        raise file.fault(f"{what} does not end in a zero byte")
    return text[:-1]


def _variable(file: BinaryFile, name: str) -> torch.Tensor:
    rank = file.number("B", f"the rank of {name}")
    if rank > _MOST_RANK:
        raise file.fault(f"{name} has {rank} dimensions")
    shape = tuple(file.number("I", f"the shape of {name}") for _ in range(rank))
    kind = file.number("B", f"the type of {name}")
    if kind >= len(_TYPES):
        raise file.fault(f"{name} is of the unknown type {kind}")
    stated = file.number("I", f"the size of {name}")
    before = file.left
    values = file.array(_TYPES[kind], shape, name)
    if before - file.left != stated:
        raise file.fault(f"{name} of shape {shape} says that it has {stated} bytes")
    if kind == _BFLOAT16:
        return torch.from_numpy(values.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(values)


def _heads(variables: dict[str, torch.Tensor], path: Path) -> tuple[int, int]:
    """Attention heads of encoder and decoder."""
    counts = []
    for side in ("encoder", "decoder"):
        found = variables.get(f"{side}/num_heads")
        if found is None or found.numel() != 1:
            raise ModelError(f"the file does not say how many attention heads the {side} has.", path=path)
        counts.append(int(found))
    return counts[0], counts[1]


def _dequantised(variables: dict[str, torch.Tensor], path: Path) -> dict[str, torch.Tensor]:
    """Weights alone, as floating-point numbers: an integer weight is divided by its scale, row by row."""
    found: dict[str, torch.Tensor] = {}
    for name, tensor in variables.items():
        if _SETTINGS.search(name) or name.endswith("_scale"):
            continue
        if not tensor.is_floating_point():
            scale = variables.get(f"{name}_scale")
            if scale is None or scale.numel() not in (1, tensor.shape[0] if tensor.ndim else 1):
                raise ModelError(f"the integer weight {name} has no scale that fits it.", path=path)
            rows = scale.float().reshape(-1, *[1] * (tensor.ndim - 1))
            tensor = tensor.float() / rows
        found[name] = tensor
    return found


def _require_tied_head(weights: dict[str, torch.Tensor], path: Path) -> None:
    """Whisper's head is its embeddings: another one could not be kept, so it is refused."""
    head = weights.get("decoder/projection/weight")
    bias = weights.get("decoder/projection/bias")
    same = head is None or torch.equal(head, weights["decoder/embeddings/weight"])
    if not same or (bias is not None and bias.any()):
        raise ModelError("the head is not the embeddings, as Whisper's is: it cannot be imported.", path=path)


def _read_settings(path: Path) -> dict[str, Any]:
    """Generation settings in CTranslate2's ``config.json``, by transformers' names."""
    if not path.is_file():
        return {}
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
        names = {"suppress_ids": "suppress_tokens", "suppress_ids_begin": "begin_suppress_tokens"}
        found: dict[str, Any] = {
            theirs: [int(i) for i in tree[ours]] for ours, theirs in names.items() if tree.get(ours)
        }
        if tree.get("alignment_heads"):
            found["alignment_heads"] = [[int(layer), int(head)] for layer, head in tree["alignment_heads"]]
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ModelError("these are not the settings of a CTranslate2 Whisper.", path=path) from error
    return found


def _vocabulary(folder: Path, size: int, vocabulary: Callable[[int], WhisperVocabulary]) -> WhisperVocabulary:
    """From ``tokenizer.json``, else from the list of tokens, else from ``vocabulary``.

    By CTranslate2's own rule a vocabulary with the empty token is multilingual.
    """
    tokens = _tokens(folder)
    multilingual = size >= MULTILINGUAL if tokens is None else "" in tokens
    path = folder / "tokenizer.json"
    if path.is_file():
        found = read_tokenizer_json(path, multilingual)
        for token in (END, START, NO_TIMESTAMPS):
            index = found.specials.get(token, size)
            if tokens is not None and tokens[index : index + 1] != [token]:
                raise ModelError(f"vocabulary and tokeniser disagree on {token}: copy both anew.", path=path)
        return found
    if tokens is None:
        return vocabulary(size)
    return from_tokens(tokens[:size], multilingual, folder)


def _tokens(folder: Path) -> list[str] | None:
    """All tokens by id; None where the folder has no list of them."""
    tree, lines = folder / "vocabulary.json", folder / "vocabulary.txt"
    try:
        if tree.is_file():
            return [str(token) for token in json.loads(tree.read_text(encoding="utf-8"))]
        if lines.is_file():
            return lines.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise ModelError("the vocabulary of the CTranslate2 Whisper cannot be read.", path=folder) from error
    return None
