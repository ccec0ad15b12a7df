"""Beam search over what a decoder says, all rows of a batch at once.

Knows hypotheses, their scores and when a row is done. Does not know audio, tokenisers or what a token means;
what may follow is the rules' business (:mod:`asr_adapt.models.search.generation`).

Where words are listed, hypotheses that spell them are searched for in places of their own, beside the beam,
which stays what it is without a list. So first tokens of listed words, which are many, crowd nothing out of
the beam, and a transcript is either that of the search without a list or holds a listed word.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple

import torch
from torch import Tensor

from asr_adapt.models.search.generation import EncoderOutput, Rules, Spoken, StepNetwork

#: How many hypotheses that spell listed words are searched for beside a beam.
BESIDE = 5
#: The least that listed words add to such a hypothesis, nats; less is an error of rounding.
_LEAST = 1e-4


class _Step(NamedTuple):
    """A continuation: the beam, its next token, that token's log-probability, the beam's bonus with it."""

    beam: int
    token: int
    mark: float
    bonus: float


@dataclass
class _Row:
    """Hypotheses of one row while it is searched: tokens and scores of each, those that ended, those cut off.

    The first ``width`` of ``beams`` are the search without a list, those behind them spell listed words.
    """

    room: int
    #: Whether the row's own length sets its bound, so that who still speaks there babbles.
    bounded: bool
    width: int
    #: How many hypotheses end the search, and the exponent that ranks them.
    wanted: int = 1
    length_penalty: float | None = None
    beams: list[list[int]] = field(default_factory=lambda: [[]])
    scores: list[list[float]] = field(default_factory=lambda: [[]])
    #: What listed words have added to each beam; see :class:`~asr_adapt.models.search.biasing.PhraseBias`.
    bonuses: list[float] = field(default_factory=lambda: [0.0])
    ended: list[Spoken] = field(default_factory=list)
    looped: list[Spoken] = field(default_factory=list)
    #: Those that ended beside the beam, and those that did not.
    listed: list[Spoken] = field(default_factory=list)
    unended: list[Spoken] = field(default_factory=list)
    #: What the beam came to, once it is done.
    found: Spoken | None = None
    done: bool = False
    #: Of each hypothesis, the one that it continues.
    sources: list[int] = field(default_factory=list)

    def said(self, step: _Step, *, looped: bool = False) -> Spoken:
        """What a beam has said with one token more; the end is none of its tokens."""
        ids, marks = self.beams[step.beam], (*self.scores[step.beam], step.mark)
        return Spoken((*ids, step.token) if looped else tuple(ids), marks, looped, bonus=step.bonus)

    def proceed(self, own: list[_Step], beside: list[_Step], places: int) -> None:
        """Go on with the best continuations, padded to ``places`` beside the beam's width."""
        if self.found is None and not own:
            still = [] if self.width == 1 else self._open(full=False)
            self.found = max(self.ended or [*still, *self.looped], key=self._rank)
        steps = own or beside
        if steps:
            dead = _Step(*steps[0][:2], -torch.inf, 0.0)  # rows of a batch are equally wide
            steps = _padded(own, self.width, dead) + _padded(beside, places, dead)
            self._extend(steps)
        full = len(self.beams[0]) >= self.room
        if self.found is None and (full or len(self.ended) >= self.wanted):
            self.found = max(self.ended or [*self._open(full), *self.looped], key=self._rank)
        if full and beside:
            self.unended += self._open(full, beside=True)
        self.done = self.found is not None and (full or not beside or not self._hopeful(places))
        self.sources = [step.beam for step in steps]

    def _extend(self, steps: list[_Step]) -> None:
        self.bonuses = [step.bonus for step in steps]
        self.scores = [[*self.scores[step.beam], step.mark] for step in steps]
        self.beams = [[*self.beams[step.beam], step.token] for step in steps]

    def _open(self, full: bool, *, beside: bool = False) -> list[Spoken]:
        """Hypotheses that have not ended: the beam's own, or those beside it; no bonus counted."""
        beams = zip(self.beams, self.scores, strict=True)
        found = [Spoken(tuple(i), tuple(m), self.bounded and full) for i, m in beams]
        return found[self.width :] if beside else found[: self.width]

    def _hopeful(self, places: int) -> bool:
        """Whether a hypothesis beside the beam may still be better than what was found."""
        if self.found is None or len(self.listed) >= places:
            return False
        beams = zip(self.scores, self.bonuses, strict=True)
        best = max([sum(marks) + bonus for marks, bonus in beams][self.width :])
        return best > max(said.favoured for said in (self.found, *self.listed))

    def best(self, rules: Rules) -> Spoken:
        """What the beam came to, or what spells a listed word and is more likely with what that adds.

        That is as a whole, unless a length penalty is set: a mean over tokens would prefer what spells a
        listed word with many tokens to what is more likely, even if the word added nothing. Among those that
        are, the mean chooses, as among the beam's own.
        """
        found = self.found or self._open(full=True)[0]  # a row without room for a token
        listed = self.listed
        if not listed and not self.ended and rules.bias is not None:
            worth = rules.bias.worth
            listed = [replace(said, bonus=worth([*said.ids, rules.end])) for said in self.unended]
            listed = [said for said in listed if said.bonus >= _LEAST]
        if self.length_penalty is not None:
            return max([found, *listed], key=self._rank)
        likelier = [said for said in listed if said.favoured > found.favoured]
        return max(likelier or [found], key=self._rank)

    def _rank(self, said: Spoken) -> float:
        """Mean log-probability, or the sum over Wu et al.'s length penalty; with what listed words added."""
        if self.length_penalty is None:
            return said.mean_favoured
        return float(said.favoured / ((5 + len(said.ids)) / 6) ** self.length_penalty)


