"""Finding and loading a recogniser: by name, from a local directory, a foreign file or the hub.

Knows where models are looked for, which family serves an architecture, and what each failure means to a user.
Does not know what a model computes.
"""

from __future__ import annotations

from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoFeatureExtractor,
    AutoModelForCTC,
    AutoModelForSpeechSeq2Seq,
    AutoProcessor,
    GenerationConfig,
    Wav2Vec2BertProcessor,
    Wav2Vec2Processor,
)
from transformers.utils import cached_file
from transformers.utils import logging as transformers_logging

from asr_adapt.errors import MissingExtraError, ModelError, UsageError
from asr_adapt.models.anatomies import ANATOMIES
from asr_adapt.models.contract import Recogniser
from asr_adapt.models.ctc import CtcRecogniser
from asr_adapt.models.fetching import MODELS, converted, fetch, find
from asr_adapt.models.heads import character_tokenizer, take_vocabulary
from asr_adapt.models.importing import foreign_kind
from asr_adapt.models.lora import attach_adapter, base_of, is_adapter
from asr_adapt.models.moonshine import MoonshineRecogniser
from asr_adapt.models.seq2seq import Seq2SeqRecogniser
from asr_adapt.models.speech2text import Speech2TextRecogniser
from asr_adapt.models.whisper import WhisperRecogniser
from asr_adapt.text import PAD, UNKNOWN, WORD_DELIMITER

DEFAULT_MODEL = "nano-en"
COMPUTE_TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
#: Architecture → (transformers' loader, family).
FAMILIES: dict[str, tuple[Any, type[CtcRecogniser] | type[Seq2SeqRecogniser]]] = {
    **{kind: (AutoModelForCTC, CtcRecogniser) for kind in ANATOMIES},
    "whisper": (AutoModelForSpeechSeq2Seq, WhisperRecogniser),
    "moonshine": (AutoModelForSpeechSeq2Seq, MoonshineRecogniser),
    "speech_to_text": (AutoModelForSpeechSeq2Seq, Speech2TextRecogniser),
}
#: Architecture → (package that its tokeniser needs, our extra that brings it).
EXTRAS = {"speech_to_text": ("sentencepiece", "speech2text")}
_TOKENIZER_FILES = ("tokenizer_config.json", "vocab.json", "tokenizer.json")
_QUIET: dict[str, Any] = {
    "_raise_exceptions_for_missing_entries": False,
    "_raise_exceptions_for_connection_errors": False,
    "_raise_exceptions_for_gated_repo": False,
}


def bundled_models() -> dict[str, Path]:
    """Models that travel with the package: name → directory."""
    root = Path(str(resources.files("asr_adapt.assets")))
    return {p.parent.name: p.parent for p in sorted(root.glob("*/config.json"))}


