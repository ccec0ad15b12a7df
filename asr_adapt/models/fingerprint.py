"""What identifies a recogniser or the frozen part of one: weights, settings, how its inputs are made.

Knows hashing. Does not know who asks or where results are kept.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import torch

from asr_adapt.models.contract import Recogniser


def settings_fingerprint(recogniser: Recogniser) -> str:
    """SHA-256 over all but the weights: configuration, inputs, what a decoder was told, torch's version."""
    settings = {
        "config": recogniser.model.config.to_dict(),
        "inputs": recogniser.processor.feature_extractor.to_dict(),
        "settings": repr(recogniser.settings),
        "torch": torch.__version__,
    }
    return hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()


def weights_fingerprint(recogniser: Recogniser) -> str:
    """SHA-256 over every weight and buffer."""
    return _hashed(hashlib.sha256(), recogniser, lambda _: True)


def decoding_fingerprint(recogniser: Recogniser) -> str:
    """SHA-256 over all that its transcripts depend on: weights, configuration, how inputs are made and how a
    decoder searches. Equal fingerprints give equal transcripts of equal sound."""
    generation = getattr(recogniser.model, "generation_config", None)
    told = "" if generation is None else generation.to_json_string(use_diff=False)
    parts = (settings_fingerprint(recogniser), repr(recogniser.settings), repr(recogniser.search), told)
    return _hashed(hashlib.sha256("\n".join(parts).encode()), recogniser, lambda _: True)


def prefix_fingerprint(recogniser: Recogniser, boundary: int) -> str:
    """SHA-256 over weights and buffers below ``boundary``, the configuration and the input settings.

    Two recognisers with equal fingerprints give equal outputs of :meth:`Recogniser.encode` on equal sound.
    """
    digest = hashlib.sha256(f"{boundary}\n{settings_fingerprint(recogniser)}".encode())
    below = recogniser.stack.stages[:boundary]
    return _hashed(digest, recogniser, lambda name: any(stage.owns(name) for stage in below))


def _hashed(digest: Any, recogniser: Recogniser, wanted: Callable[[str], bool]) -> str:
    """The digest of what it holds and of the ``wanted`` tensors.

    All their bytes are read, every time: torch's counter of changes misses the steps of a fused AdamW. What
    two names share (an output layer tied to its embedding) is read once.
    """
    read: dict[tuple[Any, ...], bytes] = {}
    for name, tensor in sorted(recogniser.model.state_dict().items()):
        if wanted(name):
            digest.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)}".encode())
            place = tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride()
            if place not in read:
                raw = tensor.detach().cpu().contiguous().flatten().view(torch.uint8)
                read[place] = hashlib.sha256(raw.numpy().data).digest()
            digest.update(read[place])
    return str(digest.hexdigest())
