"""What CTranslate2 gave for a row: the hypothesis that is taken, and where torch would have ended it.

Knows CTranslate2's results, rules and loops. Does not know engines, windows or attempts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from asr_adapt.models.search.generation import EncoderOutput, Rules, Spoken


@dataclass(frozen=True)
class Bound:
    """The most tokens that an attempt gives, and at how many a row's own length calls it babble."""

    given: int
    babble: int


def bounds(heard: EncoderOutput, most: int) -> list[Bound]:
    """The bounds of each row in an attempt that gives ``most`` tokens."""
    own = heard.most or [most + 1] * len(heard.given)
    return [Bound(most, babble) for babble in own]


def best(result: Any, rules: Rules, bound: Bound, penalty: float) -> Spoken:
    """The best hypothesis that does not loop, else the best one, ended where torch would have ended it."""
    found = [
        _ended(ids, score, rules, bound, penalty)
        for ids, score in zip(result.sequences_ids, result.scores, strict=True)
    ]
    return next((said for said in found if not said.looped), found[0])


def _ended(ids: list[int], score: float, rules: Rules, bound: Bound, penalty: float) -> Spoken:
    """A hypothesis with its score spread over its tokens; CTranslate2's is their sum over length^penalty."""
    count = len(ids) + (len(ids) < bound.given)  # with its end, where it came to one
    mean = score * max(1, len(ids)) ** penalty / max(1, count)
    looped = (end for end in range(1, len(ids) + 1) if end == bound.babble or rules.ends(ids[:end]))
    stop = next(looped, None)
    if stop is None:
        return Spoken(tuple(ids), (mean,) * count)
    return Spoken(tuple(ids[:stop]), (mean,) * stop, looped=True)
