"""Padding of three ways to make batches, on two distributions of length: random, sorted, and the plan's own.

    python benchmarks/bench_padding.py --data ../shared/data --write

Lengths: speechocean762's train part (read from the files' headers), and a lognormal distribution with a mean
of 5.8 s, clipped to 0.5–30 s. All three ways fill the same budget (``batch.seconds`` and
``batch.quadratic_seconds`` of a recipe's defaults), so they differ in order alone: random batches take rows
as a shuffle gives them, sorted ones are cut from rows in order of length, the plan's are those that training
takes. Padding is the share of padded seconds that is no row's sound, a mean over epochs; *as computed* counts
also that a batch is rounded up to a multiple of 0.32 s, for few distinct shapes. No model, no sound.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from report import add_write, line, publish

from asr_adapt.manifest.build import BuildOptions, open_build
from asr_adapt.training.data.batches import LENGTH_STEP, BatchLimits, BatchPlan
from asr_adapt.training.recipe.schema import Batch

SECONDS = 80.0  # a CTC model's batch where a recipe says nothing

Lengths = NDArray[np.float64]
MEAN, SPREAD, ROWS = 5.8, 0.55, 10_000
SHORTEST, LONGEST = 0.5, 30.0


@dataclass(frozen=True)
class Figures:
    """Of one way to make batches: padding (mean, worst epoch, with rounded lengths), batches and order."""

    way: str
    padding: float
    worst: float
    computed: float
    batches: float
    epochs_differ: bool


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=10)
    add_write(parser, "padding")
    options = parser.parse_args(arguments)
    sets = {"speechocean762 train": speechocean_lengths(options.data), "lognormal": lognormal(options.seed)}
    found = {name: compare(lengths, options.seed, options.epochs) for name, lengths in sets.items()}
    text = table(sets, found, options)
    publish(text, "padding", options.write)


def speechocean_lengths(data: Path) -> Lengths:
    """Seconds of every row of the train part."""
    rows = open_build(data / "speechocean762" / "train", BuildOptions(values={"lang": "en"})).rows()
    return np.array([row.duration for row in rows], dtype=np.float64)


def lognormal(seed: int, rows: int = ROWS) -> Lengths:
    """Seconds of rows with a mean of :data:`MEAN`; fewer than one in a thousand are clipped."""
    location = np.log(MEAN) - SPREAD**2 / 2
    drawn = np.random.default_rng(seed).lognormal(location, SPREAD, rows)
    return np.clip(drawn, SHORTEST, LONGEST)


def compare(lengths: Lengths, seed: int, epochs: int) -> list[Figures]:
    """Figures of the three ways over ``epochs``."""
    defaults = Batch()
    limits = BatchLimits(SECONDS, defaults.quadratic_seconds)
    plan = BatchPlan(lengths, limits, seed=seed)
    by_length = fill(np.argsort(lengths, kind="stable"), lengths, limits)

    def shuffled(epoch: int) -> list[list[int]]:
        order = np.random.default_rng((seed, epoch)).permutation(len(lengths))
        return fill(order, lengths, limits)

    ways: dict[str, Callable[[int], list[list[int]]]] = {
        "random": shuffled,
        "sorted": lambda epoch: by_length,
        "ours": plan.epoch,
    }
    return [_figures(name, plan, [way(epoch) for epoch in range(epochs)]) for name, way in ways.items()]


def fill(order: NDArray[np.int64], lengths: Lengths, limits: BatchLimits) -> list[list[int]]:
    """Rows in ``order`` cut into batches: each as full as the padded cost of its longest row allows."""
    costs = limits.cost(lengths)
    batches: list[list[int]] = []
    longest = 0.0
    for row in order.tolist():
        longest = max(longest, float(costs[row]))
        if not batches or longest * (len(batches[-1]) + 1) > limits.seconds:
            batches.append([])
            longest = float(costs[row])
        batches[-1].append(row)
    return batches


def _figures(way: str, plan: BatchPlan, epochs: Sequence[list[list[int]]]) -> Figures:
    shares = [plan.padding(batches) for batches in epochs]
    return Figures(
        way,
        padding=float(np.mean(shares)),
        worst=max(shares),
        computed=float(np.mean([rounded_padding(plan.durations, batches) for batches in epochs])),
        batches=float(np.mean([*map(len, epochs)])),
        epochs_differ=len({frozenset(map(frozenset, batches)) for batches in epochs}) > 1,
    )


def rounded_padding(lengths: Lengths, batches: list[list[int]]) -> float:
    """Share of padding where each batch is as long as its longest row rounded up to a known shape."""
    steps = [np.ceil(lengths[batch].max() / LENGTH_STEP) for batch in batches]
    padded = sum(len(batch) * step * LENGTH_STEP for batch, step in zip(batches, steps, strict=True))
    return 1.0 - float(lengths.sum()) / float(padded)


def table(sets: dict[str, Lengths], found: dict[str, list[Figures]], options: argparse.Namespace) -> str:
    """The section of the document: one line a distribution and way."""
    defaults = Batch()
    lines = [
        "## Padding: batches without waste",
        "",
        f"`benchmarks/bench_padding.py`, seed {options.seed}, mean of {options.epochs} epochs; arithmetic,",
        f"on no hardware in particular. One budget for all: {SECONDS:g} s, quadratic at",
        f"{defaults.quadratic_seconds:g} s. *Padding* is the share of padded seconds that is no row's sound,",
        f"*as computed* with batches rounded up to {LENGTH_STEP:g} s for few distinct shapes; *reshuffled*:",
        "whether epochs differ in which rows share a batch.",
        "",
        "| lengths | rows | mean | batches | padding | worst epoch | as computed | number | reshuffled |",
        "|---|--:|--:|---|--:|--:|--:|--:|---|",
    ]
    for name, lengths in sets.items():
        for row in found[name]:
            cells = [name, len(lengths), f"{lengths.mean():.2f} s", row.way, f"{row.padding:.1%}"]
            cells += [
                f"{row.worst:.1%}",
                f"{row.computed:.1%}",
                f"{row.batches:.0f}",
                "yes" if row.epochs_differ else "no",
            ]
            lines.append(line(cells))
    return "\n".join(lines)


if __name__ == "__main__":
    main()
