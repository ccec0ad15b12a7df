"""asr_adapt: adapt a pretrained speech recogniser to an accent or language, and prove the gain.

The public names are imported lazily, so that ``import asr_adapt`` needs no torch.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# PyTorch then asks for large pages. A CPU spends a tenth of inference on page faults without them. It is read
# once, when the first tensor is made; who has set it keeps their choice.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

if TYPE_CHECKING:
    from asr_adapt.api.adapted import Adapted
    from asr_adapt.api.adapting import adapt, estimate, train
    from asr_adapt.api.data import build, check, split
    from asr_adapt.api.exporting import Exported, export
    from asr_adapt.api.probing import probe
    from asr_adapt.api.transcriber import Transcriber, load
    from asr_adapt.api.transcribing import evaluate, stream, transcribe
    from asr_adapt.decoding import Decoding
    from asr_adapt.errors import (
        AsrAdaptError,
        DataError,
        MissingExtraError,
        ModelError,
        NotComparableError,
        RecipeError,
        UsageError,
    )
    from asr_adapt.manifest import Manifest, Utterance
    from asr_adapt.models import Recogniser, Word
    from asr_adapt.scoring.compare import compare
    from asr_adapt.scoring.gate import gate
    from asr_adapt.scoring.score import score
    from asr_adapt.training import Recipe
    from asr_adapt.training.callback import Callback
    from asr_adapt.training.data.corpus import Corpus
    from asr_adapt.training.learning.trainer import Trainer
    from asr_adapt.transcription import Segment, Transcript
    from asr_adapt.transcription.live import LiveUpdate

_PUBLIC = {
    "Adapted": "api.adapted",
    "AsrAdaptError": "errors",
    "DataError": "errors",
    "Callback": "training.callback",
    "Corpus": "training.data.corpus",
    "Decoding": "decoding",
    "Exported": "api.exporting",
    "LiveUpdate": "transcription.live",
    "Manifest": "manifest",
    "MissingExtraError": "errors",
    "ModelError": "errors",
    "NotComparableError": "errors",
    "Recipe": "training",
    "RecipeError": "errors",
    "Recogniser": "models",
    "Segment": "transcription",
    "Trainer": "training.learning.trainer",
    "Transcriber": "api.transcriber",
    "Transcript": "transcription",
    "UsageError": "errors",
    "Utterance": "manifest",
    "Word": "models",
    "adapt": "api.adapting",
    "build": "api.data",
    "check": "api.data",
    "compare": "scoring",
    "estimate": "api.adapting",
    "evaluate": "api.transcribing",
    "export": "api.exporting",
    "gate": "scoring",
    "load": "api.transcriber",
    "probe": "api.probing",
    "score": "scoring",
    "split": "api.data",
    "stream": "api.transcribing",
    "train": "api.adapting",
    "transcribe": "api.transcribing",
}
__all__ = [
    "Adapted",
    "AsrAdaptError",
    "Callback",
    "Corpus",
    "DataError",
    "Decoding",
    "Exported",
    "LiveUpdate",
    "Manifest",
    "MissingExtraError",
    "ModelError",
    "NotComparableError",
    "Recipe",
    "RecipeError",
    "Recogniser",
    "Segment",
    "Trainer",
    "Transcriber",
    "Transcript",
    "UsageError",
    "Utterance",
    "Word",
    "__version__",
    "adapt",
    "build",
    "check",
    "compare",
    "estimate",
    "evaluate",
    "export",
    "gate",
    "load",
    "probe",
    "score",
    "split",
    "stream",
    "train",
    "transcribe",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'asr_adapt' has no attribute {name!r}")
    return getattr(importlib.import_module(f"asr_adapt.{_PUBLIC[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
