"""Vocabulary and CTC head: keep, extend or replace, with the rows of shared characters kept.

Knows how a new character set becomes a tokeniser and a resized head. Does not know where the characters
come from; :mod:`asr_adapt.text` counts them.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoTokenizer

from asr_adapt.errors import ModelError
from asr_adapt.models.contract import Recogniser
from asr_adapt.models.ctc.recogniser import CtcRecogniser
from asr_adapt.models.files.directory import read_object
from asr_adapt.models.files.processors import character_tokenizer
from asr_adapt.text import PAD, UNKNOWN, WORD_DELIMITER

MODES = ("keep", "extend", "replace")


def set_vocabulary(recogniser: Recogniser, characters: Iterable[str], mode: str) -> Recogniser:
    """A recogniser whose head speaks ``characters``; rows of characters that it knew are kept.

    ``extend`` adds what is missing behind the present tokens, ``replace`` takes only the given characters,
    ``keep`` changes nothing. Returns a new object on the same network.
    """
    if mode == "keep":
        return recogniser
    if not isinstance(recogniser, CtcRecogniser) or recogniser.anatomy.writes_pieces:
        raise ModelError("the vocabulary of this model cannot be changed: use vocabulary keep.")
    wanted = sorted(set(characters))
    if mode == "replace":
        new = {t: i for i, t in enumerate((PAD, UNKNOWN, WORD_DELIMITER, *wanted))}
        return _with_tokenizer(recogniser, character_tokenizer(new), new)
    if mode != "extend":
        raise ModelError(f"vocabulary mode {mode!r} is unknown: use one of {', '.join(MODES)}.")
    if recogniser.writes_phonemes:
        raise ModelError(
            "writes phonemes, not letters: write the transcripts in its phonemes, or use vocabulary replace.",
            path=recogniser.name,
        )
    return _extended(recogniser, wanted)


def _extended(recogniser: CtcRecogniser, wanted: list[str]) -> CtcRecogniser:
    """The present tokens under their own names, what the vocabulary lacks behind the head's last row.

    Tokens that only the tokeniser knows (``<s>`` and ``</s>``, which transformers adds) have no row in the
    head and are left behind.
    """
    tokenizer, size = recogniser.processor.tokenizer, recogniser.head_size
    old = recogniser.head_tokens
    names = {index: token for token, index in old.items()}
    pad = names.get(recogniser.blank, PAD)
    unknown = tokenizer.unk_token if tokenizer.unk_token in old else UNKNOWN
    delimiter = tokenizer.word_delimiter_token or WORD_DELIMITER
    missing = [t for t in dict.fromkeys((unknown, delimiter, *wanted)) if t not in old]
    new = old | {token: size + i for i, token in enumerate(missing)}
    changed = character_tokenizer(new, pad=pad, unknown=unknown, delimiter=delimiter)
    return _with_tokenizer(recogniser, changed, new)


def take_vocabulary(recogniser: Recogniser, directory: Path) -> Recogniser:
    """A recogniser that speaks the vocabulary of ``directory``, where that holds one of its own."""
    if not isinstance(recogniser, CtcRecogniser) or not (directory / "vocab.json").is_file():
        return recogniser
    tokenizer = AutoTokenizer.from_pretrained(directory, trust_remote_code=False)
    added = tokenizer.get_added_vocab()
    stored = read_object(directory / "vocab.json")
    new = {t: i for t, i in tokenizer.get_vocab().items() if t in stored or t not in added}
    if new == recogniser.head_tokens:
        return recogniser
    return _with_tokenizer(recogniser, tokenizer, new)


def _with_tokenizer(recogniser: CtcRecogniser, tokenizer: Any, new: dict[str, int]) -> CtcRecogniser:
    """A recogniser whose head says the tokens ``new`` of ``tokenizer``."""
    model, processor = recogniser.model, recogniser.processor
    source = _sources(recogniser, new, tokenizer.pad_token)
    model.lm_head = _head(model.lm_head, source, float(getattr(model.config, "initializer_range", 0.02)))
    model.config.vocab_size = len(source)
    model.config.pad_token_id = new.get(tokenizer.pad_token, recogniser.blank)
    processor.tokenizer = tokenizer
    changed = CtcRecogniser(model, processor, recogniser.name, type(recogniser.anatomy))
    changed.fresh_head = recogniser.fresh_head
    return changed


def _sources(recogniser: CtcRecogniser, new: dict[str, int], pad: str) -> list[int | None]:
    """For each new id the old row to copy; letters match across case, the blank matches the blank.

    An id that no token names keeps the row of that id, where the old head has one.
    """
    old = recogniser.head_tokens
    folded = {token.casefold(): index for token, index in reversed(old.items())}
    count = max(new.values()) + 1
    rows: list[int | None] = [i if i < recogniser.head_size else None for i in range(count)]
    for token, index in new.items():
        rows[index] = old.get(token, folded.get(token.casefold()))
        if token == pad:
            rows[index] = recogniser.blank
    return rows


def _head(old: nn.Linear, source: list[int | None], spread: float) -> nn.Linear:
    head = nn.Linear(old.in_features, len(source), device=old.weight.device, dtype=old.weight.dtype)
    with torch.no_grad():
        head.weight.normal_(0.0, spread)
        head.bias.zero_()
        for row, origin in enumerate(source):
            if origin is not None:
                head.weight[row] = old.weight[origin]
                head.bias[row] = old.bias[origin]
    return head
