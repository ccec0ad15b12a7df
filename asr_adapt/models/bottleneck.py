"""Bottleneck adapters that an architecture carries itself, one in each layer (Houlsby et al. 2019; MMS).

Knows where transformers keeps them and the file that ``Wav2Vec2ForCTC.load_adapter`` reads. Does not know how
they are trained, nor recipes.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from safetensors.torch import save

from asr_adapt.errors import ModelError
from asr_adapt.files import atomic_write
from asr_adapt.models.contract import Recogniser
from asr_adapt.models.stack import HEAD

MODULE = "adapter_layer"


def bottleneck_names(recogniser: Recogniser) -> frozenset[str]:
    """Parameters of the adapters inside the layers; raises :class:`ModelError` where there are none."""
    stack = recogniser.stack
    inside = (name for stage in stack.layers for name, _ in stack.parameters_of(stage))
    found = frozenset(name for name in inside if f".{MODULE}." in name)
    if not found:
        raise ModelError(
            "has no bottleneck adapters (adapter_attn_dim in its config, as MMS has): use strategy lora.",
            path=recogniser.name,
        )
    return found


def save_bottleneck(recogniser: Recogniser, names: Collection[str], language: str, folder: Path) -> Path:
    """Write adapters and head as ``adapter.LANGUAGE.safetensors``, for ``model.load_adapter(LANGUAGE)``."""
    stack = recogniser.stack
    wanted = frozenset(names) | stack.names_of(stack.kind(HEAD))
    parameters = recogniser.model.named_parameters()
    state = {n: p.detach().cpu().clone().contiguous() for n, p in parameters if n in wanted}
    target = folder / f"adapter.{language}.safetensors"
    with atomic_write(target, "wb") as handle:
        handle.write(save(state, metadata={"format": "pt"}))
    return target
