"""How good the statistics are, by simulation: coverage of intervals, false alarms of the gate, power.

Writes the tables of docs/scoring-statistics.md. Simulated test sets have known rates: each speaker has an own
error rate (beta distributed), utterances of a speaker differ a little, so words of one speaker are correlated
as in real recordings. Run: python benchmarks/bench_statistics.py [--trials N] [--output FILE]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asr_adapt.files import atomic_write
from asr_adapt.scoring.bootstrap import Blocks, speaker_blocks, wer_interval
from asr_adapt.scoring.paired import PairedErrors, holm, paired_difference, swap_test

BETA = (2.0, 8.0)  # speakers' error rates: mean 20 %, standard deviation 12 points
WORDS = 7
TRUTH_SPEAKERS = 200_000
LEVEL = 0.05


@dataclass(frozen=True)
class Population:
    """Speakers of a simulated test set; ``unequal`` gives some many more utterances than others."""

    speakers: int
    utterances: int
    unequal: bool

    def draw(self, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Speaker, words and probability of error of every utterance, each (utterances,)."""
        rates = generator.beta(*BETA, self.speakers)
        if self.unequal:
            counts = 1 + generator.geometric(1 / self.utterances, self.speakers)
        else:
            counts = np.full(self.speakers, self.utterances)
        index = np.repeat(np.arange(self.speakers), counts)
        words = 3 + generator.poisson(WORDS, len(index))
        return index, words, np.clip(rates[index] * generator.gamma(4, 0.25, len(index)), 0, 1)


def true_wer(unequal: bool) -> float:
    """The WER of the population, from very many speakers."""
    _, words, rates = Population(TRUTH_SPEAKERS, 20, unequal).draw(np.random.default_rng(99))
    return float((words * rates).sum() / words.sum())


def coverage(trials: int) -> Iterator[str]:
    """How often the 95 % interval holds the true WER: by speaker, and by utterance beside it."""
    yield "| speakers | utterances per speaker | by speaker | by utterance |"
    yield "|---:|---|---:|---:|"
    for unequal in (False, True):
        truth = true_wer(unequal)
        for speakers in (6, 10, 20, 50, 200):
            population = Population(speakers, 20, unequal)
            hits = np.zeros(2)
            for trial in range(trials):
                generator = np.random.default_rng([speakers, unequal, trial])
                index, words, rates = population.draw(generator)
                errors = generator.binomial(words, rates)
                for way, blocks in enumerate(
                    (Blocks(index, speakers, "speaker"), speaker_blocks(None, len(index)))
                ):
                    # fewer replicates where there are thousands of blocks: only the shortfall is shown
                    replicates = 1000 if way == 0 else 200
                    interval = wer_interval(errors, words, blocks, replicates=replicates, seed=trial)
                    hits[way] += interval.low <= truth <= interval.high
            by_speaker, by_utterance = hits / trials
            sizes = "about 20, very unequal" if unequal else "20 each"
            yield f"| {speakers} | {sizes} | {by_speaker:.1%} | {by_utterance:.1%} |"


def paired_errors(
    generator: np.random.Generator, population: Population, rise: float
) -> tuple[PairedErrors, np.ndarray]:
    """Two systems on one test set: B's rates are A's plus ``rise``, with speaker-wise ups and downs."""
    index, words, rates = population.draw(generator)
    shift = generator.normal(0, 0.02, population.speakers)[index]
    errors_a = generator.binomial(words, rates)
    errors_b = generator.binomial(words, np.clip(rates + rise + shift, 0, 1))
    return PairedErrors(errors_a, words, errors_b, words), index


def exchangeable(generator: np.random.Generator, population: Population) -> tuple[PairedErrors, np.ndarray]:
    """Two systems that are equally good for every speaker."""
    index, words, rates = population.draw(generator)
    return PairedErrors(
        generator.binomial(words, rates), words, generator.binomial(words, rates), words
    ), index


def false_alarms(trials: int) -> Iterator[str]:
    """How often a gate with 1, 4 or 8 groups fails though nothing changed (at level 5 %)."""
    yield "| speakers per group | groups | false alarms of the gate | without Holm |"
    yield "|---:|---:|---:|---:|"
    for speakers in (6, 10, 30):
        for groups in (1, 4, 8):
            alarms = np.zeros(2)
            for trial in range(trials):
                generator = np.random.default_rng([speakers, groups, trial])
                p_values = []
                for _ in range(groups):
                    pairs, index = exchangeable(generator, Population(speakers, 10, True))
                    sums = pairs.block_sums(Blocks(index, speakers, "speaker"))
                    p_values.append(swap_test(sums, generator=generator, flips=1000)[1])
                alarms += min(holm(p_values)) <= LEVEL, min(p_values) <= LEVEL
            corrected, raw = alarms / trials
            yield f"| {speakers} | {groups} | {corrected:.1%} | {raw:.1%} |"


def power(trials: int) -> Iterator[str]:
    """How often a true rise is found, and whether the stated detectable difference is right."""
    yield "| speakers | rise of 1 point | 2 points | 4 points | 8 points | stated detectable at 80 % |"
    yield "|---:|---:|---:|---:|---:|---:|"
    for speakers in (10, 30, 100):
        population = Population(speakers, 20, False)
        cells, stated = [], []
        for rise in (0.01, 0.02, 0.04, 0.08):
            found = 0
            for trial in range(trials):
                generator = np.random.default_rng([speakers, int(1000 * rise), trial])
                pairs, index = paired_errors(generator, population, rise)
                blocks = Blocks(index, speakers, "speaker")
                difference = paired_difference(pairs, blocks, replicates=300, seed=trial)
                found += difference.p_rise <= LEVEL
                stated.append(difference.detectable)
            cells.append(f"{found / trials:.0%}")
        yield f"| {speakers} | {' | '.join(cells)} | {100 * float(np.median(stated)):.1f} points |"


SECTIONS = (
    ("Coverage of the 95 % interval", coverage, 1.0),
    ("False alarms of the gate at level 5 %", false_alarms, 1.0),
    ("Power of the gate", power, 0.3),
)


def main() -> None:
    """Run all simulations and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=1000, help="simulated test sets per cell [1000]")
    parser.add_argument("--output", type=Path, default=Path("docs/scoring-statistics.md"))
    options = parser.parse_args()
    lines = ["# The statistics, checked by simulation", "", f"Written by `{Path(__file__).name}`."]
    for title, simulate, share in SECTIONS:
        trials = max(1, round(options.trials * share))
        started = time.perf_counter()
        table = list(simulate(trials))
        seconds = time.perf_counter() - started
        description = (simulate.__doc__ or "").strip()
        error = 100 * 1.96 * np.sqrt(0.05 * 0.95 / trials)
        lines += [
            "",
            f"## {title}",
            "",
            description,
            f"{trials} test sets per cell (± {error:.1f} points at 5 %).",
            "",
        ]
        lines += table
        print(f"{title}: {seconds:.0f} s", flush=True)
    with atomic_write(options.output) as handle:
        handle.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
