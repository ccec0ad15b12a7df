"""The generation settings of a Whisper checkpoint, whatever the year it was written in.

Knows how language, task and alignment heads were written from 2022 on, and puts them where today's
transformers reads them, so that what is saved works in a plain pipeline. Does not know decoding or audio.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from asr_adapt.errors import ModelError
from asr_adapt.models.attention.whisper.tokens import TASKS, WhisperTokens

logger = logging.getLogger(__name__)


def complete_settings(model: Any, tokens: WhisperTokens) -> None:
    """Fill in what the checkpoint's generation settings lack; what they say is kept.

    Before mid 2023 language and task stood in ``forced_decoder_ids``, of the generation settings or else of
    ``config.json``; the ids of languages and tasks stood nowhere, and a pipeline told a language then fails.
    """
    generation = model.generation_config
    _require_types(generation, tokens.name)
    generation._from_model_config = False  # else transformers forgets the settings when it loads them
    if getattr(generation, "no_timestamps_token_id", None) is None and tokens.no_timestamps is not None:
        generation.says_timestamps = False  # as transformers understands settings that name no such token
    known: dict[str, Any] = {
        "is_multilingual": tokens.multilingual,
        "no_timestamps_token_id": tokens.no_timestamps,
        "prev_sot_token_id": tokens.previous,
    }
    if tokens.multilingual:
        known["lang_to_id"] = {f"<|{code}|>": index for code, index in tokens.languages.items()}
        known["task_to_id"] = {task: tokens.task_id(task) for task in TASKS}
        _unforce(model, tokens)
        known["task"] = tokens.saved_task  # a pipeline that detects the language adds no task of its own
    for name, value in known.items():
        if getattr(generation, name, None) is None and value is not None:
            setattr(generation, name, value)
    _check_heads(model, tokens.name)


def _require_types(generation: Any, name: str) -> None:
    """Raise :class:`ModelError` for a setting that holds something else than numbers."""
    for field in ("suppress_tokens", "begin_suppress_tokens"):
        ids = getattr(generation, field, None)
        if ids is not None and not (isinstance(ids, list) and all(type(i) is int for i in ids)):
            raise ModelError(f"generation_config.json: {field} must be a list of token ids.", path=name)
    most = generation.max_length
    if most is not None and type(most) is not int:
        raise ModelError("generation_config.json: max_length must be a whole number.", path=name)


def _unforce(model: Any, tokens: WhisperTokens) -> None:
    """Language and task out of ``forced_decoder_ids``, unless newer settings name them."""
    generation, config = model.generation_config, model.config
    forced = getattr(generation, "forced_decoder_ids", None) or getattr(config, "forced_decoder_ids", None)
    saved = getattr(generation, "language", None), getattr(generation, "task", None)
    if forced and saved == (None, None):
        said: dict[int, Any] = {int(place): index for place, index in forced}
        languages: dict[Any, str] = {index: code for code, index in tokens.languages.items()}
        tasks: dict[Any, str] = {tokens.task_id(task): task for task in TASKS}
        code = languages.get(said.get(1))
        generation.language = None if code is None else f"<|{code}|>"
        generation.task = tasks.get(said.get(2))
    generation.forced_decoder_ids = None
    if getattr(config, "forced_decoder_ids", None) is not None:
        config.forced_decoder_ids = None


def _check_heads(model: Any, name: str) -> None:
    """Alignment heads that the decoder has not are another model's: all heads of its upper half instead."""
    generation, config = model.generation_config, model.config
    layers, heads = int(config.decoder_layers), int(config.decoder_attention_heads)
    named: Sequence[Sequence[int]] | None = getattr(generation, "alignment_heads", None)
    if named and any(not (0 <= layer < layers and 0 <= head < heads) for layer, head in named):
        logger.warning(
            "%s: its alignment heads are those of a model with more layers; word times come from all heads "
            "of the decoder's upper half",
            name,
        )
        generation.alignment_heads = [[i, head] for i in range(layers // 2, layers) for head in range(heads)]
