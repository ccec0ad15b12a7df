"""When each word was said, from the decoder's cross-attention.

Knows attention weights, dynamic time warping and how tokens join into words. Does not know audio, decoding or
what the times are for. Source of the method: OpenAI's whisper/timing.py.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from asr_adapt.models.hypothesis import Word
from asr_adapt.models.search.generation import Spoken
from asr_adapt.models.words.pieces import WORD_MARK

#: Frames of the median filter that smooths attention over time.
FILTER = 7
#: What a piece begins with where it begins a word: byte-level vocabularies, SentencePiece.
MARKS = ("Ġ", WORD_MARK)
#: Punctuation that nobody speaks, before and behind a word; alignment gives it the pauses (OpenAI's lists).
OPENING, CLOSING = "\"'“¿([{-", "\"'.。,，!！?？:：”)]}、"
#: Scripts that put no space between words: Thai, Lao, Myanmar, Khmer, kana, Han.
UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")


@contextmanager
def watched(decoder: Any, heads: Sequence[tuple[int, int]]) -> Iterator[dict[int, dict[str, Tensor]]]:
    """Catch queries and keys of the cross-attention of the layers in ``heads`` while the decoder runs."""
    caught: dict[int, dict[str, Tensor]] = {layer: {} for layer, _ in heads}
    hooks = []
    for layer, store in caught.items():
        attention = decoder.layers[layer].encoder_attn
        for name in ("q_proj", "k_proj"):

            def keep(
                _: Any, __: Any, out: Tensor, store: dict[str, Tensor] = store, name: str = name
            ) -> None:
                store[name] = out.detach().float()

            hooks.append(getattr(attention, name).register_forward_hook(keep))
    try:
        yield caught
    finally:
        for hook in hooks:
            hook.remove()


def alignment_heads(generation: Any, decoder: Any) -> list[tuple[int, int]]:
    """(layer, head) pairs that follow the sound; where none are known, all heads of the upper half."""
    known = getattr(generation, "alignment_heads", None)
    if known:
        return [(int(layer), int(head)) for layer, head in known]
    layers = range(len(decoder.layers) // 2, len(decoder.layers))
    config = decoder.config
    heads = getattr(config, "decoder_attention_heads", config.num_attention_heads)
    return [(layer, head) for layer in layers for head in range(heads)]


def attention_of(
    decoder: Any,
    caught: dict[int, dict[str, Tensor]],
    heads: Sequence[tuple[int, int]],
    row: int,
    frames: int,
) -> Tensor:
    """Attention weights (heads, tokens, ``frames``) of one row on its own frames."""
    weights = []
    for layer, head in heads:
        module = decoder.layers[layer].encoder_attn
        part = slice(head * module.head_dim, (head + 1) * module.head_dim)
        query = caught[layer]["q_proj"][row, :, part] * module.scaling
        key = caught[layer]["k_proj"][row, :frames, part]
        weights.append((query @ key.T).softmax(-1))
    return torch.stack(weights)


def token_times(weights: Tensor, first: int, second: float) -> list[float]:
    """Seconds at which each text token begins, and the end of the last, from (heads, tokens, frames).

    ``first`` is the row of the last given token: a row attends to what it predicts, the next token.
    ``second`` is the length of a frame.
    """
    spread, mean = torch.std_mean(weights, dim=-2, keepdim=True, correction=0)
    weights = (weights - mean) / spread.clamp(min=1e-8)
    width = min(FILTER, weights.shape[-1] // 2 * 2 - 1)
    if width > 1:
        padded = torch.nn.functional.pad(weights, (width // 2, width // 2), mode="reflect")
        weights = padded.unfold(-1, width, 1).median(-1).values
    matrix = weights.mean(0)[first:].cpu().double().numpy()
    return [float(second * frame) for frame in warp(-matrix)]


def warp(cost: NDArray[np.float64]) -> list[int]:
    """First column of every row on the cheapest monotonic path through ``cost`` (rows, columns).

    Dynamic time warping, one anti-diagonal of the table at a time.
    """
    rows, columns = cost.shape
    total = np.full((rows + 1, columns + 1), np.inf)
    total[0, 0] = 0.0
    moves = np.zeros((rows + 1, columns + 1), dtype=np.int8)
    for diagonal in range(2, rows + columns + 1):
        i = np.arange(max(1, diagonal - columns), min(rows, diagonal - 1) + 1)
        j = diagonal - i
        choices = np.stack([total[i - 1, j - 1], total[i - 1, j], total[i, j - 1]])
        moves[i, j] = choices.argmin(0)
        total[i, j] = choices.min(0) + cost[i - 1, j - 1]
    starts = [0] * rows
    i, j = rows, columns
    while i > 0 and j > 0:
        starts[i - 1] = j - 1
        move = moves[i, j]
        i, j = i - (move != 2), j - (move != 1)
    return starts


def group(tokenizer: Any, ids: Sequence[int]) -> list[list[int]]:
    """Places of the tokens of each word: at each space, or each letter where the script uses none.

    Punctuation behind a word belongs to it.
    """
    pieces = tokenizer.convert_ids_to_tokens(list(ids))
    spaced = UNSPACED.search(tokenizer.decode(list(ids))) is None
    groups: list[list[int]] = []
    for place, piece in enumerate(pieces):
        whole = bool(groups) and not spaced and "�" not in tokenizer.decode([ids[p] for p in groups[-1]])
        whole = whole and not _all(tokenizer, ids[place], CLOSING)
        if not groups or piece.startswith(MARKS) or whole:
            groups.append([])
        groups[-1].append(place)
    return groups


def words_of(tokenizer: Any, spoken: Spoken, times: Sequence[float]) -> tuple[Word, ...]:
    """Words with times and probabilities; ``times`` has one entry a token and the end.

    Punctuation takes no time.
    """
    found = []
    for places in group(tokenizer, spoken.ids):
        text = tokenizer.decode([spoken.ids[p] for p in places], skip_special_tokens=True).strip()
        probability = math.exp(sum(spoken.scores[p] for p in places) / len(places))
        if text:
            first, last = _spoken(tokenizer, spoken.ids, places)
            found.append(Word(text, times[first], times[last + 1], min(1.0, probability)))
    return tuple(found)


def _spoken(tokenizer: Any, ids: Sequence[int], places: Sequence[int]) -> tuple[int, int]:
    """The first and last of a word's tokens that are spoken; of punctuation alone, all of it."""
    first, last = 0, len(places)
    while first < last and _all(tokenizer, ids[places[first]], OPENING):
        first += 1
    while first < last and _all(tokenizer, ids[places[last - 1]], CLOSING):
        last -= 1
    return (places[first], places[last - 1]) if first < last else (places[0], places[-1])


def _all(tokenizer: Any, token: int, characters: str) -> bool:
    """Whether a token holds nothing but some of ``characters``."""
    text = tokenizer.decode([token]).strip()
    return bool(text) and all(character in characters for character in text)