def resolve(source: str | Path) -> str:
    """The directory or hub id that ``source`` means.

    A bundled name comes first, then a directory or file, then a name of the catalogue, which is fetched. A
    Whisper of another runtime is converted into the cache. Raises :class:`ModelError` where there is none.
    """
    text = str(source)
    bundled = bundled_models()
    if text in bundled:
        return str(bundled[text])
    path = Path(text).expanduser()
    if foreign_kind(path) is not None:
        return str(converted(path))
    named = find(text)
    if named is not None and not path.is_dir():
        return str(fetch(named))
    if path.is_dir():
        if not (path / "config.json").is_file() and not is_adapter(path):
            raise ModelError(
                "the folder holds no config.json: give a transformers model directory.", path=path
            )
        return str(path)
    looks_local = path.is_absolute() or text.startswith((".", "~")) or text.count("/") > 1 or path.exists()
    if looks_local or "/" not in text:
        if path.is_file():
            raise ModelError(
                "this file is no model that is known: give a model directory, an OpenAI .pt or a whisper.cpp "
                "ggml-*.bin.",
                path=text,
            )
        names = ", ".join([*bundled, *(model.name for model in MODELS if model.packages)])
        raise ModelError(
            f"no such model: give a name ({names}; asr-adapt models lists more), a model directory, "
            "or a hub id (owner/name).",
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
    """``auto`` means float16 on CUDA and float32 elsewhere.

    ``fast`` differs on a CPU with matrix units (AMX): float16 where they take it, else bfloat16; more than
    twice as fast as float32. Near ties fall differently from float32, seldom in float16, more often in
    bfloat16; so what is measured is measured in float32.
    """
    if compute_type == "fast" and device.type == "cpu":
        units = torch.cpu.get_capabilities()
        for unit, dtype in (("amx_fp16", torch.float16), ("amx_bf16", torch.bfloat16)):
            if units.get(unit):
                return dtype
    if compute_type in ("auto", "fast"):
        return torch.float16 if device.type == "cuda" else torch.float32
    if compute_type not in COMPUTE_TYPES:
        known = ", ".join(("auto", "fast", *COMPUTE_TYPES))
        raise UsageError(f"compute type {compute_type!r} is unknown: use one of {known}.")
    return COMPUTE_TYPES[compute_type]


def load_recogniser(
    source: str | Path, *, device: str = "auto", compute_type: str = "auto", new_head: bool = False
) -> Recogniser:
    """Load ``source`` onto ``device``; see :meth:`Recogniser.load`.

    ``new_head`` admits a self-supervised checkpoint without vocabulary (XLS-R, say); its head knows no
    character until :func:`~asr_adapt.models.heads.set_vocabulary` gives it some.
    """
    place = choose_device(device)
    dtype = choose_dtype(compute_type, place)
    where = resolve(source)
    if is_adapter(where):
        return _load_adapted(Path(where), device, dtype)
    config = _config(where, str(source))
    if config.model_type not in FAMILIES:
        known = ", ".join(sorted(FAMILIES))
        raise ModelError(
            f"architecture {config.model_type!r} is not supported: use one of {known}.", path=str(source)
        )
    package, extra = EXTRAS.get(config.model_type, ("", ""))
    if package and find_spec(package) is None:
        raise MissingExtraError(f"The tokeniser of {source}", extra)
    loader, family = FAMILIES[config.model_type]
    model, processor = _load_parts(loader, where, str(source), dtype, new_head)
    return family(model.to(place).eval(), processor, str(source))


def _load_adapted(folder: Path, device: str, dtype: torch.dtype) -> Recogniser:
    """The base that an adapter folder names, with the adapter merged in float32."""
    base = base_of(folder)
    try:
        recogniser = load_recogniser(base, device=device, compute_type="float32", new_head=True)
    except ModelError as error:
        raise ModelError(
            f"the adapter's base cannot be loaded ({error})",
            path=folder / "adapter_config.json",
            field="base_model_name_or_path",
        ) from error
    recogniser = take_vocabulary(recogniser, folder)
    attach_adapter(recogniser, folder).merge()
    model = recogniser.model.to(dtype).eval()
    if (folder / "generation_config.json").is_file():
        model.generation_config = GenerationConfig.from_pretrained(folder)
    _, family = FAMILIES[model.config.model_type]
    return family(model, recogniser.processor, str(folder))


def _config(where: str, shown: str) -> Any:
    try:
        return AutoConfig.from_pretrained(where)
    except (OSError, ValueError, KeyError) as error:
        raise _explained(where, shown, error) from error


def _load_parts(loader: Any, where: str, shown: str, dtype: torch.dtype, new_head: bool) -> tuple[Any, Any]:
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        processor, arguments = _processor(where, shown, new_head)
        model = loader.from_pretrained(where, dtype=dtype, **arguments)
    except (OSError, ValueError, TypeError, RuntimeError, SafetensorError) as error:
        raise _explained(where, shown, error) from error
    finally:
        transformers_logging.set_verbosity(verbosity)
    return model, processor


def _processor(where: str, shown: str, new_head: bool) -> tuple[Any, dict[str, Any]]:
    """The processor, and model arguments: a head of three tokens where the checkpoint has no vocabulary."""
    if has_vocabulary(where):
        return AutoProcessor.from_pretrained(where), {}
    if not new_head:
        raise ModelError(
            "the checkpoint is only pretrained and has no vocabulary: "
            "adapt it first, with vocabulary: from_manifest in the recipe.",
            path=shown,
        )
    extractor = AutoFeatureExtractor.from_pretrained(where)
    tokens = {PAD: 0, UNKNOWN: 1, WORD_DELIMITER: 2}
    mels = hasattr(extractor, "num_mel_bins")
    processor = (Wav2Vec2BertProcessor if mels else Wav2Vec2Processor)(extractor, character_tokenizer(tokens))
    return processor, {"vocab_size": len(tokens), "pad_token_id": 0, "ignore_mismatched_sizes": True}


def has_vocabulary(where: str) -> bool:
    """Whether the directory or hub repository holds tokeniser files."""
    return any(cached_file(where, name, **_QUIET) is not None for name in _TOKENIZER_FILES)


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
