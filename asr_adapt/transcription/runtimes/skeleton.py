"""A Whisper without weights: settings and tokeniser, for runtimes that compute the network themselves.

Knows which files of a transformers directory that takes. Does not know runtimes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import GenerationConfig, WhisperConfig, WhisperForConditionalGeneration

from asr_adapt.models import WhisperRecogniser
from asr_adapt.models.files.directory import Checkpoint
from asr_adapt.models.files.processors import whole_processor


def write_settings(recogniser: WhisperRecogniser, folder: Path) -> None:
    """Everything of transformers' directory but the weights."""
    recogniser.model.config.save_pretrained(folder)
    recogniser.model.generation_config.save_pretrained(folder)
    recogniser.processor.save_pretrained(folder)


def skeleton_in(folder: Path, name: str) -> tuple[Any, Any]:
    """Network without numbers and processor of the settings in ``folder``; ``name`` is for messages."""
    with torch.device("meta"):  # shapes without weights: layers, positions and heads are counted with them
        network = WhisperForConditionalGeneration(WhisperConfig.from_pretrained(str(folder)))
    network.generation_config = GenerationConfig.from_pretrained(str(folder))
    return network, whole_processor(Checkpoint(folder, name))
