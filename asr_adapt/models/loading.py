"""Finding and loading a recogniser: by name, from a local directory, a foreign file or the hub.

Knows where models are looked for, which family serves an architecture, and what each failure means to a user.
Does not know what a model computes.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

import torch
from transformers import GenerationConfig
from transformers.utils import logging as transformers_logging

from asr_adapt.errors import AsrAdaptError, ModelError, UsageError
from asr_adapt.files import user_path
from asr_adapt.models.contract import Recogniser
from asr_adapt.models.cpu_products import prefer_fast_products
from asr_adapt.models.fetching import converted, fetch
from asr_adapt.models.files.directory import CONFIG, Checkpoint
from asr_adapt.models.files.weights import load_network
from asr_adapt.models.importing import foreign_kind
from asr_adapt.models.lora import adapter_in, attach_adapter, base_of, is_adapter
from asr_adapt.models.registry import architecture
from asr_adapt.pretrained import hub
from asr_adapt.pretrained.catalogue import MODELS, find

logger = logging.getLogger(__name__)

COMPUTE_TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
#: The longest that a library's own words may be in our sentence, in characters.
_QUOTED = 200


def bundled_models() -> dict[str, Path]:
    """Models that travel with the package: name → directory."""
    root = Path(str(resources.files("asr_adapt.assets")))
    return {p.parent.name: p.parent for p in sorted(root.glob("*/config.json"))}


def portable(model: str) -> str:
    """How a file names a model that is read from anywhere: folders and files by their full path."""
    path = user_path(model)
    return model if model in bundled_models() or not path.exists() else str(path.resolve())


def resolve(source: str | Path) -> str:
    """The directory or hub id that ``source`` means.

    A bundled name comes first, then a directory or file, then a name of the catalogue, which is fetched. A
    Whisper of another runtime is converted into the cache. Raises :class:`ModelError` where there is none.
    """
    text = str(source)
    bundled = bundled_models()
    if text in bundled:
        return str(bundled[text])
    path = user_path(text)
    if foreign_kind(path) is not None:
        return str(converted(path))
    named = find(text)
    if named is not None and not path.is_dir():
        return str(fetch(named))
    if path.is_dir():
        if not (path / CONFIG).is_file() and not is_adapter(path):
            raise ModelError(
                "the folder holds no config.json: give a transformers model directory.", path=path
            )
        return str(path)
    looks_local = path.is_absolute() or text.startswith((".", "~")) or text.count("/") > 1 or path.exists()
    if looks_local or "/" not in text:
        if path.is_file():
            raise ModelError(
                "this file is not a known model format: give a model directory, an OpenAI .pt or a "
                "whisper.cpp "
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


def located(source: str | Path) -> Path:
    """The directory of ``source`` on this machine; a hub id is downloaded, or taken from the cache."""
    where = resolve(source)
    return Path(where) if Path(where).is_dir() else hub.snapshot(where)


def is_whisper(source: str | Path) -> bool:
    """Whether ``source`` is a Whisper, also one of another runtime or an adapter of one; it is not loaded."""
    folder = located(source)
    while is_adapter(folder):
        folder = located(base_of(folder))
    return Checkpoint(folder, str(source)).read(CONFIG).get("model_type") == "whisper"


def load_recogniser(
    source: str | Path,
    *,
    device: str = "auto",
    compute_type: str = "auto",
    new_head: bool = False,
    new_vocabulary: bool = False,
) -> Recogniser:
    """Load a model by name, directory, file of another runtime, or hub id.

    ``device`` is ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``; ``compute_type`` is ``auto``,
    ``fast``, ``float32``, ``bfloat16`` or ``float16``. Raises :class:`~asr_adapt.errors.ModelError`.

    ``new_head`` admits a self-supervised checkpoint, whose output head is then random
    (:attr:`Recogniser.fresh_head`). ``new_vocabulary`` admits one that has no vocabulary either (XLS-R, say):
    its head knows no character until :func:`~asr_adapt.models.ctc.heads.set_vocabulary` gives it some.
    """
    place = choose_device(device)
    dtype = choose_dtype(compute_type, place)
    if place.type == "cpu":
        prefer_fast_products()
    checkpoint = Checkpoint(located(source), str(source))
    if is_adapter(checkpoint.folder):
        return _load_adapted(checkpoint, device, dtype)
    served = architecture(checkpoint.config.get("model_type"), checkpoint.shown)
    served.require(checkpoint)
    checkpoint.check()
    with _explained(checkpoint):
        processor, arguments = served.processor(checkpoint, new_vocabulary)
        loaded = load_network(
            served.loader,
            checkpoint,
            dtype,
            new_head=new_vocabulary or (new_head and not checkpoint.recognises),
            **arguments,
        )
        recogniser = served.recogniser(loaded.model.eval(), processor, str(source))
    remote = not user_path(checkpoint.shown).is_dir() and checkpoint.shown not in bundled_models()
    served.opened(recogniser, checkpoint, remote=remote)
    recogniser.model.to(place)
    recogniser.fresh_head = loaded.fresh_head
    return recogniser


def load_adapted(
    base: str | Path | None, adapter: str | Path, *, device: str = "auto", compute_type: str = "auto"
) -> Recogniser:
    """``base`` with the LoRA adapter of a folder or hub id merged; None: the base that the adapter names.

    A result folder stands for the adapter in it. A base other than the named one is obeyed, and said. Raises
    :class:`ModelError` for what is no adapter, or none of this base.
    """
    folder = adapter_in(adapter)
    checkpoint = Checkpoint(located(adapter) if folder is None else folder, str(adapter))
    if not is_adapter(checkpoint.folder):
        raise ModelError(
            "holds no adapter (adapter_config.json): give a whole model by --model.", path=adapter
        )
    dtype = choose_dtype(compute_type, choose_device(device))
    recogniser = _load_adapted(checkpoint, device, dtype, base)
    if base is not None and not _same_model(base, named := base_of(checkpoint.folder)):
        logger.warning("%s was trained on %s and is put on %s.", adapter, named, base)
        recogniser.name = f"{adapter} on {base}"
    return recogniser


def _same_model(one: str | Path, other: str) -> bool:
    """Whether two names mean one folder or hub id, as far as can be told without fetching."""
    places = []
    for name in (str(one), other):
        path = bundled_models().get(name, user_path(name))
        places.append(str(path.resolve()) if path.exists() else name)
    return places[0] == places[1]


def _load_adapted(
    checkpoint: Checkpoint, device: str, dtype: torch.dtype, given: str | Path | None = None
) -> Recogniser:
    """The base ``given``, else the one that an adapter folder names, with the adapter merged in float32."""
    folder = checkpoint.folder
    base = base_of(folder) if given is None else str(given)
    try:
        recogniser = load_recogniser(
            base, device=device, compute_type="float32", new_head=True, new_vocabulary=True
        )
    except ModelError as error:
        if given is not None:
            raise
        raise ModelError(
            f"the adapter's base cannot be loaded ({error})",
            path=folder / "adapter_config.json",
            field="base_model_name_or_path",
        ) from error
    served = architecture(recogniser.model.config.model_type, checkpoint.shown)
    recogniser = served.adopted(recogniser, folder)
    attach_adapter(recogniser, folder).merge()
    model = recogniser.model.to(dtype).eval()
    if checkpoint.holds("generation_config.json"):
        model.generation_config = GenerationConfig.from_pretrained(folder)
    return served.recogniser(model, recogniser.processor, checkpoint.shown)


@contextmanager
def _explained(checkpoint: Checkpoint) -> Iterator[None]:
    """One sentence for what libraries say in a paragraph; the cause stays attached for --debug."""
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    except (AsrAdaptError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # configurations and tokenisers of others can end in any of them
        words = " ".join(str(error).split()) or type(error).__name__
        shown = words if len(words) <= _QUOTED else f"{words[:_QUOTED]}…"
        raise ModelError(
            f"the model cannot be loaded ({type(error).__name__}: {shown}): save or download it again.",
            path=checkpoint.shown,
        ) from error
    finally:
        transformers_logging.set_verbosity(verbosity)
