"""How much a word error rate may rise: of a gate's groups and of a training's guard.

Knows how a rise is written and what it allows. Does not know groups, recipes or weights.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from asr_adapt.errors import UsageError
from asr_adapt.scoring.percentages import points

_RISE = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*(%?)\s*(?:or\s+(\d+(?:\.\d+)?)\s*)?$")
#: Lost to rounding when rates are computed in two ways.
_EPSILON = 1e-12


@dataclass(frozen=True)
class Rise:
    """An allowed rise of WER: ``amount`` absolute (0.01 is one point), or relative to the base's WER.

    ``floor`` is an absolute rise that is allowed in any case: a low base rate leaves little room otherwise.
    """

    amount: float = 0.0
    relative: bool = False
    floor: float = 0.0

    def allowed(self, base: float) -> float:
        """The allowed rise as an absolute difference of fractions."""
        return max(self.amount * base if self.relative else self.amount, self.floor)

    def limit(self, base: float) -> float:
        """The highest WER that is allowed where the base has ``base``."""
        return base + self.allowed(base)

    def allows(self, rate: float, base: float) -> bool:
        """Whether ``rate`` is within the rise over ``base``."""
        return rate <= self.limit(base) + _EPSILON

    def __str__(self) -> str:
        """``10 % relative``, ``1 point`` or ``10 % relative or 1 point``."""
        text = f"{100 * self.amount:g} % relative" if self.relative else points(self.amount)
        return f"{text} or {points(self.floor)}" if self.floor else text


def parse_rise(value: Any, *, place: str = "rise") -> Rise:
    """``"5%"`` is relative, ``0.01`` absolute, ``"10% or 0.01"`` the larger of both.

    Raises :class:`UsageError` for anything else; ``place`` names where it was written.
    """
    match = _RISE.match(str(value)) if not isinstance(value, bool) else None
    if not match or (match[3] and not match[2]):
        raise UsageError(
            f"{place}: {value!r} is not a rise; write 5% (relative), 0.01 (absolute, one point) or 5% "
            "or 0.01."
        )
    amount, floor = float(match[1]), float(match[3] or 0)
    for number in (0.0 if match[2] else amount, floor):
        if number > 1:
            raise UsageError(f"{place}: {value!r} would allow {points(number)}; did you mean {number:g}%?")
    return Rise(amount / 100, True, floor) if match[2] else Rise(amount)
