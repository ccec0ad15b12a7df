"""The same model for other programs: CTranslate2, ONNX, ggml, and the LoRA adapter alone, each in its folder.

Knows which family and result has which, how each is written and read back. Does not compare (``check``).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from asr_adapt.errors import MissingExtraError, UsageError
from asr_adapt.files import temporary_folder, write_json
from asr_adapt.models import CtcRecogniser, Recogniser, WhisperRecogniser, load_recogniser
from asr_adapt.models.attention.seq2seq import Seq2SeqRecogniser
from asr_adapt.models.fetching.foreign import import_model
from asr_adapt.models.loading import load_adapted
from asr_adapt.models.lora import CONFIG, FOLDER, is_adapter
from asr_adapt.publishing.base import Base
from asr_adapt.publishing.result import Result

#: Share of words that may differ from the result's own: the same numbers in another order of computing, or
#: float16, may turn a close choice.
CLOSE = 0.05


@dataclass(frozen=True)
class Variant:
    """``write`` fills a folder, ``read`` loads it; ``tolerance``: share of words that may differ."""

    name: str
    write: Callable[[Path], None]
    read: Callable[[Path], Recogniser]
    tolerance: float
    extra: str = ""
    #: What is changed once it was read back.
    finish: Callable[[Path], None] | None = None


NAMES = ("ctranslate2", "onnx", "ggml", "adapter")


def chosen_variants(asked: list[str], recogniser: Recogniser, result: Result, base: Base) -> list[Variant]:
    """The variants that were asked for; ``all`` stands for those that this result has.

    Raises :class:`UsageError` for one that it has not, :class:`MissingExtraError` for a package that lacks.
    """
    names = [name.strip() for text in asked for name in text.split(",") if name.strip()]
    has = {variant.name: variant for variant in _possible(recogniser, result, base)}
    if unknown := [name for name in names if name not in (*NAMES, "all")]:
        raise UsageError(f"--variant {unknown[0]!r} is unknown: use {', '.join(NAMES)} or all.")
    if lacking := [name for name in names if name != "all" and name not in has]:
        raise UsageError(
            f"{result.folder} has no {lacking[0]} variant ({_why(lacking[0])}): it has "
            f"{', '.join(has) or 'none'}."
        )
    wanted = [variant for name, variant in has.items() if "all" in names or name in names]
    for variant in wanted:
        if variant.extra and find_spec(_PACKAGES[variant.extra]) is None:
            raise MissingExtraError(f"The {variant.name} variant", variant.extra)
    return wanted


_PACKAGES = {"ctranslate2": "ctranslate2", "onnx": "onnxruntime", "lora": "peft"}


def _why(name: str) -> str:
    return {
        "onnx": "its family does not become graphs",
        "adapter": "it was not trained with strategy lora",
    }.get(name, "only Whisper models do, with one of OpenAI's vocabularies")


def _possible(recogniser: Recogniser, result: Result, base: Base) -> list[Variant]:
    found = []
    if isinstance(recogniser, WhisperRecogniser):
        found += [_ctranslate2(recogniser), *_ggml(recogniser, base.name)]
    if isinstance(recogniser, (CtcRecogniser, Seq2SeqRecogniser)):
        found.append(_onnx(recogniser))
    if is_adapter(result.folder / FOLDER):
        found.append(_adapter(result, base))
    return found


def _ctranslate2(recogniser: WhisperRecogniser) -> Variant:
    from asr_adapt.transcription.runtimes.ctranslate2_export import write_ctranslate2
    from asr_adapt.transcription.runtimes.ctranslate2_runtime import open_export

    def write(folder: Path) -> None:
        folder.mkdir()
        write_ctranslate2(recogniser, folder, "float16")

    def read(folder: Path) -> Recogniser:
        return open_export(folder, recogniser, "float16")

    return Variant("ctranslate2", write, read, CLOSE, "ctranslate2")


def _ggml(recogniser: WhisperRecogniser, base: str) -> list[Variant]:
    from asr_adapt.transcription.runtimes.ggml_export import has_vocabulary, write_ggml

    if not has_vocabulary(recogniser):
        return []
    name = f"ggml-{Path(base).name.removeprefix('whisper-')}-adapted.bin"

    def write(folder: Path) -> None:
        folder.mkdir()
        write_ggml(recogniser, folder / name)

    def read(folder: Path) -> Recogniser:
        with temporary_folder() as place:  # as --model it would be converted into the user's cache
            import_model(folder / name, place / "model")
            return load_recogniser(place / "model", device="cpu", compute_type="float32")

    return [Variant("ggml", write, read, CLOSE)]


def _onnx(recogniser: CtcRecogniser | Seq2SeqRecogniser) -> Variant:
    from asr_adapt.transcription.runtimes.onnx_export import export_onnx
    from asr_adapt.transcription.runtimes.onnx_runtime import open_onnx

    def write(folder: Path) -> None:
        export_onnx(recogniser, folder)

    return Variant("onnx", write, open_onnx, CLOSE, "onnx")


def _adapter(result: Result, base: Base) -> Variant:
    def write(folder: Path) -> None:
        shutil.copytree(result.folder / FOLDER, folder)

    def finish(folder: Path) -> None:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        config["base_model_name_or_path"] = base.hub or base.name  # no place on this machine
        write_json(folder / CONFIG, config)

    def read(folder: Path) -> Recogniser:
        return load_adapted(result.base, folder, device="cpu", compute_type="float32")

    return Variant("adapter", write, read, 0.0, "lora", finish)
