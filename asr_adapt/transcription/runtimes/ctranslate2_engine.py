"""CTranslate2's network of a Whisper: its device, its types, how it is opened, and arrays in and out.

Knows CTranslate2's package alone. Does not know recognisers, windows or how a transcript is searched for.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from asr_adapt.errors import ModelError, UsageError

#: Every engine draws alike.
_SEED = 0


def device_named(device: str) -> str:
    """``device``, or the best one for ``auto``; raises UsageError for one that is not there."""
    import ctranslate2

    name = device.partition(":")[0]
    cuda = ctranslate2.get_cuda_device_count() > 0
    if name == "auto":
        return "cuda" if cuda else "cpu"
    if name == "cpu" or (name == "cuda" and cuda):
        return device
    raise UsageError(f"CTranslate2 cannot compute on {device!r} here: choose auto or cpu.")


def type_named(asked: str, device: str) -> str:
    """A type of CTranslate2's for what is asked; raises UsageError for one that ``device`` has not."""
    import ctranslate2

    usual = {"auto": ("float32", "float16"), "fast": ("int8", "int8_float16")}
    chosen = usual[asked][device != "cpu"] if asked in usual else asked
    known = ctranslate2.get_supported_compute_types(device.partition(":")[0])
    if chosen in known:
        return chosen
    raise UsageError(
        f"compute type {chosen!r} is not one that CTranslate2 has on this machine's {device}: "
        f"use one of {', '.join(sorted(known))}."
    )


def open_engine(folder: Path, device: str, compute_type: str) -> Any:
    """The network in ``folder``, drawing from the start of its random numbers; raises ModelError."""
    import ctranslate2

    ctranslate2.set_random_seed(_SEED)
    name, _, index = device.partition(":")
    try:
        return ctranslate2.models.Whisper(
            str(folder),
            device=name,
            device_index=int(index or 0),
            compute_type=compute_type,
            inter_threads=1,
            intra_threads=torch.get_num_threads(),
        )
    except (RuntimeError, ValueError) as error:
        raise ModelError(f"CTranslate2 cannot load it ({error}).", path=folder) from error


def view_of(array: np.ndarray) -> Any:
    """An array as CTranslate2 takes it, without a copy where it lies in one piece."""
    import ctranslate2

    return ctranslate2.StorageView.from_array(np.ascontiguousarray(array))


def tensor_of(view: Any) -> torch.Tensor:
    """What CTranslate2 gave, copied."""
    return torch.from_numpy(np.array(view))
