"""Rates and their intervals in words, for every table, page and card.

Knows percentages. Does not know what was measured, nor where it is shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asr_adapt.scoring.bootstrap import Interval


def percent(rate: float, *, sign: bool = False, decimals: int = 2) -> str:
    """A fraction as a percentage: ``12.34 %``, or ``+1.20 %`` with ``sign``."""
    return f"{_points(rate, sign, decimals)} %"


def bounds(
    low: float, high: float, *, sign: bool = False, decimals: int = 2, between: str = " … ", unit: str = ""
) -> str:
    """Two fractions in percent: ``10.10 … 14.50``; ``unit`` stands behind each."""
    return between.join(f"{_points(bound, sign, decimals)}{unit}" for bound in (low, high))


def interval(found: Interval, *, sign: bool = False) -> str:
    """The bounds of an interval in percent; ``*`` marks one over utterances."""
    return f"{bounds(found.low, found.high, sign=sign)}{'*' if found.unit == 'utterance' else ''}"


def rate_with_bounds(pair: Mapping[str, Any], when: str, *, decimals: int = 1) -> str:
    """``12.3% (10.1%–14.5%)``: the WER of a summary's set ``before`` or ``after``, and its bounds."""
    low, high = pair[f"{when}_interval"]["low"], pair[f"{when}_interval"]["high"]
    return f"{pair[when]:.1%} ({bounds(low, high, decimals=decimals, between='–', unit='%')})"


def points(rate: float) -> str:
    """A difference of fractions as a setting names it: ``1 point``, ``2.5 points``."""
    number = f"{100 * rate:g}"
    return f"{number} point{'' if number == '1' else 's'}"


def _points(rate: float, sign: bool, decimals: int) -> str:
    return f"{100 * rate:{'+' if sign else ''}.{decimals}f}"
