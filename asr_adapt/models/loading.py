"""Finding and loading a recogniser: bundled name, local directory or hub id.

Knows where models are looked for, which family serves an architecture, and what each failure means to a user.
Does not know what a model computes.
"""

from __future__ import annotations

import json
import logging
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCTC, AutoProcessor
from transformers.utils import logging as transformers_logging

from asr_adapt.errors import ModelError, UsageError
from asr_adapt.models.anatomy import ANATOMIES
from asr_adapt.models.contract import Recogniser
from asr_adapt.models.ctc import CtcRecogniser

DEFAULT_MODEL = "nano-en"
COMPUTE_TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
logger = logging.getLogger(__name__)


def bundled_models() -> dict[str, Path]:
    """Models that travel with the package: name → directory."""
    root = Path(str(resources.files("asr_adapt.assets")))
    return {p.parent.name: p.parent for p in sorted(root.glob("*/config.json"))}


def resolve(source: str | Path) -> str:
    """The directory or hub id that ``source`` means; raises :class:`ModelError` for a missing directory."""
    text = str(source)
    bundled = bundled_models()
    if text in bundled:
        return str(bundled[text])
    path = Path(text).expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise ModelError(
                "the folder holds no config.json: give a transformers model directory.", path=path
            )
        return str(path)
    looks_local = path.is_absolute() or text.startswith((".", "~")) or text.count("/") > 1 or path.exists()
    if looks_local or "/" not in text:
        names = ", ".join(bundled) or "none"
        raise ModelError(
            f"no such model: give a bundled name ({names}), a model directory or a hub id (owner/name).",
            path=text,
        )
    return text


def choose_device(device: str = "auto") -> torch.device:
    """``auto`` means CUDA, then MPS, then CPU; raises :class:`UsageError` for one that is not there."""
    if device == "auto":
        mps = torch.backends.mps.is_available()
        return torch.device("cuda" if torch.cuda.is_available() else "mps" if mps else "cpu")
    try:
        chosen = torch.device(device)
        torch.empty(1, device=chosen)
    except (RuntimeError, AssertionError) as error:
        raise UsageError(f"device {device!r} cannot be used here: choose auto or cpu.") from error
    return chosen


def choose_dtype(compute_type: str, device: torch.device) -> torch.dtype:
    """``auto`` means float16 on CUDA and float32 elsewhere."""
    if compute_type == "auto":
        return torch.float16 if device.type == "cuda" else torch.float32
    if compute_type not in COMPUTE_TYPES:
        known = ", ".join(("auto", *COMPUTE_TYPES))
        raise UsageError(f"compute type {compute_type!r} is unknown: use one of {known}.")
    return COMPUTE_TYPES[compute_type]


def load_recogniser(source: str | Path, *, device: str = "auto", compute_type: str = "auto") -> Recogniser:
    """Load ``source`` onto ``device``; see :meth:`Recogniser.load`."""
    place = choose_device(device)
    dtype = choose_dtype(compute_type, place)
    where = resolve(source)
    config = _config(where, str(source))
    if config.model_type not in ANATOMIES:
        known = ", ".join(sorted(ANATOMIES))
        raise ModelError(
            f"architecture {config.model_type!r} is not supported: use one of {known}.", path=str(source)
        )
    model, processor = _load_parts(where, str(source), dtype)
    return CtcRecogniser(model.to(place).eval(), processor, str(source))


def _config(where: str, shown: str) -> Any:
    try:
        return AutoConfig.from_pretrained(where)
    except (OSError, ValueError, KeyError) as error:
        raise _explained(where, shown, error) from error


def _load_parts(where: str, shown: str, dtype: torch.dtype) -> tuple[Any, Any]:
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        processor = AutoProcessor.from_pretrained(where)
        model = AutoModelForCTC.from_pretrained(where, dtype=dtype)
    except (OSError, ValueError, TypeError, RuntimeError, json.JSONDecodeError) as error:
        raise _explained(where, shown, error) from error
    finally:
        transformers_logging.set_verbosity(verbosity)
    return model, processor


def _explained(where: str, shown: str, error: Exception) -> ModelError:
    """One sentence for what transformers says in a paragraph; the cause stays attached for --debug."""
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if Path(where).is_dir():
        return ModelError(f"the model cannot be loaded ({first}): save or download it again.", path=shown)
    return ModelError(
        "the hub id could not be loaded: check the spelling and the network, "
        f"or give a local directory ({first}).",
        path=shown,
    )
