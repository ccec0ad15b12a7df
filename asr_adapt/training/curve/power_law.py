"""WER against hours of data as a power law with a floor, and what it says about data not yet there.

Knows hours, word errors and blocks of utterances. Does not know training, files or plots.

``WER(h) = floor + scale · h^-exponent`` is the form in which speech recognisers were found to learn from data
(Hestness et al., arXiv 1712.00409). Intervals come from one bootstrap over test speakers, the same for all
sizes, to which the scatter around the fitted curve is added: it stands for what another choice of training
rows or another seed would have changed.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr_adapt.scoring.bootstrap import LEVEL, REPLICATES, Blocks, ratio, resampled_sums, wer_interval

EXPONENTS = np.linspace(0.05, 2.0, 79)
FEWEST_SIZES = 3  # the law has three numbers
FARTHEST = 10.0  # times the largest amount measured: nothing beyond is called known

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class PowerLaws:
    """Fitted laws, one per row: arrays (laws,)."""

    floor: Numbers
    scale: Numbers
    exponent: Numbers

    def wer(self, hours: Numbers) -> Numbers:
        """WER (laws, hours)."""
        return self.floor[:, None] + self.scale[:, None] * hours[None, :] ** -self.exponent[:, None]

    def hours(self, wer: float) -> Numbers:
        """Hours (laws,) at which the WER is reached; infinite where the floor is above it."""
        above = wer - self.floor
        reachable = (above > 0) & (self.scale > 0)
        with np.errstate(over="ignore"):
            found = (np.where(reachable, self.scale, 1.0) / np.where(reachable, above, 1.0)) ** (
                1.0 / self.exponent
            )
        return np.where(reachable, found, np.where(above >= 0, 0.0, np.inf))


def fit_power_laws(hours: Numbers, wers: Numbers) -> PowerLaws:
    """Least squares fits of ``wers`` (laws, sizes) at ``hours`` (sizes,); floor and scale are not negative.

    For each exponent of a grid the best floor and scale are linear regression; the best exponent is taken.
    """
    best = np.full(len(wers), np.inf)
    floor, scale, exponent = (np.zeros(len(wers)) for _ in range(3))
    for power in EXPONENTS:
        x = hours**-power
        centred = x - x.mean()
        a = np.maximum((wers @ centred) / (centred @ centred), 0.0)
        c = wers.mean(1) - a * x.mean()
        a = np.where(c < 0, np.maximum(wers @ x / (x @ x), 0.0), a)
        c = np.maximum(c, 0.0)
        error = ((wers - c[:, None] - a[:, None] * x[None, :]) ** 2).sum(1)
        better = error < best - 1e-15
        best = np.where(better, error, best)
        floor, scale = np.where(better, c, floor), np.where(better, a, scale)
        exponent = np.where(better, power, exponent)
    return PowerLaws(floor, scale, exponent)


@dataclass(frozen=True)
class Size:
    """One amount of training data and the test's WER with it, with its 95 % interval."""

    hours: float
    wer: float
    low: float
    high: float


@dataclass(frozen=True)
class Need:
    """Hours that WER ``wer`` needs: estimate and 95 % interval; None means more than can be said.

    ``sentence`` says it in words, also where the data cannot say.
    """

    wer: float
    hours: float | None
    low: float | None
    high: float | None
    sentence: str


@dataclass(frozen=True)
class Extrapolation:
    """The fitted law with its bootstrap replicates; ``why_not`` says why there is none."""

    sizes: tuple[Size, ...]
    law: PowerLaws | None
    replicates: PowerLaws | None
    scatter: float
    why_not: str | None

    def band(self, hours: Numbers) -> tuple[Numbers, Numbers, Numbers] | None:
        """The curve and its 95 % bounds at ``hours``; None without a fit."""
        if self.law is None or self.replicates is None:
            return None
        drawn = self.replicates.wer(hours)
        low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
        return self.law.wer(hours)[0], low, high

    def need(self, wer: float) -> Need:
        """How much data ``wer`` needs."""
        if self.law is None or self.replicates is None:
            return Need(wer, None, None, None, f"WER {wer:.1%}: {self.why_not}")
        largest = self.sizes[-1].hours
        best = float(self.law.hours(wer)[0])
        drawn = np.sort(self.replicates.hours(wer))
        low, high = (float(drawn[round(share * (len(drawn) - 1))]) for share in (0.025, 0.975))
        limit = FARTHEST * largest
        known = tuple(value if value <= limit else None for value in (best, low, high))
        return Need(wer, known[0], known[1], known[2], _sentence(wer, known, largest))

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        law = self.law
        fit = {"floor": law.floor, "scale": law.scale, "exponent": law.exponent} if law else {}
        return {
            "sizes": [asdict(size) for size in self.sizes],
            "fit": {name: float(value[0]) for name, value in fit.items()} or None,
            "scatter": self.scatter,
            "why_not": self.why_not,
        }


def _sentence(wer: float, known: tuple[float | None, ...], largest: float) -> str:
    best, low, high = known
    if low is None:
        return (
            f"WER {wer:.1%}: not reachable with {FARTHEST:g} times the data you have, if the curve continues."
        )
    if best is None or high is None:
        return (
            f"WER {wer:.1%}: at least {low:.2g} h ({low / largest:.1f} times what you have); how much at "
            "most the data cannot say."
        )
    return f"WER {wer:.1%}: about {best:.2g} h (95 %: {low:.2g} to {high:.2g}); there are {largest:.2g} h."


def extrapolate(
    hours: Numbers, errors: Numbers, words: Numbers, blocks: Blocks, seed: int = 0
) -> Extrapolation:
    """Fit the law to ``errors`` (sizes, utterances) of the same test, ``words`` (utterances,), at ``hours``.

    No law is fitted with fewer than three sizes, nor where the WER does not fall from the smallest to the
    largest beyond the uncertainty of the test.
    """
    sums = np.stack([*(blocks.sums(row) for row in errors), blocks.sums(words)], axis=1)
    generator = np.random.default_rng(seed)
    drawn = resampled_sums(sums, generator=generator)
    rates = np.stack([ratio(drawn[:, n], drawn[:, -1]) for n in range(len(hours))], axis=1)
    observed = ratio(sums[:, :-1].sum(0), np.full(len(hours), sums[:, -1].sum()))
    bounds = [wer_interval(row, words, blocks, seed=seed) for row in errors]
    sizes = tuple(
        Size(float(h), float(w), bound.low, bound.high)
        for h, w, bound in zip(hours, observed, bounds, strict=True)
    )
    why_not = _why_not(hours, rates)
    if why_not is not None:
        return Extrapolation(sizes, None, None, 0.0, why_not)
    law = fit_power_laws(hours, observed[None, :])
    fitted = law.wer(hours)[0]
    scatter = float(np.sqrt(((observed - fitted) ** 2).sum() / max(len(hours) - FEWEST_SIZES, 1)))
    noise = generator.normal(0.0, scatter, (REPLICATES, len(hours)))
    replicates = fit_power_laws(hours, np.maximum(fitted + (rates - observed) + noise, 0.0))
    return Extrapolation(sizes, law, replicates, scatter, None)


def _why_not(hours: Numbers, rates: Numbers) -> str | None:
    if len(np.unique(hours)) < FEWEST_SIZES:
        return f"the data cannot say: a curve needs at least {FEWEST_SIZES} amounts of data."
    if np.quantile(rates[:, 0] - rates[:, -1], (1 - LEVEL) / 2) <= 0:
        return (
            "the data cannot say: from the least to the most data the WER does not fall by more than the "
            "uncertainty of the test set."
        )
    return None
