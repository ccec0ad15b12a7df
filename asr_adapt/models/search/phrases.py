"""Listed words as the tokens that spell them.

Knows text, its capitals, and how tokenisers mark that a word begins. Does not know how a decoder is biased
(:mod:`asr_adapt.models.search.biasing`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from asr_adapt.errors import UsageError
from asr_adapt.models.search.biasing import PhraseBias
from asr_adapt.text.spaces import UNSPACED

#: How byte-level BPE and SentencePiece write the space before a word.
_SPACES = ("Ġ", "▁", " ")


def phrase_bias(
    hotwords: Sequence[tuple[str, float]], spelled: Callable[[str], list[int]], glued: Tensor
) -> PhraseBias:
    """The bias towards ``hotwords``, (phrase, boost of a token) each, as a decoder may write them.

    ``spelled`` gives the tokens of a text inside a transcript, none where it cannot be written, ``glued``
    (vocabulary,) what goes on a word. Raises UsageError for a phrase that the model cannot write at all.
    """
    phrases = []
    for text, boost in hotwords:
        open_ = UNSPACED.match(text[-1:]) is not None
        forms = {form: ids for form in written_forms(text) if (ids := spelled(form))}
        if not forms:
            raise UsageError(f"the model's vocabulary cannot write the hot word {text!r}: remove it.")
        for form, ids in forms.items():
            phrases.append((ids, boost, open_))
            if UNSPACED.match(form) and len(ids) > 1 and not glued[ids[0]]:
                phrases.append((ids[1:], boost, open_))  # without the space before it
    return PhraseBias(phrases, glued)


def written_forms(text: str) -> Iterator[str]:
    """As it is listed, in lower case, in capitals, and with a capital in front of each word."""
    words = text.split()
    yield " ".join(words)
    yield " ".join(words).lower()
    yield " ".join(word[:1].upper() + word[1:].lower() for word in words)
    yield " ".join(words).upper()


def glued_tokens(tokenizer: Any) -> Tensor:
    """Which tokens (vocabulary,) go on a word: those that begin with a letter or digit and no space."""
    count = len(tokenizer)
    special = set(tokenizer.all_special_ids)
    pieces = tokenizer.convert_ids_to_tokens(list(range(count)))
    return torch.tensor([i not in special and _goes_on(piece) for i, piece in enumerate(pieces)])


def _goes_on(piece: str | None) -> bool:
    return piece is not None and piece != "" and not piece.startswith(_SPACES) and piece[0].isalnum()


def list_mark(hotwords: Sequence[tuple[str, float]]) -> str:
    """A short mark of a list and its boosts, in which two lists differ."""
    return text_mark(repr(sorted(hotwords)))


def text_mark(text: str) -> str:
    """A short mark in which two texts differ."""
    return hashlib.sha256(text.encode()).hexdigest()[:8]
