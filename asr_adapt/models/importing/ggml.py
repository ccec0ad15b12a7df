"""A whisper.cpp model, ``ggml-*.bin``: sizes, mel filters, vocabulary and weights in one file.

Knows the format as whisper.cpp's ``convert-pt-to-ggml.py`` writes it, in float32 and float16. Does not know
its quantised kinds: they are refused.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from asr_adapt.errors import ModelError
from asr_adapt.models.importing.binary import BinaryFile
from asr_adapt.models.importing.checkpoint import WhisperCheckpoint
from asr_adapt.models.importing.openai_names import named
from asr_adapt.models.importing.vocabulary import END
from asr_adapt.models.importing.vocabulary_sources import from_pieces, with_openai_specials

#: ``ggml`` as a little-endian number.
MAGIC = 0x67676D6C
_SIZES = (
    "n_vocab", "n_audio_ctx", "n_audio_state", "n_audio_head", "n_audio_layer",
    "n_text_ctx", "n_text_state", "n_text_head", "n_text_layer", "n_mels", "ftype",
)  # fmt: skip
_TYPES = {0: "float32", 1: "float16"}
_MOST_RANK = 4
_MOST_NAME = 256


def read_ggml(path: str | Path) -> WhisperCheckpoint:
    """The Whisper in ``path``; raises :class:`ModelError` for a damaged or quantised file."""
    place = Path(path)
    with BinaryFile(place) as file:
        if file.number("I", "the magic number") != MAGIC:
            raise ModelError("this is not a whisper.cpp model: it does not start with ggml.", path=place)
        sizes = {name: file.number("i", name) for name in _SIZES}
        if sizes["ftype"] not in _TYPES:
            raise _quantised(place)
        _skip_filters(file)
        pieces = [file.take(file.number("i", "a token's length"), "a token") for _ in range(_count(file))]
        weights: dict[str, torch.Tensor] = {}
        while file.left:
            name, tensor = _weight(file)
            if name in weights:
                raise file.fault(f"weight {name} comes twice")
            weights[name] = tensor
    if pieces and pieces[-1] == END.encode():  # files of whisper.cpp's first months list it too
        pieces.pop()
    vocabulary = with_openai_specials(from_pieces(pieces, place), sizes["n_vocab"], place)
    heads = (sizes["n_audio_head"], sizes["n_text_head"])
    return WhisperCheckpoint(place, named(weights), heads, vocabulary)


def _skip_filters(file: BinaryFile) -> None:
    """Mel filters are those of every Whisper with as many bands: transformers makes its own."""
    rows, columns = file.number("i", "the mel bands"), file.number("i", "the mel filters' width")
    if rows < 0 or columns < 0:
        raise file.fault("the mel filters have a negative size")
    file.skip(4 * rows * columns, "the mel filters")


def _count(file: BinaryFile) -> int:
    count = file.number("i", "the number of tokens")
    if not 0 <= 4 * count <= file.left:  # each has at least its length
        raise file.fault(f"it says that it has {count} tokens")
    return count


def _weight(file: BinaryFile) -> tuple[str, torch.Tensor]:
    rank, length, kind = (file.number("i", f"a weight's {what}") for what in ("rank", "name", "type"))
    if not 0 < rank <= _MOST_RANK or not 0 < length <= _MOST_NAME:
        raise file.fault(f"a weight has {rank} dimensions and a name of {length} bytes")
    shape = tuple(file.number("i", "a weight's shape") for _ in range(rank))[::-1]
    name = file.string(length, "a weight's name")
    if kind not in _TYPES:
        raise _quantised(file.path)
    if any(side < 1 for side in shape):
        raise file.fault(f"{name} has the shape {shape}")
    values = file.array(_TYPES[kind], shape, name)
    if name in ("encoder.conv1.bias", "encoder.conv2.bias"):
        values = np.squeeze(values, -1) if values.ndim == 2 and values.shape[1] == 1 else values
    return name, torch.from_numpy(values)


def _quantised(path: Path) -> ModelError:
    return ModelError(
        "the model is quantised, and only float32 and float16 can be adapted: "
        "give the file without q5_0, q8_0 or the like in its name.",
        path=path,
    )
