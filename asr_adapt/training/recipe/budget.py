"""The recipe's section about how much the guard may lose.

Knows fields. Does not know weights or how anything is measured.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from asr_adapt.errors import UsageError
from asr_adapt.scoring.rise import Rise, parse_rise
from asr_adapt.training.recipe.section import Count, Section


def _checked(value: object) -> object:
    if value is None:
        return None
    try:
        parse_rise(value, place="budget")
    except UsageError as error:
        raise ValueError(str(error).rstrip(".")) from error
    return str(value)


class Retention(Section):
    """Blend base and adapted weights at the end, so that the guard stays within a budget."""

    guard_budget: Annotated[str | None, BeforeValidator(_checked)] = Field(
        None,
        description="How much guard WER may rise: 10% (of the base's), 0.01 (a point), or "
        "10% or 0.01 (the larger); empty: no blending. Left out: chosen for the model.",
    )
    points: Annotated[int, Field(ge=2)] = Field(
        11, description="Number of mixtures to measure, both ends included."
    )
    refine: Annotated[int, Field(ge=0)] = Field(
        2,
        description="Mixtures measured besides, each halfway from the largest within the budget to the next.",
    )
    share: Annotated[float, Field(gt=0.0, le=1.0)] | None = Field(
        None,
        description="Without a budget: how much of the learnt weights is kept, the rest is the base's. Left "
        "out: all, but for a pretrained Whisper whose recipe names no strategy, guard or replay.",
    )
    groups: Count = Field(
        1, description="Groups of layers whose shares are refined one by one after the common share."
    )

    @property
    def between(self) -> int:
        """Mixtures measured at most, without the ends, which the run has measured anyway."""
        return self.points - 2 + self.refine

    @property
    def budget(self) -> Rise | None:
        """The budget, parsed."""
        return None if self.guard_budget is None else parse_rise(self.guard_budget, place="budget")
