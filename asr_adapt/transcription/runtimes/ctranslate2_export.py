"""A Whisper model for CTranslate2 (faster-whisper), checked against torch before anyone relies on it.

Knows the conversion, the files that faster-whisper looks for, and the check. Does not know how the model is
used afterwards.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from asr_adapt.destinations import mark_folder, require_folder
from asr_adapt.errors import MissingExtraError, ModelError
from asr_adapt.files import atomic_directory, temporary_folder, write_json
from asr_adapt.models import Recogniser, WhisperRecogniser

_UNUSED = "<|startoflm|>"
#: Weight types that CTranslate2 stores.
QUANTISATIONS = ("float32", "float16", "bfloat16", "int8", "int8_float32", "int8_float16", "int16")


@dataclass(frozen=True)
class Agreement:
    """An exported model against torch: clips, and how many have the same greedy transcript."""

    graph: str
    clips: int
    same_text: int


def export_ctranslate2(
    recogniser: Recogniser,
    directory: str | Path,
    clips: Sequence[np.ndarray] = (),
    *,
    quantisation: str = "float32",
) -> Agreement:
    """Convert with CTranslate2's own converter into ``directory``, which faster-whisper loads.

    ``clips`` are float32 mono waveforms at the recogniser's rate, of at most 30 s, on which both are compared
    in the full context. Raises MissingExtraError without the package, ModelError for another family.
    """
    require_package("Export to CTranslate2")
    if not isinstance(recogniser, WhisperRecogniser):
        raise ModelError("only Whisper models are exported to CTranslate2.", path=recogniser.name)
    if quantisation not in QUANTISATIONS:
        raise ModelError(f"quantisation {quantisation!r} is unknown: use one of {', '.join(QUANTISATIONS)}.")
    require_folder(directory, "export", [recogniser.name], again=True)
    with atomic_directory(directory, replace=True) as folder:
        write_ctranslate2(recogniser, folder, quantisation)
        same = agreeing(recogniser, folder, clips)
        mark_folder(folder, "export")
    return Agreement("model.bin", len(clips), same)


def require_package(what: str) -> None:
    """Raise MissingExtraError, which names ``what``, where CTranslate2 is not installed."""
    if find_spec("ctranslate2") is None:
        raise MissingExtraError(what, "ctranslate2")


def write_ctranslate2(recogniser: WhisperRecogniser, folder: Path, quantisation: str) -> None:
    """Weights of the type ``quantisation``, vocabulary and settings into the present ``folder``."""
    from ctranslate2.converters import TransformersConverter

    with temporary_folder() as saved:
        recogniser.save(saved)
        converter = TransformersConverter(saved, copy_files=["tokenizer.json"])
        converter.convert(str(folder), quantization=quantisation, force=True)
    write_json(folder / "preprocessor_config.json", _features(recogniser))
    if recogniser.tokens.multilingual:
        _mark_multilingual(folder / "vocabulary.json")


def agreeing(recogniser: WhisperRecogniser, folder: Path, clips: Sequence[np.ndarray]) -> int:
    """On how many clips the converted model's greedy tokens give the text of torch."""
    import ctranslate2

    converted = ctranslate2.models.Whisper(str(folder), device="cpu", inter_threads=1, intra_threads=1)
    saved = recogniser.settings.context
    recogniser.use_context("full")
    same = 0
    for clip in clips:
        mels = recogniser.inputs([clip]).states.transpose(1, 2).contiguous().numpy()
        language = recogniser.tokens.saved_language
        prefix = recogniser.tokens.prefix(language, recogniser.settings.task)
        rules = recogniser.decoding.rules(len(prefix))
        found = converted.generate(
            ctranslate2.StorageView.from_array(mels),
            [prefix],
            beam_size=1,
            max_length=2 * (rules.most - len(prefix)),  # half of it may be said, half is given
        )[0]
        text = recogniser.processor.tokenizer.decode(found.sequences_ids[0], skip_special_tokens=True)
        same += text.strip() == recogniser.transcribe([clip], language=language)[0].text
    recogniser.use_context(saved)
    return same


def _mark_multilingual(path: Path) -> None:
    """Let the vocabulary hold the empty token, by which CTranslate2 tells multilingual models.

    OpenAI's multilingual vocabularies have it, others need not; without it faster-whisper gives the decoder
    neither language nor task. ``<|startoflm|>``, which nobody says or is given, makes room.
    """
    tokens = json.loads(path.read_text(encoding="utf-8"))
    if "" not in tokens and _UNUSED in tokens:
        tokens[tokens.index(_UNUSED)] = ""
        write_json(path, tokens)


def _features(recogniser: WhisperRecogniser) -> dict[str, Any]:
    """What faster-whisper reads from ``preprocessor_config.json``, which transformers 5 no longer writes."""
    extractor = recogniser.processor.feature_extractor
    names = ("feature_size", "sampling_rate", "hop_length", "chunk_length", "n_fft")
    return {"feature_extractor_type": "WhisperFeatureExtractor", **{n: getattr(extractor, n) for n in names}}
