"""The processor of a checkpoint: feature extractor and tokeniser, whichever class the repository names.

Knows how transformers' processors are put together, and what a folder without a tokeniser means. Does not
know networks.

CTC processors are built from their two parts, because the class that a repository names may not be there:
``Wav2Vec2ProcessorWithLM`` needs packages that transformers no longer installs.
"""

from __future__ import annotations

import json
import logging
from typing import Any

from transformers import (
    AutoFeatureExtractor,
    AutoProcessor,
    AutoTokenizer,
    Wav2Vec2BertProcessor,
    Wav2Vec2CTCTokenizer,
    Wav2Vec2Processor,
)

from asr_adapt.errors import ModelError
from asr_adapt.files import temporary_folder
from asr_adapt.models.files.directory import Checkpoint
from asr_adapt.text import PAD, UNKNOWN, WORD_DELIMITER

logger = logging.getLogger(__name__)

#: The tokens of a head that is still to be given its characters.
EMPTY = {PAD: 0, UNKNOWN: 1, WORD_DELIMITER: 2}
#: What an n-gram decoder of pyctcdecode leaves in a repository.
_LANGUAGE_MODEL = "language_model"


def character_tokenizer(
    tokens: dict[str, int],
    *,
    pad: str = PAD,
    unknown: str = UNKNOWN,
    delimiter: str = WORD_DELIMITER,
) -> Wav2Vec2CTCTokenizer:
    """A CTC tokeniser for ``tokens``, among them the blank ``pad``, ``unknown`` and the word delimiter."""
    with temporary_folder() as folder:
        path = folder / "vocab.json"
        path.write_text(json.dumps(tokens, ensure_ascii=False), encoding="utf-8")
        return Wav2Vec2CTCTokenizer(
            str(path),
            pad_token=pad,
            unk_token=unknown,
            word_delimiter_token=delimiter,
            bos_token=None,
            eos_token=None,
        )


def ctc_processor(checkpoint: Checkpoint) -> Any:
    """The processor of a CTC model that writes characters or phonemes; raises :class:`ModelError`."""
    require_vocabulary(checkpoint)
    if (checkpoint.folder / _LANGUAGE_MODEL).is_dir():
        logger.warning(
            "%s: its n-gram language model (%s/) is not used; give one in ARPA format with --lm",
            checkpoint.shown,
            _LANGUAGE_MODEL,
        )
    extractor = AutoFeatureExtractor.from_pretrained(checkpoint.folder, trust_remote_code=False)
    return _joined(extractor, AutoTokenizer.from_pretrained(checkpoint.folder, trust_remote_code=False))


def empty_processor(checkpoint: Checkpoint) -> Any:
    """A processor whose tokeniser knows no character yet."""
    extractor = AutoFeatureExtractor.from_pretrained(checkpoint.folder, trust_remote_code=False)
    return _joined(extractor, character_tokenizer(EMPTY))


def whole_processor(checkpoint: Checkpoint) -> Any:
    """The processor that the repository names, for the other families; raises :class:`ModelError`."""
    require_vocabulary(checkpoint)
    return AutoProcessor.from_pretrained(checkpoint.folder, trust_remote_code=False)


def require_vocabulary(checkpoint: Checkpoint) -> None:
    """Raise :class:`ModelError` for a folder without tokeniser: one is missing, or not yet made."""
    if checkpoint.has_vocabulary:
        return
    if checkpoint.recognises:
        raise ModelError(
            f"the folder holds a trained {checkpoint.architecture} without its tokeniser (vocab.json or "
            "tokenizer.json), as transformers' Trainer leaves it: copy the tokeniser's files into it, "
            "from the folder above or from the model that it was tuned from.",
            path=checkpoint.shown,
        )
    raise ModelError(
        "the checkpoint is only pretrained and has no vocabulary: "
        "adapt it first, with vocabulary: from_manifest in the recipe.",
        path=checkpoint.shown,
    )


def _joined(extractor: Any, tokenizer: Any) -> Any:
    mels = hasattr(extractor, "num_mel_bins")
    return (Wav2Vec2BertProcessor if mels else Wav2Vec2Processor)(extractor, tokenizer)
