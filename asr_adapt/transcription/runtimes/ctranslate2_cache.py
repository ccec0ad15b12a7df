"""A Whisper ready for CTranslate2: converted once into the cache, or the user's own CTranslate2 folder.

Knows by what a model is recognised again, and the two halves of what is kept: weights, and the settings and
tokeniser of transformers. Does not compute.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from asr_adapt.errors import ModelError
from asr_adapt.files import user_path
from asr_adapt.models import WhisperRecogniser, load_recogniser
from asr_adapt.models.fetching import converted, files_key
from asr_adapt.models.files.directory import CONFIG, Checkpoint
from asr_adapt.models.importing import foreign_kind
from asr_adapt.models.loading import located
from asr_adapt.pretrained import store
from asr_adapt.pretrained.progress import tell
from asr_adapt.transcription.runtimes.ctranslate2_export import write_ctranslate2
from asr_adapt.transcription.runtimes.skeleton import write_settings

_WEIGHTS, _SETTINGS = "ctranslate2", "transformers"


@dataclass(frozen=True)
class Prepared:
    """``weights`` is a folder that CTranslate2 loads, ``settings`` a transformers folder, maybe without
    weights."""

    weights: Path
    settings: Path


def prepared(source: str) -> Prepared:
    """The model ``source`` for CTranslate2; one of transformers is converted where it is not yet.

    Weights keep their precision: float16 where the model is stored so, else float32. Raises ModelError for a
    model that is no Whisper.
    """
    own = user_path(source)
    if foreign_kind(own) == "ctranslate2":
        return Prepared(own, converted(own))
    folder = located(source)
    place = store.place_of_import(f"{folder.name}-ctranslate2", files_key(folder))
    if not store.is_whole(place):
        with store.making(place, store.ModelOrigin(place.name, str(folder))) as work:
            if work is not None:
                _convert(source, folder, work)
    return Prepared(place / _WEIGHTS, place / _SETTINGS)


def _convert(source: str, folder: Path, work: Path) -> None:
    config = Checkpoint(folder, source).read(CONFIG)
    if config.get("model_type", "whisper") != "whisper":
        raise ModelError("the CTranslate2 runtime is for Whisper: use --runtime torch.", path=source)
    tell(f"Converting {source} for CTranslate2, once.")
    recogniser = load_recogniser(source, device="cpu", compute_type="float32")
    if not isinstance(recogniser, WhisperRecogniser):
        raise ModelError("the CTranslate2 runtime is for Whisper: use --runtime torch.", path=source)
    half = config.get("dtype", config.get("torch_dtype")) == "float16"
    (work / _WEIGHTS).mkdir()
    write_ctranslate2(recogniser, work / _WEIGHTS, "float16" if half else "float32")
    write_settings(recogniser, work / _SETTINGS)
