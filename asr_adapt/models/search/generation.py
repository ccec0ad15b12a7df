"""Token by token: what a decoder says about what an encoder heard, the most likely token or a drawn one.

Knows which tokens may follow, and when a row ends: at its end token, at its bound, or where it repeats
itself. Does not know audio, tokenisers or what a token means, nor beams (``beam_search``) or what is done
about a loop (``checks``). A row's tokens do not depend on the other rows of its batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Protocol

import torch
from torch import Tensor

from asr_adapt.models.search.biasing import PhraseBias
from asr_adapt.models.search.decoder_cache import DecoderCache, HeardCache
from asr_adapt.models.search.repetition import Repeats

#: Rows that ended leave the batch as soon as they are this share of it; a row's leaving copies the others.
LEAVING_SHARE = 0.2


class StepNetwork(Protocol):
    """A decoder that continues sequences."""

    def step(self, ids: Tensor, states: Tensor, heard: Tensor | None, cache: Any) -> Tensor:
        """Logits (batch, vocabulary) behind the last of ``ids`` (batch, tokens), which follow what ``cache``
        holds; ``states`` (batch, frames, width) and the mask ``heard`` are what the encoder gave."""


@dataclass(frozen=True)
class Rules:
    """What may be said: ``never`` anywhere, ``not_first`` not as the first token; ``end`` closes a row.

    ``most`` bounds the tokens of a row, those given to it included. ``repeats`` ends a row that loops; None
    lets it. ``bias`` favours what spells listed words, in beam search. Subclasses may allow less by what a
    row has said.
    """

    end: int
    most: int
    never: tuple[int, ...] = ()
    not_first: tuple[int, ...] = ()
    repeats: Repeats | None = None
    bias: PhraseBias | None = None

    def allowed(self, logits: Tensor, said: Sequence[Sequence[int]]) -> Tensor:
        """Logits (batch, vocabulary), float32, minus infinity for what may not follow the tokens ``said``.

        ``said`` has what each row said, without what was given to it. Every row has said equally many.
        """
        logits = logits.float()
        forbidden = self.never if said and said[0] else (*self.never, *self.not_first)
        if forbidden:
            logits = logits.index_fill(-1, _indices(forbidden, logits.device), -torch.inf)
        return logits

    def ends(self, ids: list[int]) -> bool:
        """Whether a row that has said ``ids`` is cut off because it loops."""
        return self.repeats is not None and self.repeats.first_end(ids) is not None


@lru_cache(maxsize=32)
def _indices(ids: tuple[int, ...], device: torch.device) -> Tensor:
    with torch.inference_mode(False):
        return torch.tensor(ids, device=device)


@dataclass(frozen=True)
class EncoderOutput:
    """What the encoder gave: ``states`` (batch, frames, width), additive ``mask`` or None, given tokens.

    ``given`` (batch, tokens) stands before everything that is said. ``most`` bounds how many tokens each row
    may say, by how long it is; None: only the rules do. ``kept`` are the decoder's keys and values of
    ``states``; the first attempt computes them. ``before`` is how many positions a decoder puts before what
    is given: prompt and sound, where it hears by its self-attention.
    """

    states: Tensor
    mask: Tensor | None
    given: Tensor
    most: tuple[int, ...] | None = None
    kept: HeardCache = field(default_factory=HeardCache)
    before: int = 0

    def rows(self, places: Sequence[int]) -> EncoderOutput:
        """Some of the rows, in any order; a row may come more than once."""
        mask = None if self.mask is None else self.mask[places]
        most = None if self.most is None else tuple(self.most[place] for place in places)
        rows = self.states[places], mask, self.given[places], most, self.kept.rows(places)
        return EncoderOutput(*rows, self.before)

    def room(self, rules: Rules) -> list[int]:
        """How many tokens each row may say."""
        whole = max(0, rules.most - self.given.shape[1])
        return [whole] * len(self.given) if self.most is None else [min(whole, own) for own in self.most]

    def cache(self, rules: Rules) -> DecoderCache:
        """Room for an attempt under ``rules``."""
        room = self.before + self.given.shape[1] + max(self.room(rules), default=0)
        return DecoderCache(room, self.kept)


@dataclass(frozen=True)
class Spoken:
    """The tokens of one row without those given and the end, and log-probabilities (the end's last), nats.

    ``looped``: it repeated itself, or was still speaking at the bound of its own length
    (``EncoderOutput.most``).
    ``silence`` is the probability that nobody speaks, where the attempt itself tells.
    ``bonus`` is what listed words add to it; no score contains it.
    """

    ids: tuple[int, ...]
    scores: tuple[float, ...]
    looped: bool = False
    temperature: float = 0.0
    silence: float | None = None
    bonus: float = 0.0

    @property
    def mean_score(self) -> float:
        """Mean log-probability of the tokens, the end counted."""
        return sum(self.scores) / max(1, len(self.scores))

    @property
    def favoured(self) -> float:
        """Log-probability of the whole with what listed words add."""
        return sum(self.scores) + self.bonus

    @property
    def mean_favoured(self) -> float:
        """The same for each token, the end counted."""
        return self.favoured / max(1, len(self.scores))


@torch.inference_mode()
def speak(
    network: StepNetwork,
    heard: EncoderOutput,
    rules: Rules,
    temperature: float = 0.0,
    draws: Sequence[int] | None = None,
) -> list[Spoken]:
    """The most likely token at every step, or one drawn at ``temperature``; all rows at once.

    What is drawn depends on the step, the temperature and the row's number in ``draws`` (None: 0 for all),
    not on its place in the batch.
    """
    batch = _ActiveRows(network, heard, rules)
    draws = [0] * len(batch.rows) if draws is None else draws
    ids = heard.given
    for number in range(max(batch.room, default=0)):
        logits = rules.allowed(batch.step(ids), batch.said)
        following = _drawn(logits, temperature, number, [draws[row] for row in batch.rows])
        marks = logits.gather(1, following[:, None])[:, 0] - logits.logsumexp(-1)
        batch.hear(following.tolist(), marks.tolist())
        if not batch.living:
            break
        ids = batch.shrunk(following)[:, None]
    return [replace(said, temperature=temperature) for said in batch.finished()]


class _ActiveRows:
    """The rows that still speak, and what they said; those that ended leave it a few at a time.

    ``rows`` holds at each place of the batch the row that stands there.
    """

    def __init__(self, network: StepNetwork, heard: EncoderOutput, rules: Rules) -> None:
        self.network, self.heard, self.rules = network, heard, rules
        self.cache, self.mask = heard.cache(rules), heard.mask
        self.room = heard.room(rules)
        self.rows = list(range(len(heard.given)))
        self.living = {row for row in self.rows if self.room[row]}
        self._said: list[list[int]] = [[] for _ in self.rows]
        self._marks: list[list[float]] = [[] for _ in self.rows]
        self._looped = [False] * len(self.rows)

    @property
    def said(self) -> list[list[int]]:
        """What the row at each place has said."""
        return [self._said[row] for row in self.rows]

    def step(self, ids: Tensor) -> Tensor:
        """Logits behind ``ids`` of all rows of the batch."""
        return self.network.step(ids, self.heard.states[: len(self.rows)], self.mask, self.cache)

    def hear(self, tokens: list[int], marks: list[float]) -> None:
        """Every row that lives says its token; those that thereby end are noted."""
        for row, token, mark in zip(self.rows, tokens, marks, strict=True):
            said = self._said[row]
            if row not in self.living:
                said.append(token)  # said by nobody; all rows of a batch have said equally many
                continue
            self._marks[row].append(mark)
            if token == self.rules.end:
                self.living.remove(row)
            said.append(token)
            if row in self.living and (len(said) == self.room[row] or self.rules.ends(said)):
                self._looped[row] = self.rules.ends(said) or self._overlong(row)
                self.living.remove(row)

    def _overlong(self, row: int) -> bool:
        own = self.heard.most
        return own is not None and own[row] == len(self._said[row])

    def shrunk(self, following: Tensor) -> Tensor:
        """``following`` of the rows that stay; those that ended go once they are many."""
        gone = sum(row not in self.living for row in self.rows)
        if gone < LEAVING_SHARE * len(self.rows):
            return following
        places = [place for place, row in enumerate(self.rows) if row in self.living]
        self.cache.keep(places)
        self.mask = None if self.mask is None else self.mask[places]
        self.rows = [self.rows[place] for place in places]
        return following[places]

    def finished(self) -> list[Spoken]:
        """What each row said, without its end."""
        found = []
        for ids, marks, looped in zip(self._said, self._marks, self._looped, strict=True):
            own = ids[: len(marks)]
            if own and own[-1] == self.rules.end:
                own = own[:-1]
            found.append(Spoken(tuple(own), tuple(marks), looped))
        return found


#: Steps between the seeds of two draws: more than a row has.
_DRAWS_APART = 10_000


def _drawn(logits: Tensor, temperature: float, step: int, draws: Sequence[int]) -> Tensor:
    """The best token of each row, at a temperature above 0 with Gumbel noise: argmax becomes a draw."""
    if temperature <= 0:
        return logits.argmax(-1)
    noise = {draw: _noise(logits.shape[-1], temperature, step + draw * _DRAWS_APART) for draw in set(draws)}
    return (logits / temperature + torch.stack([noise[draw] for draw in draws]).to(logits.device)).argmax(-1)


def _noise(count: int, temperature: float, step: int) -> Tensor:
    generator = torch.Generator().manual_seed(step * 1_000 + round(100 * temperature))
    return -torch.log(-torch.log(torch.rand(count, generator=generator).clamp(1e-20, 1 - 1e-7)))
