"""Whisper checkpoints of other runtimes, read into a transformers directory.

Knows the file formats. Does not know where files come from, nor where the result is kept.
"""

from asr_adapt.models.importing.checkpoint import WhisperCheckpoint
from asr_adapt.models.importing.kinds import KINDS, foreign_kind, read_foreign
from asr_adapt.models.importing.vocabulary import WhisperVocabulary
from asr_adapt.models.importing.vocabulary_sources import (
    MULTILINGUAL,
    read_tokenizer_json,
    with_openai_specials,
)
from asr_adapt.models.importing.whisper_directory import write_whisper

__all__ = [
    "KINDS",
    "MULTILINGUAL",
    "WhisperCheckpoint",
    "WhisperVocabulary",
    "foreign_kind",
    "read_foreign",
    "read_tokenizer_json",
    "with_openai_specials",
    "write_whisper",
]
