"""Token by token: what a decoder says about what an encoder heard, greedily, sampled or by beam.

Knows a key–value cache, which tokens may follow, and when a row ends. Does not know audio, tokenisers or
what a token means. A row's tokens do not depend on the other rows of its batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor
from transformers.cache_utils import DynamicCache, EncoderDecoderCache


class Network(Protocol):
    """A decoder that continues sequences."""

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

    def scores(self, logits: Tensor, *, first: bool) -> Tensor:
        """Log-probabilities (…, vocabulary) of what may follow, float32."""
        forbidden = [*self.never, *(self.not_first if first else ())]
        logits = logits.float()
        if forbidden:
            logits[..., forbidden] = -torch.inf
        return logits.log_softmax(-1)


@dataclass(frozen=True)
class Heard:
    """What the encoder gave: ``states`` (batch, frames, width), additive ``mask`` or None, given tokens.

    ``given`` (batch, tokens) stands before everything that is said.
    """

    states: Tensor
    mask: Tensor | None
    given: Tensor

    def rows(self, indices: Sequence[int]) -> Heard:
        """Some of the rows."""
        mask = None if self.mask is None else self.mask[indices]
        return Heard(self.states[indices], mask, self.given[indices])


@dataclass(frozen=True)
class Spoken:
    """The tokens of one row without those given and the end, and log-probabilities (the end's last), nats."""

    ids: tuple[int, ...]
    scores: tuple[float, ...]

    @property
    def mean_score(self) -> float:
        """Mean log-probability of the tokens, the end counted."""
        return sum(self.scores) / max(1, len(self.scores))


def speak(network: Network, heard: Heard, rules: Rules, temperature: float = 0.0) -> list[Spoken]:
    """The most likely token at every step, or one drawn at ``temperature``; all rows at once.

    The draw of a row depends on its step alone, not on its place in the batch.
    """
    ids, cache = heard.given, _cache()
    finished = torch.zeros(len(ids), dtype=torch.bool, device=ids.device)
    chosen: list[Tensor] = []
    marks: list[Tensor] = []
    for number in range(rules.most - ids.shape[1]):
        scores = rules.scores(network.step(ids, heard.states, heard.mask, cache), first=number == 0)
        following = _drawn(scores, temperature, number).masked_fill(finished, rules.end)
        chosen.append(following)
        marks.append(scores.gather(1, following[:, None])[:, 0])
        finished |= following == rules.end
        if bool(finished.all()):
            break
        ids = following[:, None]
    if not chosen:
        return [Spoken((), ())] * len(heard.given)
    table, points = torch.stack(chosen, 1).tolist(), torch.stack(marks, 1).tolist()
    return [_closed(row, own, rules.end) for row, own in zip(table, points, strict=True)]


def _drawn(scores: Tensor, temperature: float, step: int) -> Tensor:
    if temperature <= 0:
        return scores.argmax(-1)
    generator = torch.Generator().manual_seed(step)  # Gumbel noise turns argmax into a draw
    noise = -torch.log(-torch.log(torch.rand(scores.shape[-1], generator=generator).clamp(1e-20, 1 - 1e-7)))
    return (scores / temperature + noise.to(scores.device)).argmax(-1)


def _closed(ids: list[int], scores: list[float], end: int) -> Spoken:
    length = ids.index(end) if end in ids else len(ids)
    return Spoken(tuple(ids[:length]), tuple(scores[: length + 1]))


@dataclass
class _Row:
    """Beams of one row while it is searched: tokens and scores of each, and those that ended."""

    beams: list[list[int]] = field(default_factory=lambda: [[]])
    scores: list[list[float]] = field(default_factory=lambda: [[]])
    ended: list[Spoken] = field(default_factory=list)


def search(network: Network, heard: Heard, rules: Rules, beams: int) -> list[Spoken]:
    """Beam search of all rows at once; a row is done when ``beams`` hypotheses have ended.

    The best is the one of the highest mean log-probability, as in OpenAI's Whisper.
    """
    count, device = len(heard.given), heard.given.device
    wide = heard.rows([row for row in range(count) for _ in range(beams)])
    ids, cache = wide.given, _cache()
    rows = [_Row([[] for _ in range(beams)], [[] for _ in range(beams)]) for _ in range(count)]
    totals = torch.full((count, beams), -torch.inf, device=device)
    totals[:, 0] = 0.0  # at first all beams of a row are alike
    for number in range(rules.most - ids.shape[1]):
        scores = rules.scores(network.step(ids, wide.states, wide.mask, cache), first=number == 0)
        sums = totals.view(-1, 1) + scores
        best, places = sums.view(count, -1).topk(2 * beams, -1)
        sources, tokens, kept = _advance(rows, (best, places, scores), rules.end, beams)
        if all(len(row.ended) >= beams for row in rows):
            break
        totals = torch.tensor(kept, device=device)
        cache.self_attention_cache.reorder_cache(torch.LongTensor(sources))
        ids = torch.tensor(tokens, device=device)[:, None]
    return [_best(row) for row in rows]


def _advance(
    rows: list[_Row], found: tuple[Tensor, Tensor, Tensor], end: int, beams: int
) -> tuple[list[int], list[int], list[list[float]]]:
    """Continue every row's beams with the best candidates; sources, tokens and totals of the new beams."""
    best, places, scores = found
    vocabulary = scores.shape[-1]
    sources: list[int] = []
    tokens: list[int] = []
    kept: list[list[float]] = []
    for number, row in enumerate(rows):
        fresh: list[tuple[int, int, float]] = []
        for total, place in zip(best[number].tolist(), places[number].tolist(), strict=True):
            beam, token = divmod(place, vocabulary)
            if token != end:
                fresh.append((beam, token, total))
            elif total > -torch.inf and len(row.ended) < beams:
                mark = float(scores[number * beams + beam, token])
                row.ended.append(Spoken(tuple(row.beams[beam]), (*row.scores[beam], mark)))
        fresh = fresh[:beams]
        row.scores = [[*row.scores[b], float(scores[number * beams + b, t])] for b, t, _ in fresh]
        row.beams = [[*row.beams[b], t] for b, t, _ in fresh]
        sources += [number * beams + b for b, _, _ in fresh]
        tokens += [t for _, t, _ in fresh]
        kept.append([total for _, _, total in fresh])
    return sources, tokens, kept


def _best(row: _Row) -> Spoken:
    open_ones = [Spoken(tuple(b), tuple(s)) for b, s in zip(row.beams, row.scores, strict=True)]
    return max(row.ended or open_ones, key=lambda spoken: spoken.mean_score)


def _cache() -> EncoderDecoderCache:
    return EncoderDecoderCache(DynamicCache(), DynamicCache())
