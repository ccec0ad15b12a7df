"""Word pieces as SentencePiece writes them, and phonemes: of what they are made, how they become words.

Knows tokens and the mark of a word's beginning. Does not know audio, networks or what a piece is for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

#: What a word piece begins with where it begins a word.
WORD_MARK = "\u2581"


def piece_characters(tokenizer: Any) -> frozenset[str]:
    """The characters that the pieces of a vocabulary are made of."""
    special = set(tokenizer.all_special_tokens)
    return frozenset("".join(piece for piece in tokenizer.get_vocab() if piece not in special)) - {WORD_MARK}


def words_of_pieces(tokenizer: Any, ids: Sequence[int], blank: int) -> Iterator[tuple[str, int, int]]:
    """Each word of a best path with its first frame and the frame behind its last."""
    pieces = tokenizer.convert_ids_to_tokens(list(ids))
    spoken = [i for i, token in enumerate(ids) if token != blank]
    fresh = [i for i in spoken if i == 0 or ids[i] != ids[i - 1]]
    starts = [i for i in fresh if pieces[i].startswith(WORD_MARK) or i == fresh[0]]
    for start, following in zip(starts, [*starts[1:], len(ids)], strict=True):
        last = max(i for i in spoken if i < following)
        text = tokenizer.decode(list(ids[start:following])).strip()
        if text:
            yield text, start, last + 1


def words_of_phonemes(tokenizer: Any, ids: Sequence[int], blank: int) -> Iterator[tuple[str, int, int]]:
    """Each phoneme of a best path with its first frame and the frame behind its last."""
    start = 0
    for token, run in groupby(ids):
        stop = start + len(list(run))
        text = "" if token == blank else tokenizer.decode([token]).strip()
        if text:
            yield text, start, stop
        start = stop
