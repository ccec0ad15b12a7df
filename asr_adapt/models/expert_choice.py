"""Several experts of one base in one recogniser, which keeps for each clip what the surest of them heard.

Knows weights and confidences. Does not know families: whatever is heard comes from the family's own methods.

Limits: an expert is sure of speech like that which it learnt from, also where it is wrong; so a wrong expert
can win, most of all on short clips. Each clip is decoded once by the base and once by each expert. On long
audio the choice is made anew for each window.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from asr_adapt.models.contract import Capabilities, Hidden, Recogniser
from asr_adapt.models.hypothesis import HeardWindow, Hypothesis, Window

Heard = TypeVar("Heard", Hypothesis, HeardWindow)
#: Parameters by name: what a member sets before it hears.
Weights = Mapping[str, Tensor]


def changed_weights(base: Recogniser, adapted: Recogniser) -> dict[str, Tensor]:
    """Parameters in which ``adapted`` differs from ``base``, of which it is an adapted copy."""
    own = dict(base.model.named_parameters())
    named = adapted.model.named_parameters()
    return {n: p.detach() for n, p in named if not torch.equal(own[n].detach(), p.detach())}


def choosing(recogniser: Recogniser, experts: Mapping[str, Weights]) -> Recogniser:
    """``recogniser``, which holds the base's weights, hearing by the surest of itself and the ``experts``.

    ``experts`` gives by name the parameters that each changed. The object keeps its family and can be told
    what the family can be told. Hypotheses are those of the one that was chosen.
    """
    kind = type(recogniser)
    made: Any = copy(recogniser)
    made.__class__ = type(f"Choosing{kind.__name__}", (_Choosing, kind), {})
    changed = {name for weights in experts.values() for name in weights}
    named = recogniser.model.named_parameters()
    base = {n: p.detach().clone() for n, p in named if n in changed}
    made.members = {"base": base} | {name: {**base, **weights} for name, weights in experts.items()}
    made.kind = kind
    made.name = " or ".join([recogniser.name, *experts])
    return made


class _Choosing(Recogniser):
    """Mixed into a family's class: the same calls, made once by each member."""

    members: Mapping[str, Weights]
    kind: type[Recogniser]

    @property
    def capabilities(self) -> Capabilities:
        """The family's, one clip or batch at a time: the members take turns in one network."""
        return replace(self.kind.capabilities.fget(self), concurrent=False)  # type: ignore[attr-defined]

    def transcribe(
        self, waveforms: Sequence[Any], *, words: bool = False, language: str | None = None
    ) -> list[Hypothesis]:
        """The surest member's transcript of each clip."""
        return self._surest(
            lambda one: one.transcribe(waveforms, words=words, language=language), sure_of_row
        )

    def hear_windows(self, windows: Sequence[Window], *, words: bool = False) -> list[HeardWindow]:
        """The surest member's phrases of each window."""
        return self._surest(lambda one: one.hear_windows(windows, words=words), sure_of_window)

    def transcribe_hidden(
        self,
        hidden: Hidden,
        boundary: int,
        samples: Sequence[int],
        *,
        words: bool = False,
        language: str | None = None,
    ) -> list[Hypothesis]:
        """The surest member's transcript of each row; the prefix must be one that no member changed."""
        return self._surest(
            lambda one: one.transcribe_hidden(hidden, boundary, samples, words=words, language=language),
            sure_of_row,
        )

    def _surest(
        self, hear: Callable[[Recogniser], list[Heard]], sure: Callable[[Heard], float]
    ) -> list[Heard]:
        plain: Any = copy(self)
        plain.__class__ = self.kind
        found = []
        try:
            for weights in self.members.values():
                self._set(weights)
                found.append(hear(plain))
        finally:
            self._set(self.members["base"])
        return [max(row, key=sure) for row in zip(*found, strict=True)]  # of equals the base, then in order

    @torch.no_grad()
    def _set(self, weights: Weights) -> None:
        for name, value in weights.items():
            self.model.get_parameter(name).copy_(value)


def sure_of_row(hypothesis: Hypothesis) -> float:
    """0…1; a loop is never believed, and nothing heard only where all others looped."""
    if hypothesis.looped or hypothesis.confidence is None:
        return -1.0 if hypothesis.looped else 0.0
    return hypothesis.confidence


def sure_of_window(window: HeardWindow) -> float:
    """Probability of a token in a window, 0…1; a loop is never believed."""
    if window.looped:
        return -1.0
    return math.exp(window.decoded.mean_score) if window.phrases else 0.0
