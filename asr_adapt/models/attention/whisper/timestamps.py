"""Whisper's timestamps: which tokens they allow, and the phrases that they mark off.

Knows token ids. Does not know networks, audio or text. Source: ``ApplyTimestampRules`` in OpenAI's
whisper/decoding.py, and the loop of its transcribe.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from asr_adapt.models.attention.whisper.tokens import TIMESTAMP_SECONDS
from asr_adapt.models.search.generation import Rules


@dataclass(frozen=True)
class TimedRules(Rules):
    """Rules of a transcript with timestamps, whose ids are ``first_timestamp`` (0.00 s) and above.

    A transcript begins with a timestamp of at most ``latest_start`` steps of 20 ms. Timestamps come in pairs,
    the end of a phrase and the beginning of the next, and never go back. Where a timestamp is more probable
    than any word, one must follow.
    """

    first_timestamp: int = 0
    latest_start: int = 50

    def allowed(self, logits: Tensor, said: Sequence[Sequence[int]]) -> Tensor:
        """As in :class:`Rules`, and what the timestamps of each row allow."""
        logits = super().allowed(logits, said)
        first, count = self.first_timestamp, logits.shape[-1]
        bounds = [self._bounds(row, count) for row in said]
        columns = torch.arange(count, device=logits.device)
        text, low, high = torch.tensor(bounds, device=logits.device).T[:, :, None]
        # text tokens from ``text`` on, timestamps from ``low`` up to ``high``
        timed = columns >= first
        open_ones = torch.where(timed, (columns >= low) & (columns < high), columns >= text)
        logits = logits.masked_fill(~open_ones, -torch.inf)
        sure = logits[:, first:].logsumexp(-1) > logits[:, :first].amax(-1)
        return logits.masked_fill(sure[:, None] & ~timed, -torch.inf)

    def _bounds(self, said: Sequence[int], count: int) -> tuple[int, int, int]:
        """The lowest text token, the lowest timestamp, and where timestamps end, that may follow ``said``."""
        first = self.first_timestamp
        if not said:
            return count, first, first + self.latest_start + 1
        last = next((token for token in reversed(said) if token >= first), first)
        if said[-1] < first:
            return 0, last + 1, count
        if len(said) == 1 or said[-2] >= first:  # a phrase begins
            return 0, count, count
        return self.end, last, count  # a phrase ended: the next begins, or the transcript ends


@dataclass(frozen=True)
class PhraseSpan:
    """A phrase's times in seconds and the places of its tokens, timestamps included, in the transcript."""

    start: float
    end: float
    first: int
    stop: int


def spans(ids: Sequence[int], first_timestamp: int, seconds: float) -> tuple[list[PhraseSpan], float]:
    """The phrases in the tokens of a window of ``seconds``, and the second up to which it is heard.

    A transcript that breaks off inside a phrase is heard again from that phrase's beginning, as in OpenAI's.
    """

    def time(place: int) -> float:
        return min(seconds, (ids[place] - first_timestamp) * TIMESTAMP_SECONDS)

    marks = [token >= first_timestamp for token in ids]
    cuts = [place for place in range(1, len(ids)) if marks[place] and marks[place - 1]]
    closed = len(ids) > 1 and marks[-1] and not marks[-2]
    if cuts:
        edges = [0, *cuts, *([len(ids)] if closed else [])]
        found = [PhraseSpan(time(a), time(b - 1), a, b) for a, b in pairwise(edges)]
        return found, seconds if closed else time(cuts[-1] - 1)
    if not ids:
        return [], seconds
    timed = [place for place, mark in enumerate(marks) if mark]
    end = time(timed[-1]) if timed and ids[timed[-1]] > first_timestamp else seconds
    start = time(0) if marks[0] and len(timed) > 1 else 0.0
    return [PhraseSpan(start, end, 0, len(ids))], seconds
