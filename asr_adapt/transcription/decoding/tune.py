"""Weights of a language model, tuned on a dev manifest.

Knows n-best lists and how a word error rate over them is minimised. Does not know audio or networks.
The search alternates decoding and re-ranking, as minimum error rate training does (Och 2003): decoding is
slow and re-ranking is not, so a whole grid of weights is tried on the candidates found so far, and the best
weights decode again, until they stay the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import product

import numpy as np

from asr_adapt.scoring import count_errors
from asr_adapt.transcription.decoding.beam import BeamOptions, BeamSearch, Candidate

WEIGHTS = (0.0, 0.2, 0.35, 0.5, 0.7, 0.9, 1.2, 1.6, 2.0)
BONUSES = (-1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0, 3.0)
UNKNOWNS = (-8.0, -4.0, -2.0, 0.0)
ROUNDS = 3
KEPT = 50


@dataclass(frozen=True)
class Tuned:
    """The best weights, and WER (a fraction) of the first choice without and with them."""

    options: BeamOptions
    before: float
    after: float
    rounds: int


@dataclass
class _TuneRow:
    """One utterance: its reference, and the errors of each candidate found so far."""

    frames: np.ndarray
    reference: str
    profile: str
    words: int = 0
    found: dict[str, tuple[Candidate, int]] = field(default_factory=dict)

    def add(self, candidates: Sequence[Candidate]) -> None:
        new = [candidate for candidate in candidates[:KEPT] if candidate.text not in self.found]
        if not new:
            return
        table = count_errors([self.reference] * len(new), [candidate.text for candidate in new], self.profile)
        self.words = int(table.words[0])
        for candidate, errors in zip(new, table.errors.tolist(), strict=True):
            self.found[candidate.text] = (candidate, errors)


def tune(
    frames: Sequence[np.ndarray],
    references: Sequence[str],
    search: BeamSearch,
    *,
    start: BeamOptions | None = None,
    profile: str = "basic",
) -> Tuned:
    """Weights with the least WER on log-probabilities ``(frames, vocabulary)`` and their references."""
    rows = [_TuneRow(row, reference, profile) for row, reference in zip(frames, references, strict=True)]
    options = start or BeamOptions()
    tried: set[BeamOptions] = set()
    before = float("nan")
    while options not in tried and len(tried) < ROUNDS:
        tried.add(options)
        for row in rows:
            row.add(search.search(row.frames, options))
        if len(tried) == 1:
            before = _wer(rows, replace(options, weight=0.0, bonus=0.0, unknown=0.0))
        options = min(_grid(options), key=lambda option: _wer(rows, option))
    return Tuned(options, before, _wer(rows, options), len(tried))


def _grid(options: BeamOptions) -> Iterator[BeamOptions]:
    for weight, bonus, unknown in product(WEIGHTS, BONUSES, UNKNOWNS):
        yield replace(options, weight=weight, bonus=bonus, unknown=unknown)


def _wer(rows: Sequence[_TuneRow], options: BeamOptions) -> float:
    """WER of the best candidate of each row; near ties go to the smaller weights, which come first."""
    errors = words = 0
    for row in rows:
        _, wrong = max(row.found.values(), key=lambda found: found[0].total(options))
        errors += wrong
        words += row.words
    return errors / max(words, 1)
