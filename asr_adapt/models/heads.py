"""Vocabulary and CTC head: keep, extend or replace, with the rows of shared characters kept.

Knows how a new character set becomes a tokeniser and a resized head. Does not know where the characters
come from; :mod:`asr_adapt.text` counts them.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch
from torch import nn
from transformers import Wav2Vec2CTCTokenizer

from asr_adapt.errors import ModelError
from asr_adapt.models.contract import Recogniser
from asr_adapt.models.ctc import CtcRecogniser
from asr_adapt.models.processors import character_tokenizer
from asr_adapt.text import PAD, UNKNOWN, WORD_DELIMITER

MODES = ("keep", "extend", "replace")


def set_vocabulary(recogniser: Recogniser, characters: Iterable[str], mode: str) -> Recogniser:
    """A recogniser whose head speaks ``characters``; rows of characters that it knew are kept.

    ``extend`` adds what is missing behind the present tokens, ``replace`` takes only the given characters,
    ``keep`` changes nothing. Returns a new object on the same network.
    """
    if mode == "keep":
        return recogniser
    if not isinstance(recogniser, CtcRecogniser) or not recogniser.extensible:
        raise ModelError("the vocabulary of this model cannot be changed: use vocabulary keep.")
    old = recogniser.vocabulary
    wanted = sorted(set(characters))
    if mode == "replace":
        new = {t: i for i, t in enumerate((PAD, UNKNOWN, WORD_DELIMITER, *wanted))}
    elif mode == "extend":
        missing = [c for c in wanted if c not in old]
        new = {**old, **{c: len(old) + i for i, c in enumerate(missing)}}
    else:
        raise ModelError(f"vocabulary mode {mode!r} is unknown: use one of {', '.join(MODES)}.")
    return _with_tokens(recogniser, old, new)


def take_vocabulary(recogniser: Recogniser, directory: Path) -> Recogniser:
    """A recogniser that speaks the vocabulary of ``directory``, where that holds one of its own."""
    if not isinstance(recogniser, CtcRecogniser) or not (directory / "vocab.json").is_file():
        return recogniser
    tokenizer = Wav2Vec2CTCTokenizer.from_pretrained(directory)
    if tokenizer.get_vocab() == recogniser.vocabulary:
        return recogniser
    return _with_tokens(recogniser, recogniser.vocabulary, dict(tokenizer.get_vocab()))


def _with_tokens(recogniser: CtcRecogniser, old: dict[str, int], new: dict[str, int]) -> CtcRecogniser:
    model, processor = recogniser.model, recogniser.processor
    source = _sources(old, new, recogniser.blank)
    model.lm_head = _head(model.lm_head, source, float(getattr(model.config, "initializer_range", 0.02)))
    model.config.vocab_size = len(new)
    model.config.pad_token_id = new.get(PAD, recogniser.blank)
    processor.tokenizer = character_tokenizer(new)
    changed = CtcRecogniser(model, processor, recogniser.name)
    changed.fresh_head = recogniser.fresh_head
    return changed


def _sources(old: dict[str, int], new: dict[str, int], blank: int) -> list[int | None]:
    """For each new id the old row to copy; letters match across case, the blank matches the blank."""
    folded = {token.casefold(): index for token, index in reversed(old.items())}
    rows: list[int | None] = [None] * len(new)
    for token, index in new.items():
        rows[index] = old.get(token, folded.get(token.casefold()))
        if token == PAD:
            rows[index] = blank
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
