"""Weight interpolation between a base and its adapted model: the accent gained, the old one kept.

Knows how weights are mixed, swept and chosen within a guard budget (Li et al., arXiv 2210.15282; Wortsman et
al. 2022). Does not know how either model was trained, nor how results are shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from asr_adapt.errors import ModelError, UsageError
from asr_adapt.models import Recogniser

Weights = Mapping[str, torch.Tensor]
#: () → (target WER, guard WER), fractions, of the model as it is now.
Measure = Callable[[], tuple[float, float]]


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
        if value < 0:
            raise UsageError(f"budget {text!r} is neither a share such as 10% nor a WER rise such as 0.01.")
        return Budget(value / 100, False) if text.strip().endswith("%") else Budget(value, True)

    def allows(self, guard: float, base: float) -> bool:
        """Whether ``guard`` WER is within the budget over the base's."""
        limit = base + self.value if self.absolute else base * (1 + self.value)
        return guard <= limit + 1e-12


@dataclass(frozen=True)
class Point:
    """One mixture: ``share`` of the adapted model (0 base, 1 adapted) and its WERs as fractions."""

    share: float
    target: float
    guard: float
    within: bool


@dataclass(frozen=True)
class Blend:
    """All points of a sweep, by rising share, and the chosen one."""

    points: tuple[Point, ...]
    chosen: Point

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"chosen": asdict(self.chosen), "points": [asdict(point) for point in self.points]}


def weights_of(recogniser: Recogniser) -> dict[str, torch.Tensor]:
    """Copies of all parameters."""
    return {name: p.detach().clone() for name, p in recogniser.model.named_parameters()}


def require_same_shape(base: Weights, adapted: Weights, names: tuple[str, str]) -> None:
    """Raise :class:`ModelError` unless both models have the same parameters."""
    differing = base.keys() ^ adapted.keys() | {
        n for n in base.keys() & adapted.keys() if base[n].shape != adapted[n].shape
    }
    if differing:
        example = sorted(differing)[0]
        raise ModelError(
            f"{names[0]} and {names[1]} differ in {example}: only a model adapted from the base, with its "
            "vocabulary kept, can be blended."
        )


def mix(recogniser: Recogniser, base: Weights, adapted: Weights, share: float) -> None:
    """Set the weights to ``(1 - share) · base + share · adapted``; the ends are exact."""
    with torch.no_grad():
        for name, parameter in recogniser.model.named_parameters():
            if share in (0.0, 1.0):
                parameter.copy_(adapted[name] if share else base[name])
            else:
                parameter.copy_(torch.lerp(base[name], adapted[name], share))


def sweep(
    recogniser: Recogniser,
    weights: tuple[Weights, Weights],
    measure: Measure,
    budget: Budget,
    shares: Sequence[float],
) -> Blend:
    """Measure the mixtures of ``weights`` (base, adapted) and leave the chosen one in ``recogniser``.

    Chosen is the lowest target WER among the points whose guard WER is within the budget; at equal target the
    lower guard. The base is always among them, so a choice exists.
    """
    found: list[Point] = []
    for share in sorted({0.0, *shares}):
        mix(recogniser, *weights, share)
        target, guard = measure()
        base_guard = found[0].guard if found else guard
        found.append(Point(share, target, guard, budget.allows(guard, base_guard)))
    chosen = min((p for p in found if p.within), key=lambda p: (p.target, p.guard, -p.share))
    mix(recogniser, *weights, chosen.share)
    return Blend(tuple(found), chosen)