def _padded(steps: list[_Step], count: int, dead: _Step) -> list[_Step]:
    return steps + [dead] * (count - len(steps))


@torch.inference_mode()
def search(
    network: StepNetwork,
    heard: EncoderOutput,
    rules: Rules,
    beams: int,
    *,
    patience: float = 1.0,
    length_penalty: float | None = None,
) -> list[Spoken]:
    """Beam search; a row is done when ``beams`` × ``patience`` hypotheses have ended, and leaves.

    The best is the one of the highest mean log-probability, as in OpenAI's Whisper. A hypothesis that loops
    ends there; it wins only where every other one loops too. One beam is the greedy search: a row whose best
    token makes a loop is done.
    """
    room = heard.room(rules)
    own = heard.most or [0] * len(room)
    wanted = max(1, round(beams * patience)) if beams > 1 else 1
    rows = [_Row(r, r == o, beams, wanted, length_penalty) for r, o in zip(room, own, strict=True)]
    cache, mask, ids = heard.cache(rules), heard.mask, heard.given
    live, width = [row for row in rows if row.room], 1  # at first all beams of a row are alike: one is enough
    while live:
        states = heard.states[:1].expand(len(ids), -1, -1)  # only the first step looks at them
        logits = network.step(ids, heard.states if width == 1 else states, mask, cache)
        logits = rules.allowed(logits, [beam for row in live for beam in row.beams])
        sources, tokens = _advance(live, logits - logits.logsumexp(-1, keepdim=True), rules)
        kept = [n for n, row in enumerate(live) if not row.done]
        if not kept:
            break
        places = [n * width + source for n in kept for source in sources[n]]
        if width == 1 or len(kept) < len(live):
            cache.keep(places)
            mask = None if mask is None else mask[places]
        else:
            cache.arrange(places)
        live, width = [live[n] for n in kept], len(sources[kept[0]])
        ids = torch.tensor([t for n in kept for t in tokens[n]], device=heard.given.device)[:, None]
    return [row.best(rules) for row in rows]


