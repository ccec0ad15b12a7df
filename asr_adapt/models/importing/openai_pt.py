"""An OpenAI Whisper checkpoint, ``.pt``: sizes and weights, no vocabulary.

Knows its two tables and how it is read without running any code of it. Does not know where the vocabulary
comes from: whoever calls says.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from asr_adapt.errors import ModelError
from asr_adapt.models.files.directory import refused_objects
from asr_adapt.models.importing.checkpoint import WhisperCheckpoint
from asr_adapt.models.importing.openai_names import named
from asr_adapt.models.importing.vocabulary import WhisperVocabulary

#: Sizes, and where in which weight each must be found again.
_SIZES = {
    "n_mels": ("encoder.conv1.weight", 1),
    "n_audio_ctx": ("encoder.positional_embedding", 0),
    "n_audio_state": ("encoder.positional_embedding", 1),
    "n_vocab": ("decoder.token_embedding.weight", 0),
    "n_text_state": ("decoder.token_embedding.weight", 1),
    "n_text_ctx": ("decoder.positional_embedding", 0),
}
_COUNTS = ("n_audio_head", "n_audio_layer", "n_text_head", "n_text_layer")


def read_openai(path: str | Path, vocabulary: Callable[[int], WhisperVocabulary]) -> WhisperCheckpoint:
    """The Whisper in ``path``; ``vocabulary`` gives that of a model of so many tokens.

    Loaded by ``torch.load(weights_only=True)``. Raises :class:`ModelError` for anything else than sizes and
    weights that belong together.
    """
    place = Path(path)
    tree = _load(place)
    sizes, weights = _parts(tree, place)
    for name, (weight, dimension) in _SIZES.items():
        shape = tuple(weights[weight].shape) if weight in weights else ()
        if len(shape) <= dimension or shape[dimension] != sizes[name]:
            raise _fault(place, f"{name} is {sizes[name]}, and {weight} has the shape {shape}")
    for side in ("audio", "text"):
        prefix = {"audio": "encoder", "text": "decoder"}[side] + ".blocks."
        layers = len({name.split(".")[2] for name in weights if name.startswith(prefix)})
        if layers != sizes[f"n_{side}_layer"]:
            raise _fault(
                place, f"n_{side}_layer is {sizes[f'n_{side}_layer']}, and there are {layers} layers"
            )
    heads = (sizes["n_audio_head"], sizes["n_text_head"])
    return WhisperCheckpoint(place, named(weights), heads, vocabulary(sizes["n_vocab"]))


def _load(path: Path) -> Any:
    """The tree in the file; every stored byte is in the file itself, so that nothing can swell."""
    try:
        with zipfile.ZipFile(path) as archive:
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
                raise _fault(path, "its parts are compressed, which PyTorch never does")
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except ModelError:
        raise
    except OSError as error:
        raise ModelError(f"the file cannot be read ({error.strerror or error}).", path=path) from error
    except Exception as error:  # the unpickler meets whatever a damaged or hostile file holds
        damaged = _fault(path, f"it is damaged or of another program ({type(error).__name__})")
        raise refused_objects(path, error) or damaged from error


def _parts(tree: Any, path: Path) -> tuple[dict[str, int], dict[str, torch.Tensor]]:
    if not isinstance(tree, dict) or not {"dims", "model_state_dict"} <= tree.keys():
        raise _fault(path, "it lacks dims or model_state_dict")
    sizes, weights = tree["dims"], tree["model_state_dict"]
    wanted = {*_SIZES, *_COUNTS}
    if not isinstance(sizes, dict) or not all(type(sizes.get(name)) is int for name in wanted):
        raise _fault(path, f"dims must give {', '.join(sorted(wanted))} as whole numbers")
    if not isinstance(weights, dict):
        raise _fault(path, "model_state_dict is not a dict")
    kept = {}
    for name, tensor in weights.items():
        if not (isinstance(name, str) and isinstance(tensor, torch.Tensor)) or tensor.is_sparse:
            raise _fault(path, f"{name!r} is not a tensor")
        if not tensor.is_floating_point():
            raise _fault(path, f"{name!r} is {tensor.dtype}, not floating-point")
        if name.endswith(".mask") or name == "mask":
            continue  # the causal mask, which very old files carry
        kept[name] = tensor
    stated = sum(tensor.numel() * tensor.element_size() for tensor in kept.values())
    if stated > path.stat().st_size:
        raise _fault(path, f"its weights need {stated} bytes, more than the file has")
    return sizes, kept


def _fault(path: Path, what: str) -> ModelError:
    return ModelError(f"this is not an OpenAI Whisper checkpoint: {what}.", path=path)
