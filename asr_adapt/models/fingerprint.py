"""What identifies the frozen part of a recogniser: its weights, its settings, how its inputs are made.

Knows hashing. Does not know who asks or where results are kept.
"""

from __future__ import annotations

import hashlib
import json

import torch

from asr_adapt.models.contract import Recogniser


def prefix_fingerprint(recogniser: Recogniser, boundary: int) -> str:
    """SHA-256 over weights and buffers below ``boundary``, the configuration and the input settings.

    Two recognisers with equal fingerprints give equal outputs of :meth:`Recogniser.encode` on equal sound.
    """
    digest = hashlib.sha256()
    settings = {
        "boundary": boundary,
        "config": recogniser.model.config.to_dict(),
        "inputs": recogniser.processor.feature_extractor.to_dict(),
        "settings": repr(recogniser.settings),
        "torch": torch.__version__,
    }
    digest.update(json.dumps(settings, sort_keys=True, default=str).encode())
    below = recogniser.stack.stages[:boundary]
    for name, tensor in sorted(recogniser.model.state_dict().items()):
        if any(stage.owns(name) for stage in below):
            digest.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)}".encode())
            raw = tensor.detach().cpu().contiguous().flatten().view(torch.uint8)
            digest.update(raw.numpy().tobytes())
    return digest.hexdigest()
