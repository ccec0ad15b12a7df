"""Weights kept while a run goes on, besides its checkpoints: the best ones, and those that may be averaged.

Knows one file of tensors, each with a checksum, and what is said where it is not as it was written. Does not
know when weights are kept, nor which.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from asr_adapt.errors import DataError
from asr_adapt.files import atomic_write
from asr_adapt.training.prefix.store import checksum

#: Steps are part of the name, so that a resumed run finds the best of its checkpoint.
BEST = "best"


def best_path(checkpoints: Path, step: int) -> Path:
    """Where the best weights are while those of ``step`` are the best."""
    return checkpoints / BEST / f"step_{step:06d}.safetensors"


def keep_weights(path: Path, state: Mapping[str, Tensor]) -> None:
    """Write CPU tensors to ``path``, whole or not at all."""
    sums = {name: checksum(tensor) for name, tensor in state.items()}
    with atomic_write(path, "wb") as handle:
        handle.write(save(dict(state), metadata={"crc32": json.dumps(sums)}))


def kept_weights(path: Path) -> dict[str, Tensor]:
    """What :func:`keep_weights` wrote; raises :class:`DataError` where the file is gone or has changed."""
    try:
        with safe_open(path, "pt") as stored:
            sums = json.loads((stored.metadata() or {}).get("crc32", "{}"))
            state = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise _lost(path, "cannot be read") from error
    if any(checksum(tensor) != sums.get(name, checksum(tensor)) for name, tensor in state.items()):
        raise _lost(path, "have changed since they were written")
    return state


def is_whole(path: Path) -> bool:
    """Whether :func:`kept_weights` can read the file."""
    try:
        kept_weights(path)
    except DataError:
        return False
    return True


def _lost(path: Path, how: str) -> DataError:
    return DataError(
        f"the weights that this run kept {how}: start again with --overwrite or another --output.",
        path=path,
    )
