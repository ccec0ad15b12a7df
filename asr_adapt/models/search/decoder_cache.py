"""What a decoder keeps between tokens: keys and values of what was said, and of what was heard.

Knows transformers' cache interface. Room for what is said is taken once and then filled; keys and values of
the encoder's output are computed once for a clip, whatever is tried on it afterwards. Does not know models.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicLayer, EncoderDecoderCache


class _CrossAttentionLayer(DynamicLayer):
    """Keys and values of the encoder's output, as they were computed."""

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        self.keys, self.values, self.is_initialized = key_states, value_states, True
        return key_states, value_states

    def rows(self, places: Sequence[int]) -> _CrossAttentionLayer:
        """Some of the rows, copied."""
        assert self.keys is not None and self.values is not None  # a step has filled them
        at = torch.tensor(places, device=self.keys.device)
        found = _CrossAttentionLayer()
        found.update(self.keys.index_select(0, at), self.values.index_select(0, at))
        return found


@dataclass
class HeardRow:
    """What one layer hears of one row: ``states`` (frames, width), and the keys and values of each head once
    a decoder wants them. Beams and attempts of a row share it."""

    states: Tensor
    keys: Tensor | None = None
    values: Tensor | None = None


class _HeardRows(_CrossAttentionLayer):
    """Each row by itself, as :mod:`attention.token_step` reads them: nothing is copied where rows leave."""

    def __init__(self, rows: list[HeardRow]) -> None:
        super().__init__()
        self.each, self.is_initialized = rows, True

    def rows(self, places: Sequence[int]) -> _HeardRows:
        """Some of the rows."""
        return _HeardRows([self.each[place] for place in places])

    def get_seq_length(self) -> int:
        """Frames of the longest row."""
        return max((len(row.states) for row in self.each), default=0)


class _SelfAttentionLayer(DynamicLayer):
    """Keys and values (batch, heads, tokens, width) of what was said, with room for ``capacity`` tokens."""

    keys: Any
    values: Any

    def __init__(self, capacity: int) -> None:
        super().__init__()
        self.capacity = capacity

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        past, new = self.get_seq_length(), key_states.shape[2]
        if not self.is_initialized:
            self._room = [self._empty(key_states), self._empty(value_states)]
            self.is_initialized = True
        for room, states in zip(self._room, (key_states, value_states), strict=True):
            room[:, :, past : past + new] = states
        self._show(past + new)
        return self.keys, self.values

    def select(self, places: Tensor) -> None:
        """The rows at ``places`` take the first rows' room; as many rows as there are places are left."""
        count = len(places)
        for number, states in enumerate((self.keys, self.values)):
            kept = states.index_select(0, places)  # a copy, so that no row overwrites one still to be read
            if count > len(self._room[number]):
                self._room[number] = self._empty(kept)
            self._room[number] = self._room[number][:count]
            self._room[number][:, :, : kept.shape[2]] = kept
        self._show(self.keys.shape[2])

    def _empty(self, like: Tensor) -> Tensor:
        return like.new_empty(*like.shape[:2], self.capacity, like.shape[3])

    def _show(self, tokens: int) -> None:
        self.keys, self.values = (room[:, :, :tokens] for room in self._room)


class _SaidCache(Cache):
    """Layers of :class:`_SelfAttentionLayer`, made as a model asks for them."""

    layers: list[Any]

    def __init__(self, capacity: int) -> None:
        super().__init__(layer_class_to_replicate=lambda: _SelfAttentionLayer(capacity))  # type: ignore[arg-type]


class HeardCache(Cache):
    """Layers of the encoder's keys and values; the first decoder step on a clip fills them."""

    layers: list[Any]

    def __init__(self, layers: Sequence[_CrossAttentionLayer] = ()) -> None:
        super().__init__(layer_class_to_replicate=_CrossAttentionLayer)
        self.layers = list(layers)

    def rows(self, places: Sequence[int]) -> HeardCache:
        """Some of the rows, in any order and number; nothing as long as nothing was computed."""
        return HeardCache([layer.rows(places) for layer in self.layers])

    def each(self, index: int, states: Callable[[], list[Tensor]]) -> list[HeardRow]:
        """The rows of layer ``index``; ``states`` gives what they heard where nothing is kept yet.

        Layers are asked in their order.
        """
        if len(self.layers) == index:
            self.layers.append(_HeardRows([HeardRow(row) for row in states()]))
        found: list[HeardRow] = self.layers[index].each
        return found


class DecoderCache(EncoderDecoderCache):
    """Both caches of one attempt: room for ``capacity`` tokens, and what was heard."""

    self_attention_cache: Any
    cross_attention_cache: Any

    def __init__(self, capacity: int, heard: HeardCache) -> None:
        super().__init__(_SaidCache(capacity), heard)

    def keep(self, places: Sequence[int]) -> None:
        """Go on with the rows at ``places``, in that order; a row may come more than once."""
        self.arrange(places)
        self.cross_attention_cache = self.cross_attention_cache.rows(places)

    def arrange(self, places: Sequence[int]) -> None:
        """Rearrange what was said alone: rows that heard the same change places."""
        for layer in self.self_attention_cache.layers:
            layer.select(torch.tensor(places, device=layer.keys.device))
