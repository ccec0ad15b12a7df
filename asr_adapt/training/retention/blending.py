"""Weight interpolation between a base and its adapted model: the accent gained, the old one kept.

Knows how weights are mixed, swept and chosen within a guard budget (Li et al., arXiv 2210.15282; Wortsman et
al. 2022). Does not know how either model was trained, nor how results are shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from asr_adapt.errors import ModelError
from asr_adapt.models import LayerStack, Recogniser
from asr_adapt.scoring.rise import Rise
from asr_adapt.training.measuring.encoder_context import as_pretrained

Weights = Mapping[str, torch.Tensor]
#: () → (target WER, guard WER), fractions, of the model as it is now.
Measure = Callable[[], tuple[float, float]]
#: Shares tried for one group of layers while the others stay.
GROUP_SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class BlendPoint:
    """One mixture: ``share`` of the adapted model (0 base, 1 adapted) and its WERs as fractions.

    ``shares`` holds the share of each group of layers where they differ; ``share`` is then their mean.
    """

    share: float
    target: float
    guard: float
    within: bool
    shares: tuple[float, ...] = ()


@dataclass(frozen=True)
class Blend:
    """All points of a sweep, common shares by rising share first, and the chosen one.

    ``groups`` names the groups of layers, bottom first.
    """

    points: tuple[BlendPoint, ...]
    chosen: BlendPoint
    groups: tuple[str, ...] = ()

    @property
    def base(self) -> BlendPoint:
        """The base itself."""
        return self.points[0]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "chosen": asdict(self.chosen),
            "groups": list(self.groups),
            "points": [asdict(point) for point in self.points],
        }


@dataclass(frozen=True)
class LayerGroup:
    """Parameters of neighbouring stages that are mixed with one share."""

    name: str
    parameters: frozenset[str]


def weights_of(recogniser: Recogniser) -> dict[str, torch.Tensor]:
    """Copies of all parameters in the computer's memory: a GPU has room for one model, perhaps."""
    return {name: p.detach().to("cpu", copy=True) for name, p in recogniser.model.named_parameters()}


def require_same_shape(base: Weights, adapted: Weights, names: tuple[str, str]) -> None:
    """Raise :class:`ModelError` unless both models have the same parameters."""
    differing = base.keys() ^ adapted.keys() | {
        n for n in base.keys() & adapted.keys() if base[n].shape != adapted[n].shape
    }
    if differing:
        raise _unlike(names, sorted(differing)[0])


def require_same_vocabulary(base: Recogniser, adapted: Recogniser) -> None:
    """Raise :class:`ModelError` unless both have the same tokens under the same ids.

    Heads of equal size may still mean other letters, and mixing those rows would mix letters.
    """
    if base.processor.tokenizer.get_vocab() != adapted.processor.tokenizer.get_vocab():
        raise _unlike((base.name, adapted.name), "their vocabulary")


def _unlike(names: tuple[str, str], what: str) -> ModelError:
    return ModelError(
        f"{names[0]} and {names[1]} differ in {what}: only a model adapted from the base, with its "
        "vocabulary kept, can be blended."
    )


def layer_groups(stack: LayerStack, changed: frozenset[str], count: int) -> tuple[LayerGroup, ...]:
    """``changed`` parameters in at most ``count`` runs of neighbouring stages, bottom first."""
    stages = [
        (stage.name, own)
        for number, stage in enumerate(stack.stages)
        if (own := changed & {name for name, _ in stack.parameters_of(number)})
    ]
    groups = []
    for part in np.array_split(np.arange(len(stages)), min(count, len(stages)) or 1):
        names = [stages[number][0] for number in part]
        label = names[0] if len(set(names)) == 1 else f"{names[0]}–{names[-1]}" if names else "nothing"
        groups.append(LayerGroup(label, frozenset().union(*(stages[n][1] for n in part))))
    return tuple(groups)


class Mixer:
    """Sets the weights of ``recogniser`` between ``base`` and ``adapted``, with a share for each group."""

    def __init__(self, recogniser: Recogniser, base: Weights, adapted: Weights, groups: int = 1) -> None:
        self.recogniser, self.base, self.adapted = recogniser, base, adapted
        #: Parameters in which the two differ.
        self.changed = frozenset(name for name in base if not torch.equal(base[name], adapted[name]))
        self.groups = layer_groups(recogniser.stack, self.changed, groups)
        self._group_of = {n: i for i, group in enumerate(self.groups) for n in group.parameters}
        self._set = [1.0] * len(self.groups)

    @property
    def shares(self) -> dict[str, float]:
        """The share that was set last, of every parameter in which the two differ."""
        return {name: self._set[group] for name, group in self._group_of.items()}

    @property
    def boundary(self) -> int:
        """The lowest stage in which the two differ: below it they compute the same."""
        stack = self.recogniser.stack
        own = [
            n
            for n in range(stack.prefix_limit)
            if self.changed & {name for name, _ in stack.parameters_of(n)}
        ]
        return min([*own, stack.prefix_limit])

    def set(self, shares: Sequence[float]) -> None:
        """``(1 - share) · base + share · adapted`` for each group; the ends are exact."""
        self._set = list(shares)
        with torch.no_grad():
            for name, parameter in self.recogniser.model.named_parameters():
                share = shares[self._group_of[name]] if name in self._group_of else 0.0
                base = self.base[name].to(parameter.device)
                if share in (0.0, 1.0):
                    parameter.copy_(self.adapted[name] if share else base)
                else:
                    parameter.copy_(torch.lerp(base, self.adapted[name].to(parameter.device), share))


def sweep(mixer: Mixer, measure: Measure, budget: Rise, shares: Sequence[float], *, refine: int = 0) -> Blend:
    """Measure the mixtures with common ``shares``, then refine group by group; leave the chosen one set.

    Chosen is the lowest target WER among the points whose guard WER is within the budget; at equal target the
    lower guard. The base is always among them, so a choice exists; it is heard as it was pretrained, because
    its guard WER is what the budget rests on. ``refine`` shares more halve the gap between the largest one
    within the budget and the next. Refining by groups tries each of
    :data:`GROUP_SHARES` for one group of layers at a time, top first, and keeps what is better.
    """
    found: list[BlendPoint] = []
    size = len(mixer.groups)

    def add(own: Sequence[float]) -> BlendPoint:
        mixer.set(own)
        with as_pretrained(mixer.recogniser, when=not any(own)):
            target, guard = measure()
        within = budget.allows(guard, found[0].guard if found else guard)
        common = len(set(own)) == 1
        found.append(BlendPoint(float(np.mean(own)), target, guard, within, () if common else tuple(own)))
        return found[-1]

    for share in sorted({0.0, *shares}):
        add([share] * size)
    for _ in range(refine):
        low = max(point.share for point in found if point.within)
        above = [point.share for point in found if point.share > low]
        if not above:
            break
        add([(low + min(above)) / 2] * size)
    chosen = min((p for p in found if p.within), key=_rank)
    best = [chosen.share] * size
    for group in reversed(range(size)) if size > 1 else ():
        for share in GROUP_SHARES:
            tried = [*best[:group], share, *best[group + 1 :]]
            if tried == best:
                continue
            point = add(tried)
            if point.within and _rank(point) < _rank(chosen):
                chosen, best = point, tried
    mixer.set(best)
    found.sort(key=lambda point: (bool(point.shares), point.share if not point.shares else 0.0))
    return Blend(tuple(found), chosen, tuple(group.name for group in mixer.groups))


def _rank(point: BlendPoint) -> tuple[float, float, float]:
    return point.target, point.guard, -point.share
