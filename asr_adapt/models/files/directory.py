"""A model directory as files: what it holds, read and judged before any network is built.

Knows the files that transformers and PEFT write, what a damaged one looks like, and the names and shapes of
stored tensors. Does not know architectures beyond the names of their layers, nor what a tensor means.

Why before: transformers builds the network first, so a wrong number in ``config.json`` costs hours or the
whole memory, and a damaged file ends in an error that names neither the file nor the fix.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from asr_adapt.errors import ModelError

CONFIG = "config.json"
#: Files of JSON objects that loading reads, where they are there.
OBJECTS = (
    CONFIG,
    "adapter_config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "generation_config.json",
    "vocab.json",
    "tokenizer.json",
    "model.safetensors.index.json",
    "pytorch_model.bin.index.json",
)
#: Any of these is a tokeniser's vocabulary.
VOCABULARIES = ("vocab.json", "tokenizer.json")
#: Weights of a whole model, in the order in which they are preferred; ``*.index.json`` lists shards.
WEIGHTS = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
#: What the names of a CTC network's output layer begin with.
HEADS = ("lm_head.", "ctc_head.")
_POINTER = b"version https://git-lfs.github.com/spec/"
#: Where the number of layers of each half of a network stands; the first that is there counts.
_DEPTHS = {
    "encoder": ("encoder_layers", "encoder_num_hidden_layers", "num_hidden_layers"),
    "decoder": ("decoder_layers", "decoder_num_hidden_layers"),
}
#: torch's words for an object that is no tensor; its own advice, to load it all the same, is not passed on.
_REFUSED = re.compile("unsupported (global|class)|GLOBAL")
#: Numbers of attention heads, by which widths are divided.
_HEADS = ("num_attention_heads", "encoder_attention_heads", "decoder_attention_heads", "num_key_value_heads")
_LAYER = re.compile(r"(?:^|\.)(encoder|decoder)\.layers\.(\d+)\.")

Shapes = Mapping[str, tuple[int, ...]]


class Checkpoint:
    """The files of ``folder``; ``shown`` is the name that messages give it."""

    def __init__(self, folder: str | Path, shown: str | None = None) -> None:
        self.folder = Path(folder)
        self.shown = shown or str(folder)

    def holds(self, name: str) -> bool:
        """Whether a file of that name is there."""
        return (self.folder / name).is_file()

    def read(self, name: str) -> dict[str, Any]:
        """The object in a JSON file, empty where there is none; raises :class:`ModelError`."""
        return read_object(self.folder / name) if self.holds(name) else {}

    @cached_property
    def config(self) -> dict[str, Any]:
        """``config.json``."""
        return self.read(CONFIG)

    @property
    def has_vocabulary(self) -> bool:
        """Whether a tokeniser's files are there."""
        return any(self.holds(name) for name in VOCABULARIES)

    @property
    def architecture(self) -> str:
        """The class of transformers that wrote the checkpoint, as ``config.json`` says; may be empty."""
        named = self.config.get("architectures")
        return str(named[0]) if isinstance(named, list) and named else ""

    @property
    def recognises(self) -> bool:
        """Whether it was written by a class that transcribes, so that its weights include an output head."""
        return self.architecture.endswith(("ForCTC", "ForConditionalGeneration", "ForSpeechSeq2Seq"))

    @property
    def has_head(self) -> bool:
        """Whether a CTC network's output layer is among the weights."""
        return any(name.startswith(HEADS) for name in self.tensors)

    @cached_property
    def tensors(self) -> Shapes:
        """Name and shape of every stored tensor; raises :class:`ModelError` for damaged or absent files."""
        found: dict[str, tuple[int, ...]] = {}
        for path in self._weight_files():
            found.update(tensor_shapes(path))
        return found

    def _weight_files(self) -> list[Path]:
        name = next((name for name in WEIGHTS if self.holds(name)), None)
        if name is None:
            raise ModelError(
                "the folder holds no weights (model.safetensors or pytorch_model.bin): "
                "save or download the model again.",
                path=self.shown,
            )
        if not name.endswith(".index.json"):
            return [self.folder / name]
        parts = self.read(name).get("weight_map")
        if not isinstance(parts, dict) or not parts or not all(isinstance(p, str) for p in parts.values()):
            raise ModelError(
                "lists no weights: download it again.", path=self.folder / name, field="weight_map"
            )
        files = sorted(set(parts.values()))
        if strange := next((f for f in files if Path(f).name != f), None):
            raise ModelError(f"names {strange!r}, which is outside the folder.", path=self.folder / name)
        if absent := next((f for f in files if not self.holds(f)), None):
            raise ModelError(f"names {absent}, which is not there: download it.", path=self.folder / name)
        return [self.folder / file for file in files]

    def check(self) -> None:
        """Raise :class:`ModelError`, naming file and fix, for what cannot be loaded."""
        for name in OBJECTS:
            self.read(name)
        for field in _HEADS:
            if self.config.get(field) is not None:
                _count(self.config[field], self.folder, field)
        for part, (field, wanted) in self.depths().items():
            stored = {int(m[2]) for name in self.tensors if (m := _LAYER.search(name)) and m[1] == part}
            held = max(stored, default=-1) + 1
            if wanted != held:
                place = f"{part}.layers.{min(wanted, held)}"
                raise ModelError(
                    f"says {wanted} {part} layers, the weights hold {held} ({place} is "
                    f"{'missing' if held < wanted else 'too many'}): one of the two is damaged or of another "
                    "model; download both again.",
                    path=self.folder / CONFIG,
                    field=field,
                )

    def depths(self) -> dict[str, tuple[str, int]]:
        """For each half of the network the field that says its number of layers, and the number."""
        found = {}
        for part, fields in _DEPTHS.items():
            nested = self.config.get(f"{part}_config")
            for prefix, values in ((f"{part}_config.", nested), ("", self.config)):
                known = [f for f in fields if isinstance(values, dict) and values.get(f) is not None]
                if known and isinstance(values, dict):
                    found[part] = (
                        prefix + known[0],
                        _count(values[known[0]], self.folder, prefix + known[0]),
                    )
                    break
        return found


