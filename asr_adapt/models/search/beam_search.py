"""Beam search over what a decoder says, all rows of a batch at once.

Knows hypotheses, their scores and when a row is done. Does not know audio, tokenisers or what a token means;
what may follow is the rules' business (:mod:`asr_adapt.models.search.generation`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from asr_adapt.models.search.generation import EncoderOutput, Rules, Spoken, StepNetwork

#: Of a continuation: the beam, its next token, that token's log-probability, the beam's bonus with it.
_Step = tuple[int, int, float, float]


@dataclass
class _BeamRow:
    """Beams of one row while it is searched: tokens and scores of each, those that ended, those cut off."""

    beams: list[list[int]]
    scores: list[list[float]]
    room: int
    #: Whether the row's own length sets its bound, so that who still speaks there babbles.
    bounded: bool
    #: How many hypotheses end the search, and the exponent that ranks them.
    wanted: int = 1
    length_penalty: float | None = None
    ended: list[Spoken] = field(default_factory=list)
    looped: list[Spoken] = field(default_factory=list)
    done: bool = False
    #: What listed words have added to each beam; see :class:`~asr_adapt.models.search.biasing.PhraseBias`.
    bonuses: list[float] = field(default_factory=lambda: [0.0])

    def proceed(self, fresh: list[_Step], beams: int) -> None:
        """Go on with the best continuations; the row is done where that is no use."""
        if fresh:
            self.bonuses = [bonus for *_, bonus in fresh]
            self.scores = [[*self.scores[beam], mark] for beam, _, mark, _ in fresh]
            self.beams = [[*self.beams[beam], token] for beam, token, _, _ in fresh]
        self.done = not fresh or len(self.ended) >= self.wanted or len(self.beams[0]) >= self.room

    def best(self) -> Spoken:
        """Of those that ended, or else of those still open or cut off."""
        beams = zip(self.beams, self.scores, self.bonuses, strict=True)
        overlong = self.bounded and len(self.beams[0]) >= self.room
        still = [Spoken(tuple(ids), tuple(marks), overlong, bonus=bonus) for ids, marks, bonus in beams]
        return max(self.ended or still + self.looped, key=self._rank)

    def _rank(self, said: Spoken) -> float:
        """Mean log-probability, or the sum over Wu et al.'s length penalty; with what listed words added."""
        total = sum(said.scores) + said.bonus
        if self.length_penalty is None:
            return total / max(1, len(said.scores))
        return float(total / ((5 + len(said.ids)) / 6) ** self.length_penalty)


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
    ends there; it wins only where every other one loops too.
    """
    room = heard.room(rules)
    own = heard.most or [0] * len(room)
    wanted = max(1, round(beams * patience))
    rows = [_BeamRow([[]], [[]], r, r == o, wanted, length_penalty) for r, o in zip(room, own, strict=True)]
    cache, mask, ids = heard.cache(rules), heard.mask, heard.given
    live, width = [row for row in rows if row.room], 1  # at first all beams of a row are alike: one is enough
    while live:
        states = heard.states[:1].expand(len(ids), -1, -1)  # only the first step looks at them
        logits = network.step(ids, heard.states if width == 1 else states, mask, cache)
        said = [beam for row in live for beam in row.beams]
        logits = rules.allowed(logits, said)
        scores = logits - logits.logsumexp(-1, keepdim=True)
        ranked = rules.favoured(scores, said, taken_back=True)
        sources, tokens = _advance(live, scores, ranked, rules, beams)
        kept = [n for n, row in enumerate(live) if not row.done]
        if not kept:
            break
        places = [n * width + source for n in kept for source in sources[n]]
        if width == 1 or len(kept) < len(live):
            cache.keep(places)
            mask = None if mask is None else mask[places]
        else:
            cache.arrange(places)
        live, width = [live[n] for n in kept], beams
        ids = torch.tensor([t for n in kept for t in tokens[n]], device=heard.given.device)[:, None]
    return [row.best() for row in rows]


def _advance(
    live: list[_BeamRow], scores: Tensor, ranked: Tensor, rules: Rules, beams: int
) -> tuple[list[list[int]], list[list[int]]]:
    """Continue every row's beams with the best candidates; the new beams' sources and tokens, row by row.

    ``scores`` (rows × beams, vocabulary) are log-probabilities, ``ranked`` those with what listed words add.
    A row without any is done.
    """
    vocabulary = scores.shape[-1]
    so_far = torch.tensor(
        [[sum(s) + bonus for s, bonus in zip(row.scores, row.bonuses, strict=True)] for row in live],
        device=scores.device,
    )
    sums = ranked.view(len(live), -1, vocabulary) + so_far[..., None]
    best, at = sums.flatten(1).topk(min(2 * beams, sums[0].numel()), -1)
    marks = scores.view(len(live), -1).gather(1, at)
    sources, tokens = [], []
    for row, *columns in zip(live, best.tolist(), at.tolist(), marks.tolist(), strict=True):
        fresh: list[_Step] = []
        for total, place, mark in zip(*columns, strict=True):
            if len(fresh) == beams:
                break  # an end that is less likely than all that goes on is none
            beam, token = divmod(place, vocabulary)
            possible = total > -torch.inf
            bonus = total - sum(row.scores[beam]) - mark if possible and rules.bias is not None else 0.0
            if token == rules.end:
                if possible and len(row.ended) < row.wanted:
                    row.ended.append(Spoken(tuple(row.beams[beam]), (*row.scores[beam], mark), bonus=bonus))
            elif possible and rules.ends([*row.beams[beam], token]):
                said = (*row.beams[beam], token), (*row.scores[beam], mark)
                row.looped.append(Spoken(*said, looped=True, bonus=bonus))
            else:
                fresh.append((beam, token, mark, bonus))
        if fresh:
            fresh += [(*fresh[0][:2], -torch.inf, 0.0)] * (
                beams - len(fresh)
            )  # rows of a batch are equally wide
        row.proceed(fresh, beams)
        sources.append([step[0] for step in fresh])
        tokens.append([step[1] for step in fresh])
    return sources, tokens