def _advance(live: list[_Row], scores: Tensor, rules: Rules) -> tuple[list[list[int]], list[list[int]]]:
    """Continue every row's hypotheses; the new ones' sources and tokens, row by row.

    ``scores`` (rows × beams, vocabulary) are log-probabilities. A row without continuations is done.
    """
    width, places = live[0].width, 0 if rules.bias is None else BESIDE
    marks = scores.view(len(live), -1, scores.shape[-1])
    sums = marks + marks.new_tensor([[sum(own) for own in row.scores] for row in live])[..., None]
    bonuses: Tensor | None = None
    beside: list[list[_Step]] = [[] for _ in live]
    if rules.bias is not None:
        bonuses = rules.bias.added([beam for row in live for beam in row.beams], scores.shape[-1])
        bonuses = bonuses.to(marks).view(marks.shape)
        bonuses += bonuses.new_tensor([row.bonuses for row in live])[..., None]
        # no more than one phrase adds: a hypothesis that says several does not crowd out who begins his first
        lent = (sums + bonuses.clamp(max=rules.bias.most)).masked_fill_(bonuses < _LEAST, -torch.inf)
        beside = _candidates(lent, marks, bonuses, 2 * (width + places))
    own = _candidates(sums[:, :width], marks, bonuses, 2 * width if width > 1 else 1)
    for row, plain, listed in zip(live, own, beside, strict=True):
        _continue(row, plain, listed, rules, places)
    tokens = [[] if row.done else [beam[-1] for beam in row.beams] for row in live]
    return [row.sources for row in live], tokens


def _candidates(totals: Tensor, marks: Tensor, bonuses: Tensor | None, count: int) -> list[list[_Step]]:
    """The continuations of the highest ``totals`` (rows, beams, vocabulary) that are possible, best first."""
    size = totals.shape[-1]
    best, at = totals.flatten(1).topk(min(count, totals[0].numel()), -1)
    found = marks.flatten(1).gather(1, at).tolist()
    added = torch.zeros_like(best) if bonuses is None else bonuses.flatten(1).gather(1, at)
    return [
        [
            _Step(place // size, place % size, mark, bonus)
            for total, place, mark, bonus in zip(*row, strict=True)
            if total > -torch.inf
        ]
        for row in zip(best.tolist(), at.tolist(), found, added.tolist(), strict=True)
    ]


def _continue(row: _Row, plain: list[_Step], listed: list[_Step], rules: Rules, places: int) -> None:
    """The row one token further: the beam by the model's own scores, beside it what spells listed words."""
    own: list[_Step] = []
    tried: set[tuple[int, int]] = set()
    if row.found is None:
        own, ended, looped = _taken(row, plain, rules, row.width)
        ended = ended[: row.wanted - len(row.ended)]
        row.ended += map(row.said, ended)
        row.looped += [row.said(step._replace(bonus=0.0), looped=True) for step in looped]
        tried = {step[:2] for step in (*own, *ended)}
    listed = [step for step in listed if step[:2] not in tried]
    beside, ended, looped = _taken(row, listed, rules, places)
    row.listed += map(row.said, ended)
    row.unended += [row.said(step, looped=True) for step in looped]
    row.proceed(own, beside, places)


def _taken(
    row: _Row, steps: list[_Step], rules: Rules, count: int
) -> tuple[list[_Step], list[_Step], list[_Step]]:
    """The first ``count`` of ``steps`` that go on, and those before the last of them that end, or loop.

    An end that is less likely than all that goes on is none.
    """
    fresh: list[_Step] = []
    ended: list[_Step] = []
    looped: list[_Step] = []
    for step in steps:
        if len(fresh) == count:
            break
        if step.token == rules.end:
            ended.append(step)
        elif rules.ends([*row.beams[step.beam], step.token]):
            looped.append(step)
        else:
            fresh.append(step)
    return fresh, ended, looped