def _count(value: object, folder: Path, field: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ModelError(
            f"is {value!r}, where a whole number above 0 belongs: download the file again.",
            path=folder / CONFIG,
            field=field,
        )
    return value


def is_pointer(path: Path) -> bool:
    """Whether the file is what Git leaves in the place of a large file that was not fetched."""
    with path.open("rb") as handle:
        return handle.read(len(_POINTER)) == _POINTER


def _refuse_pointer(path: Path) -> None:
    if is_pointer(path):
        raise ModelError(
            "is a Git LFS pointer, not the file itself: run git lfs install and git lfs pull in that folder.",
            path=path,
        )


def read_object(path: Path) -> dict[str, Any]:
    """The object in a JSON file; raises :class:`ModelError` naming file and line."""
    _refuse_pointer(path)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise ModelError("is not UTF-8 text: download it again.", path=path) from error
    except json.JSONDecodeError as error:
        raise ModelError(
            f"is damaged ({error.msg}): download it again.", path=path, line=error.lineno
        ) from error
    except RecursionError as error:
        raise ModelError("is nested too deeply: download it again.", path=path) from error
    if not isinstance(found, dict):
        raise ModelError("holds no JSON object: download it again.", path=path)
    return found


def tensor_shapes(path: Path) -> Shapes:
    """Name and shape of the tensors in a weights file, without reading the tensors themselves.

    Raises :class:`ModelError` for a pointer, a damaged file, and a pickle that holds more than tensors.
    """
    _refuse_pointer(path)
    if path.suffix == ".safetensors":
        try:
            with safe_open(path, "pt") as stored:
                return {name: tuple(stored.get_slice(name).get_shape()) for name in stored.keys()}  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise _damaged(path, error) from error
    found = read_pickle(path, shapes_only=True)
    return {name: tuple(tensor.shape) for name, tensor in found.items()}


def read_pickle(path: Path, *, shapes_only: bool = False) -> dict[str, torch.Tensor]:
    """The tensors of a ``.bin`` file; nothing in it is ever executed. Raises :class:`ModelError`."""
    _refuse_pointer(path)
    place = "meta" if shapes_only else "cpu"
    try:
        found = torch.load(path, map_location=place, weights_only=True, mmap=_mappable(path))
    except Exception as error:  # a damaged pickle can raise anything
        raise refused_objects(path, error) or _damaged(path, error) from error
    if not isinstance(found, dict):
        raise ModelError("holds no named tensors: download the model again.", path=path)
    return {str(name): value for name, value in found.items() if isinstance(value, torch.Tensor)}


def refused_objects(path: Path, error: Exception) -> ModelError | None:
    """The sentence on a pickle of which torch refuses to make its objects; None for any other ``error``."""
    if not _REFUSED.search(str(error)):
        return None
    return ModelError(
        "holds Python objects besides tensors, and reading those could run its author's code: it is refused; "
        "ask for the model as safetensors.",
        path=path,
    )


def _mappable(path: Path) -> bool:
    """Whether the file is a zip, as torch has written since 1.6; older ones cannot be mapped."""
    with path.open("rb") as handle:
        return handle.read(2) == b"PK"


def _damaged(path: Path, error: Exception) -> ModelError:
    size = path.stat().st_size
    return ModelError(
        f"is damaged or cut short ({size:,} bytes, {type(error).__name__}): download it again.", path=path
    )
