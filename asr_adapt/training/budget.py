"""How much the guard may lose, and the recipe's section about it.

Knows budgets and fields. Does not know weights or how anything is measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import BeforeValidator, Field

from asr_adapt.errors import UsageError
from asr_adapt.training.section import Count, Section


@dataclass(frozen=True)
class Budget:
    """How much guard WER may rise: ``value`` is a share of the base's WER, or points when ``absolute``."""

    value: float
    absolute: bool = False

    @staticmethod
    def parse(text: str) -> Budget:
        """``10%`` is relative, ``0.01`` is one point of WER; raises :class:`UsageError`."""
        number = text.strip().removesuffix("%")
        try:
            value = float(number)
        except ValueError:
            value = -1.0
        if not value >= 0:
            raise UsageError(f"budget {text!r} is neither a share such as 10% nor a WER rise such as 0.01.")
        return Budget(value / 100, False) if text.strip().endswith("%") else Budget(value, True)

    def allows(self, guard: float, base: float) -> bool:
        """Whether ``guard`` WER is within the budget over the base's."""
        return guard <= self.limit(base) + 1e-12

    def limit(self, base: float) -> float:
        """The highest guard WER that is allowed when the base has ``base``."""
        return base + self.value if self.absolute else base * (1 + self.value)

    def __str__(self) -> str:
        return f"{100 * self.value:g} points" if self.absolute else f"{100 * self.value:g} % relative"


def _checked(value: object) -> object:
    if value is None:
        return None
    try:
        Budget.parse(str(value))
    except UsageError as error:
        raise ValueError(str(error).rstrip(".")) from error
    return str(value)


class Retention(Section):
    """Blend base and adapted weights at the end, so that the guard stays within a budget."""

    guard_budget: Annotated[str | None, BeforeValidator(_checked)] = Field(
        None,
        description="How much guard WER may rise: 10% (of the base's) or 0.01 (a point); empty: no blending.",
    )
    points: Annotated[int, Field(ge=2)] = Field(11, description="Mixtures measured, both ends included.")
    groups: Count = Field(
        1, description="Groups of layers whose shares are refined one by one after the common share."
    )

    @property
    def budget(self) -> Budget | None:
        """The budget, parsed."""
        return None if self.guard_budget is None else Budget.parse(self.guard_budget)
