"""A checkpoint written as a transformers Whisper directory: weights, tokeniser, features, settings.

Knows which files transformers and the hub's Whisper directories have. Does not know the formats read.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import GenerationConfig, WhisperFeatureExtractor, WhisperProcessor
from transformers.models.whisper.configuration_whisper import NON_SPEECH_TOKENS, NON_SPEECH_TOKENS_MULTI
from transformers.utils import logging as transformers_logging

from asr_adapt.errors import ModelError
from asr_adapt.models.importing.alignment import known_heads
from asr_adapt.models.importing.checkpoint import WhisperCheckpoint
from asr_adapt.models.importing.vocabulary import NO_TIMESTAMPS, PREVIOUS, TASKS

_HOP, _RATE = 160, 16_000
#: Pieces in every OpenAI vocabulary; the tables of tokens that are no speech are made for these.
_OPENAI_PIECES = 50_256


def write_whisper(checkpoint: WhisperCheckpoint, folder: Path) -> None:
    """Write ``checkpoint`` into the present ``folder``, in the precision of its weights.

    Raises :class:`ModelError` where weights and vocabulary do not make a whole Whisper.
    """
    model = checkpoint.model()
    size = model.config.vocab_size
    tokenizer = checkpoint.vocabulary.completed(size, checkpoint.path).tokenizer()
    seconds = model.config.max_source_positions * 2 * _HOP // _RATE
    extractor = WhisperFeatureExtractor(feature_size=model.config.num_mel_bins, chunk_length=max(seconds, 1))
    transformers_logging.disable_progress_bar()
    model.generation_config = GenerationConfig(**generation_settings(checkpoint))
    model.save_pretrained(folder)
    WhisperProcessor(extractor, tokenizer).save_pretrained(folder)


def generation_settings(checkpoint: WhisperCheckpoint) -> dict[str, Any]:
    """What ``generation_config.json`` of the hub's Whisper says, without its forced tokens."""
    vocabulary, positions = checkpoint.vocabulary, checkpoint.tensors["model.decoder.embed_positions.weight"]
    special, end = vocabulary.specials, vocabulary.end
    known = {
        "bos_token_id": end,
        "eos_token_id": end,
        "pad_token_id": end,
        "decoder_start_token_id": vocabulary.start,
        "forced_decoder_ids": None,
        "is_multilingual": vocabulary.multilingual,
        "max_initial_timestamp_index": 50,
        "max_length": len(positions),
        "no_timestamps_token_id": special[NO_TIMESTAMPS],
        "prev_sot_token_id": special.get(PREVIOUS),
        "return_timestamps": False,
        **_suppressed(checkpoint),
        **_alignment(checkpoint),
        **checkpoint.facts,
    }
    if vocabulary.multilingual:
        known["lang_to_id"] = vocabulary.languages
        known["task_to_id"] = {task: special[f"<|{task}|>"] for task in TASKS if f"<|{task}|>" in special}
    _check_ids(checkpoint, known)
    return known


def _suppressed(checkpoint: WhisperCheckpoint) -> dict[str, Any]:
    """OpenAI's lists for its two vocabularies, where the file brings none."""
    vocabulary = checkpoint.vocabulary
    spoken = {*vocabulary.languages, NO_TIMESTAMPS, "<|endoftext|>"}
    never = sorted(index for token, index in vocabulary.specials.items() if token not in spoken)
    if len(vocabulary.pieces) < _OPENAI_PIECES:
        return {"suppress_tokens": never}
    table = NON_SPEECH_TOKENS_MULTI if vocabulary.multilingual else NON_SPEECH_TOKENS
    words = [index for index in table if index < min(vocabulary.specials.values())]
    return {"suppress_tokens": words + never, "begin_suppress_tokens": [220, vocabulary.end]}


def _alignment(checkpoint: WhisperCheckpoint) -> dict[str, Any]:
    config = checkpoint.config()
    found = known_heads(config.decoder_layers, config.decoder_attention_heads, config.vocab_size)
    return {"alignment_heads": found} if found else {}


def _check_ids(checkpoint: WhisperCheckpoint, settings: dict[str, Any]) -> None:
    """Raise :class:`ModelError` for a token or head that the network has not."""
    size = len(checkpoint.tensors["model.decoder.embed_tokens.weight"])
    for name in ("suppress_tokens", "begin_suppress_tokens"):
        if any(not 0 <= index < size for index in settings.get(name) or ()):
            raise ModelError(f"{name} has a token outside 0 to {size - 1}.", path=checkpoint.path)
    layers, heads = checkpoint.config().decoder_layers, checkpoint.heads[1]
    for layer, head in settings.get("alignment_heads") or ():
        if not (0 <= layer < layers and 0 <= head < heads):
            raise ModelError(
                f"alignment_heads names head {head} of layer {layer}, "
                f"and the decoder has {layers} layers of {heads} heads.",
                path=checkpoint.path,
            )
