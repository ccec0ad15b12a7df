"""Which file serves which architecture, and what such a file must offer.

Knows transformers' names of architectures and where our files lie; a file is imported once its architecture
is asked for. Does not know what is inside any of them. A new architecture is one file, which defines
``ARCHITECTURE``, and one line here.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from asr_adapt.errors import MissingExtraError, ModelError
from asr_adapt.models.contract import Recogniser
from asr_adapt.models.files.directory import Checkpoint
from asr_adapt.models.files.processors import whole_processor

#: ``model_type`` of config.json → the module that defines its ``ARCHITECTURE``.
MODULES = {
    "data2vec-audio": "asr_adapt.models.ctc.data2vec",
    "hubert": "asr_adapt.models.ctc.wav2vec2",
    "moonshine": "asr_adapt.models.attention.moonshine",
    "moonshine_streaming": "asr_adapt.models.attention.moonshine_streaming",
    "parakeet_ctc": "asr_adapt.models.ctc.parakeet",
    "parakeet_tdt": "asr_adapt.models.transducer.parakeet_tdt",
    "qwen3_asr": "asr_adapt.models.audio_llm.qwen3_asr",
    "speech_to_text": "asr_adapt.models.attention.speech2text",
    "unispeech": "asr_adapt.models.ctc.wav2vec2",
    "unispeech-sat": "asr_adapt.models.ctc.wav2vec2",
    "wav2vec2": "asr_adapt.models.ctc.wav2vec2",
    "wav2vec2-bert": "asr_adapt.models.ctc.wav2vec2_bert",
    "wav2vec2-conformer": "asr_adapt.models.ctc.wav2vec2_conformer",
    "wavlm": "asr_adapt.models.ctc.wavlm",
    "whisper": "asr_adapt.models.attention.whisper.recogniser",
}


@dataclass
class Architecture:
    """How a checkpoint of one architecture becomes a recogniser.

    ``loader`` is transformers' class that reads the weights (``AutoModelForCTC``, say), ``family`` makes a
    recogniser of network, processor and name. ``package`` is what its tokeniser needs beyond our own
    dependencies, ``extra`` our extra that brings it.
    """

    loader: Any
    family: Any
    package: str = ""
    extra: str = ""

    def require(self, checkpoint: Checkpoint) -> None:
        """Raise :class:`MissingExtraError` where a package that the architecture needs is absent."""
        if self.package and find_spec(self.package) is None:
            raise MissingExtraError(f"The tokeniser of {checkpoint.shown}", self.extra)

    def processor(self, checkpoint: Checkpoint, new_vocabulary: bool) -> tuple[Any, dict[str, Any]]:
        """The processor, and what the network must be told about it.

        ``new_vocabulary`` admits a checkpoint without a vocabulary, where the architecture can be given one.
        """
        del new_vocabulary
        return whole_processor(checkpoint), {}

    def recogniser(self, model: Any, processor: Any, name: str) -> Recogniser:
        """The recogniser of a loaded network."""
        made: Recogniser = self.family(model, processor, name)
        return made

    def opened(self, recogniser: Recogniser, checkpoint: Checkpoint, *, remote: bool) -> None:
        """Told once the weights are loaded, for what else lies beside them, or in the repository on the hub
        (``remote``)."""

    def adopted(self, recogniser: Recogniser, folder: Path) -> Recogniser:
        """The recogniser with the vocabulary of an adapter's ``folder``, where it has one of its own."""
        del folder
        return recogniser


def architecture(kind: Any, name: str) -> Architecture:
    """What serves the ``model_type`` ``kind``; ``name`` is the model's, for the message.

    Raises :class:`ModelError` for an architecture that is not supported.
    """
    if not isinstance(kind, str) or kind not in MODULES:
        known = ", ".join(sorted(MODULES))
        raise ModelError(f"architecture {kind!r} is not supported: use one of {known}.", path=name)
    found: Architecture = importlib.import_module(MODULES[kind]).ARCHITECTURE
    return found
