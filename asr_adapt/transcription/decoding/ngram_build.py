"""An n-gram language model from text, without a C++ toolchain.

Knows interpolated modified Kneser-Ney smoothing (Chen & Goodman 1998) and the ARPA format. Does not know the
decoder. Counts live in memory: fine for some millions of words; for more, KenLM's ``lmplz`` writes the same
format.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from asr_adapt.errors import DataError
from asr_adapt.files import atomic_write
from asr_adapt.transcription.decoding.ngram import END, START, UNKNOWN

Gram = tuple[str, ...]
#: Written as the log-probability of ``<s>``, which is never predicted.
ARPA_NEVER = -99.0


@dataclass(frozen=True)
class ArpaModel:
    """Base-10 log-probability and back-off weight of each n-gram, by length from 1."""

    grams: tuple[dict[Gram, tuple[float, float]], ...]

    def write(self, path: str | Path) -> None:
        """Write the ARPA file atomically."""
        with atomic_write(path) as handle:
            handle.write("\\data\\\n")
            for length, table in enumerate(self.grams, 1):
                handle.write(f"ngram {length}={len(table)}\n")
            for length, table in enumerate(self.grams, 1):
                handle.write(f"\n\\{length}-grams:\n")
                last = length == len(self.grams)
                for gram, (probability, backoff) in sorted(table.items()):
                    tail = "" if last else f"\t{backoff:.6f}"
                    handle.write(f"{probability:.6f}\t{' '.join(gram)}{tail}\n")
            handle.write("\n\\end\\\n")


def build_ngram(sentences: Iterable[Sequence[str]], order: int = 3) -> ArpaModel:
    """Estimate a model of ``order`` from tokenised sentences; raises DataError when there is no word."""
    if order < 1:
        raise ValueError(f"an n-gram model has an order of at least 1, not {order}")
    counts = _counts(sentences, order)
    if not counts[0]:
        raise DataError("The text holds no word to build a language model from.")
    adjusted = _continuation_counts(counts, order)
    vocabulary = {word for (word,) in counts[0]} | {END, UNKNOWN}
    probabilities: list[dict[Gram, float]] = []
    backoffs: list[dict[Gram, float]] = []
    lower: Mapping[Gram, float] = {}
    for length in range(1, order + 1):
        uniform = 1.0 / len(vocabulary)
        table, weights = _smoothed(adjusted[length - 1], lower, uniform)
        if length == 1:
            # what the discounts leave over goes to all words alike, and is all that <unk> gets
            table[(UNKNOWN,)] = weights[()] * uniform
        probabilities.append(table)
        backoffs.append(weights)
        lower = table
    return ArpaModel(tuple(_arpa_table(probabilities, backoffs, n) for n in range(1, order + 1)))


def _counts(sentences: Iterable[Sequence[str]], order: int) -> list[Counter[Gram]]:
    counts: list[Counter[Gram]] = [Counter() for _ in range(order)]
    for sentence in sentences:
        if not sentence:
            continue
        words = (START, *sentence, END)
        for length in range(1, order + 1):
            counts[length - 1].update(words[i : i + length] for i in range(len(words) - length + 1))
    del counts[0][(START,)]
    return counts


def _continuation_counts(counts: list[Counter[Gram]], order: int) -> list[Counter[Gram]]:
    """Below the highest order, how many different words precede an n-gram; ``<s> …`` keeps its count."""
    adjusted: list[Counter[Gram]] = [Counter() for _ in range(order)]
    adjusted[-1] = counts[-1]
    for length in range(order - 1, 0, -1):
        table = adjusted[length - 1]
        for gram in counts[length]:
            table[gram[1:]] += 1
        for gram, count in counts[length - 1].items():
            if gram[0] == START:
                table[gram] = count
    return adjusted


def _smoothed(
    counts: Counter[Gram], lower: Mapping[Gram, float], uniform: float
) -> tuple[dict[Gram, float], dict[Gram, float]]:
    """Interpolated probabilities of one order, and the weight that each context leaves to the order below."""
    discounts = _discounts(counts)
    totals: dict[Gram, float] = defaultdict(float)
    left: dict[Gram, float] = defaultdict(float)
    for gram, count in counts.items():
        totals[gram[:-1]] += count
        left[gram[:-1]] += min(discounts[min(count, 3)], count)
    weights = {context: left[context] / total for context, total in totals.items()}
    table = {}
    for gram, count in counts.items():
        context = gram[:-1]
        below = lower[gram[1:]] if lower else uniform
        kept = max(count - discounts[min(count, 3)], 0.0) / totals[context]
        table[gram] = kept + weights[context] * below
    return table, weights


def _discounts(counts: Counter[Gram]) -> tuple[float, float, float, float]:
    """Discounts for counts of 0, 1, 2 and 3 or more; 0.5, 1, 1.5 where too few n-grams allow an estimate."""
    n = Counter(count for count in counts.values() if count <= 4)
    if not all(n[count] for count in (1, 2, 3, 4)):
        return 0.0, 0.5, 1.0, 1.5
    y = n[1] / (n[1] + 2 * n[2])
    one, two, three = (k - (k + 1) * y * n[k + 1] / n[k] for k in (1, 2, 3))
    if not (0 <= one <= 1 and 0 <= two <= 2 and 0 <= three <= 3):
        return 0.0, 0.5, 1.0, 1.5
    return 0.0, one, two, three


def _arpa_table(
    probabilities: list[dict[Gram, float]], backoffs: list[dict[Gram, float]], length: int
) -> dict[Gram, tuple[float, float]]:
    weights = backoffs[length] if length < len(backoffs) else {}
    table = {
        gram: (math.log10(probability), math.log10(weights[gram]) if weights.get(gram) else 0.0)
        for gram, probability in probabilities[length - 1].items()
    }
    if length == 1 and weights:
        table[(START,)] = (ARPA_NEVER, math.log10(weights[(START,)]) if weights.get((START,)) else 0.0)
    return table
