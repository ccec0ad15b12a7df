"""The search for the weights of experts: known ways to merge, then greedy steps, within a guard's budget.

Knows weights and what was measured of them. Does not know networks beyond :class:`ExpertSum`, nor data.

Tried in this order: the base; each expert alone; all with one common weight (task arithmetic, Ilharco et al.
2022, among them the uniform average of Wortsman et al. 2022); then, from the best of these, single weights up
or down by :data:`STEP` for as long as it helps, first common to all layers, then group by group of layers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from asr_adapt.scoring.rise import Rise
from asr_adapt.training.measuring.encoder_context import as_pretrained
from asr_adapt.training.merging.sum import ExpertSum, Weights

#: () → (WER of each target, WER of the guard), fractions, of the weights as they are now.
Measure = Callable[[], tuple[tuple[float, ...], float]]
#: Common weights tried besides the uniform average.
COMMON = (0.25, 0.5, 0.75, 1.0)
#: By how much a single weight is moved; weights stay in 0…1.
STEP = 0.25
#: Measurements in all, unless told otherwise.
TRIALS = 60


@dataclass(frozen=True)
class MixtureTrial:
    """Weights that were measured: WERs as fractions, ``score`` to be low, and whether the guard allows them.

    ``score`` is the mean over the targets of WER as a share of the base's, so that each accent counts alike.
    """

    way: str
    weights: Weights
    targets: tuple[float, ...]
    guard: float
    score: float
    within: bool

    @property
    def row(self) -> tuple[float, ...]:
        """The weight of each expert, averaged over the groups of layers."""
        return tuple(float(value) for value in np.mean(self.weights, axis=0))


@dataclass(frozen=True)
class Found:
    """Everything that was measured, the base first, and the choice; ``groups`` names the groups of layers."""

    trials: tuple[MixtureTrial, ...]
    chosen: MixtureTrial
    groups: tuple[str, ...]
    #: Whether the search ended because it had used up its trials.
    exhausted: bool

    @property
    def base(self) -> MixtureTrial:
        """The base itself."""
        return self.trials[0]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "chosen": asdict(self.chosen),
            "groups": list(self.groups),
            "exhausted": self.exhausted,
            "trials": [asdict(trial) for trial in self.trials],
        }


def search(experts: ExpertSum, measure: Measure, rise: Rise, *, trials: int = TRIALS) -> Found:
    """Measure at most ``trials`` weightings and leave the best that the guard allows set.

    The best has the lowest score; of equals the one with the lower guard, then the one nearer to the base.
    The base is always allowed, so there is a choice. Where the trials do not suffice, ``exhausted`` says so.
    """
    tried = _Tried(experts, measure, rise, trials)
    for way, weights in _known(experts):
        tried.add(way, weights)
    ended = tried.climb("greedy", range(1)) if len(experts.experts) else True
    if ended and len(experts.groups) > 1:
        ended = tried.climb("greedy by group of layers", range(len(experts.groups)))
    chosen = tried.best
    experts.set(chosen.weights)
    names = tuple(group.name for group in experts.groups)
    return Found(tuple(tried.found.values()), chosen, names, not ended)


def _known(experts: ExpertSum) -> Iterator[tuple[str, Weights]]:
    """The base, each alone, and common weights."""
    count = len(experts.experts)
    yield "base", experts.common([0.0] * count)
    for number in range(count):
        yield "alone", experts.common([float(number == other) for other in range(count)])
    yield "uniform", experts.common([1.0 / count] * count)
    for weight in COMMON:
        yield "task arithmetic", experts.common([weight] * count)


@dataclass
class _Tried:
    """What was measured so far, by weights."""

    experts: ExpertSum
    measure: Measure
    rise: Rise
    limit: int
    found: dict[Weights, MixtureTrial] = field(default_factory=dict)

    @property
    def best(self) -> MixtureTrial:
        return min((t for t in self.found.values() if t.within), key=_rank)

    @property
    def full(self) -> bool:
        return len(self.found) >= self.limit

    def add(self, way: str, weights: Weights) -> None:
        """Measure ``weights``, unless they were or all trials are used up."""
        if weights in self.found or self.full:
            return
        self.experts.set(weights)
        with as_pretrained(self.experts.recogniser, when=not self.found):
            targets, guard = self.measure()
        base = next(iter(self.found.values()), None)
        self.found[weights] = MixtureTrial(
            way,
            weights,
            targets,
            guard,
            relative(targets, targets if base is None else base.targets),
            self.rise.allows(guard, guard if base is None else base.guard),
        )

    def climb(self, way: str, groups: Iterable[int]) -> bool:
        """Move single weights while it helps; with one of ``groups`` alone, those of all layers at once.

        Returns whether no single move helps any more.
        """
        numbers = [*groups]
        moved = True
        while moved:
            moved = False
            for group in reversed(numbers):
                for expert in range(len(self.experts.experts)):
                    before = self.best
                    for near in _moved(before.weights, None if len(numbers) == 1 else group, expert):
                        if near not in self.found and self.full:
                            return False
                        self.add(way, near)
                    moved |= self.best != before
        return True


def _moved(weights: Weights, group: int | None, expert: int) -> Iterator[Weights]:
    """``weights`` with that of ``expert`` lower and higher, in one group of layers or in all."""
    for step in (-STEP, STEP):
        near = tuple(
            tuple(
                min(1.0, max(0.0, value + step)) if number == expert and group in (None, own) else value
                for number, value in enumerate(row)
            )
            for own, row in enumerate(weights)
        )
        if near != weights:
            yield near


def relative(targets: tuple[float, ...], base: tuple[float, ...]) -> float:
    """Mean of the WERs as shares of the base's; where the base makes no error, one more than the WER."""
    return float(np.mean([t / b if b else 1.0 + t for t, b in zip(targets, base, strict=True)]))


def _rank(trial: MixtureTrial) -> tuple[float, float, float]:
    return trial.score, trial.guard, sum(trial.row)
