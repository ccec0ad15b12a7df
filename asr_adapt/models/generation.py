"""Token by token: what a decoder says about what an encoder heard.

Knows a key–value cache, which tokens may follow, and when a row ends. Does not know audio, tokenisers or
what a token means. A row's tokens do not depend on the other rows of its batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from transformers.cache_utils import DynamicCache, EncoderDecoderCache

from asr_adapt.models.contract import Hidden


class Steps(Protocol):
    """A network that continues a sequence."""

    def step(self, ids: Tensor, states: Tensor, heard: Tensor | None, cache: Any) -> Tensor:
        """Logits (batch, vocabulary) behind ``ids`` (batch, tokens), which follow what ``cache`` holds."""


@dataclass(frozen=True)
class Rules:
    """What may be said: ``never`` anywhere, ``not_first`` not as the first token; ``end`` closes a row.

    ``most`` bounds the tokens of a row, those given to it included.
    """

    end: int
    most: int
    never: tuple[int, ...] = ()
    not_first: tuple[int, ...] = ()


@dataclass(frozen=True)
class Spoken:
    """The tokens of one row without prefix and end, their log-probabilities (the end's last), in nats."""

    ids: tuple[int, ...]
    scores: tuple[float, ...]

    @property
    def mean_score(self) -> float:
        """Mean log-probability of the tokens, the end counted."""
        return sum(self.scores) / max(1, len(self.scores))


def greedy(
    network: Steps, hidden: Hidden, heard: Tensor | None, prefix: Sequence[int], rules: Rules
) -> list[Spoken]:
    """The most likely token at every step, for all rows at once; finished rows wait for the last."""
    rows, device = len(hidden.states), hidden.states.device
    cache = EncoderDecoderCache(DynamicCache(), DynamicCache())
    ids = torch.tensor(prefix, device=device).repeat(rows, 1)
    finished = torch.zeros(rows, dtype=torch.bool, device=device)
    chosen, scores = [], []
    for number in range(rules.most - len(prefix)):
        logits = allowed(network.step(ids, hidden.states, heard, cache).float(), rules, first=number == 0)
        best, following = logits.log_softmax(-1).max(-1)
        following = following.masked_fill(finished, rules.end)
        chosen.append(following)
        scores.append(best)
        finished |= following == rules.end
        if bool(finished.all()):
            break
        ids = following[:, None]
    if not chosen:
        return [Spoken((), ())] * rows
    table, marks = torch.stack(chosen, 1).tolist(), torch.stack(scores, 1).tolist()
    return [_spoken(row, row_scores, rules.end) for row, row_scores in zip(table, marks, strict=True)]


def allowed(logits: Tensor, rules: Rules, *, first: bool) -> Tensor:
    """``logits`` (…, vocabulary) with minus infinity where a token must not follow."""
    forbidden = [*rules.never, *(rules.not_first if first else ())]
    if forbidden:
        logits[..., forbidden] = -torch.inf
    return logits


def _spoken(ids: list[int], scores: list[float], end: int) -> Spoken:
    length = ids.index(end) if end in ids else len(ids)
    return Spoken(tuple(ids[:length]), tuple(scores[: length + 1]))
