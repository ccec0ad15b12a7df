"""asr_adapt: adapt a pretrained speech recogniser to an accent or language, and prove the gain.

The public names are imported lazily, so that ``import asr_adapt`` needs no torch.
"""

from __future__ import annotations

import importlib
import os
from typing import Any

__version__ = "0.1.0"

# PyTorch then asks for large pages. A CPU spends a tenth of inference on page faults without them. It is read
# once, when the first tensor is made; who has set it keeps their choice.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

_PUBLIC = {
    "Utterance": "asr_adapt.manifest",
    "Manifest": "asr_adapt.manifest",
    "Recogniser": "asr_adapt.models",
    "Recipe": "asr_adapt.training",
    "adapt": "asr_adapt.training",
    "transcribe": "asr_adapt.transcription",
    "evaluate": "asr_adapt.transcription",
    "score": "asr_adapt.scoring",
    "compare": "asr_adapt.scoring",
}
__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'asr_adapt' has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
