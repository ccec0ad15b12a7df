"""Where Whisper's vocabulary is read from: a tokenizer.json, a list of tokens, or ranked byte strings.

Knows how the merges of byte-pair encoding follow from the ranks, and which special tokens stand behind the
pieces of OpenAI's models. Does not know networks or weights.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from transformers.convert_slow_tokenizer import bytes_to_unicode
from transformers.models.whisper.tokenization_whisper import LANGUAGES

from asr_adapt.errors import ModelError
from asr_adapt.models.importing.vocabulary import END, NO_TIMESTAMPS, PREVIOUS, START, TIMESTAMPS
from asr_adapt.models.importing.vocabulary import WhisperVocabulary as Vocabulary

#: The smallest vocabulary of OpenAI's multilingual models; the English-only ones have one token fewer.
MULTILINGUAL = 51_865
#: More bytes than any piece has; a bound for damaged files.
MOST_PIECE_BYTES = 512
_BEHIND_LANGUAGES = (
    "<|translate|>",
    "<|transcribe|>",
    "<|startoflm|>",
    PREVIOUS,
    "<|nospeech|>",
    NO_TIMESTAMPS,
)


def read_tokenizer_json(path: Path, multilingual: bool) -> Vocabulary:
    """The vocabulary in a ``tokenizer.json`` of the tokenizers library; raises :class:`ModelError`."""
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
        pieces = {str(piece): int(index) for piece, index in tree["model"]["vocab"].items()}
        merges = [_pair(merge) for merge in tree["model"]["merges"]]
        added = {str(entry["content"]): int(entry["id"]) for entry in tree["added_tokens"]}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelError(
            "the tokeniser cannot be read: it must be the tokenizer.json of a Whisper model.", path=path
        ) from error
    ordinary = {piece: index for piece, index in pieces.items() if piece not in added}
    specials, times = _apart(added)
    return Vocabulary(ordinary, merges, specials, multilingual, times)


def from_tokens(tokens: Sequence[str], multilingual: bool, path: Path) -> Vocabulary:
    """The vocabulary in a list of all tokens by id: pieces in byte-level letters, then the special ones."""
    first = next((index for index, token in enumerate(tokens) if token == END), None)
    if first is None:
        raise ModelError(f"the vocabulary lacks {END}, which Whisper needs.", path=path)
    letters = {letter: byte for byte, letter in bytes_to_unicode().items()}
    try:
        pieces = [bytes(letters[letter] for letter in token) for token in tokens[:first]]
    except KeyError as error:
        raise ModelError(
            f"the vocabulary has the character {error}, which encodes no byte.", path=path
        ) from error
    specials, times = _apart({token: index for index, token in enumerate(tokens[first:], first)})
    return replace(from_pieces(pieces, path), specials=specials, multilingual=multilingual, timestamps=times)


def from_pieces(pieces: Sequence[bytes], path: Path) -> Vocabulary:
    """Pieces in order of rank, merges derived; without special tokens."""
    letters = bytes_to_unicode()
    named = {"".join(letters[byte] for byte in piece): rank for rank, piece in enumerate(pieces)}
    if len(named) != len(pieces):
        raise ModelError("the vocabulary has the same piece twice.", path=path)
    return Vocabulary(named, derived_merges(pieces, path), {}, False)


def derived_merges(pieces: Sequence[bytes], path: Path) -> list[tuple[str, str]]:
    """The merges that made the pieces, in order of rank.

    A piece is what the merges of lower rank leave of its bytes, two parts, put together: the order of ids is
    the order of merges in OpenAI's vocabularies.
    """
    ranks = {piece: rank for rank, piece in enumerate(pieces)}
    letters = bytes_to_unicode()
    merges = []
    for rank, piece in enumerate(pieces):
        if len(piece) < 2:
            continue
        parts = _parts(piece, ranks, rank) if len(piece) <= MOST_PIECE_BYTES else []
        if len(parts) != 2:
            raise ModelError(f"the vocabulary's piece {rank} is not made of two pieces before it.", path=path)
        left, right = ("".join(letters[byte] for byte in part) for part in parts)
        merges.append((left, right))
    return merges


def with_openai_specials(vocabulary: Vocabulary, size: int, path: Path) -> Vocabulary:
    """The same pieces with the special tokens of an OpenAI model of ``size`` tokens.

    Behind the pieces stand end, start, the languages, tasks and marks, and 1,501 timestamps; so ``size`` says
    how many languages there are.
    """
    first = len(vocabulary.pieces)
    count = size - first - 2 - len(_BEHIND_LANGUAGES) - len(TIMESTAMPS)
    if not 1 <= count <= len(LANGUAGES):
        raise ModelError(
            f"the vocabulary of {first} pieces does not belong to a Whisper of {size} tokens.", path=path
        )
    languages = [f"<|{code}|>" for code in list(LANGUAGES)[:count]]
    tokens = [END, START, *languages, *_BEHIND_LANGUAGES]
    specials = {token: index for index, token in enumerate(tokens, first)}
    return replace(vocabulary, specials=specials, multilingual=size >= MULTILINGUAL, timestamps={})


def _apart(added: dict[str, int]) -> tuple[dict[str, int], dict[str, int]]:
    """Special tokens, and timestamps."""
    times = {token: added[token] for token in TIMESTAMPS if token in added}
    return {token: index for token, index in added.items() if token not in times}, times


def _parts(piece: bytes, ranks: dict[bytes, int], below: int) -> list[bytes]:
    """What the merges of a rank lower than ``below`` leave of ``piece``."""
    parts = [piece[index : index + 1] for index in range(len(piece))]
    while len(parts) > 2:
        found = [(ranks.get(parts[i] + parts[i + 1], below), i) for i in range(len(parts) - 1)]
        rank, index = min(found)
        if rank >= below:
            break
        parts[index : index + 2] = [parts[index] + parts[index + 1]]
    return parts


def _pair(merge: Any) -> tuple[str, str]:
    left, right = merge.split(" ") if isinstance(merge, str) else merge
    return str(left), str(right)
