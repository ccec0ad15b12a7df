"""Whisper checkpoints of other runtimes, read into a transformers directory.

Knows the file formats. Does not know where files come from, nor where the result is kept.
"""

from asr_adapt.models.importing.checkpoint import Checkpoint
from asr_adapt.models.importing.ctranslate2 import read_ctranslate2
from asr_adapt.models.importing.whisper_directory import write_whisper

__all__ = ["Checkpoint", "read_ctranslate2", "write_whisper"]
