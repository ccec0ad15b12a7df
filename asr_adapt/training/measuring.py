"""What a run measures: dev and guard while it learns, the tests before and after.

Knows the recipe's sets and that their frozen prefix is computed once. Does not know when anything is
measured, nor how a row is transcribed (:mod:`asr_adapt.training.evaluation`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from asr_adapt.manifest import Manifest
from asr_adapt.models import Recogniser
from asr_adapt.training.contexts import as_pretrained
from asr_adapt.training.evaluation import Measured, measure
from asr_adapt.training.prefix_measured import MeasuredPrefix
from asr_adapt.training.recipe import Recipe


@dataclass
class Measuring:
    """Manifests to measure: ``dev`` and ``guard`` (as many rows as the recipe says), and whole ``tests``."""

    recipe: Recipe
    dev: Manifest
    guard: Manifest | None
    tests: Mapping[str, Manifest]
    prefix: MeasuredPrefix

    def progress(self, recogniser: Recogniser, *, as_base: bool) -> dict[str, Any]:
        """``dev`` and ``guard`` WER (fractions), the share of empty transcripts, and rows that looped.

        The base is heard as it was pretrained.
        """
        with as_pretrained(recogniser, when=as_base):
            dev = self._measured(recogniser, self.dev)
            values = {"dev": dev.wer, "empty_rate": dev.empty_rate, "looped_rows": sum(dev.looped)}
            if self.guard is not None:
                guard = self._measured(recogniser, self.guard)
                values |= {"guard": guard.wer, "guard_looped_rows": sum(guard.looped)}
        return values

    def whole(self, recogniser: Recogniser) -> dict[str, Measured]:
        """Figures of the tests, by name."""
        return {name: self._measured(recogniser, rows) for name, rows in self.tests.items()}

    def _measured(self, recogniser: Recogniser, rows: Manifest) -> Measured:
        states = self.prefix.of(recogniser, rows)
        return measure(recogniser, rows, self.recipe.normalise, self.recipe.evaluation.batch_seconds, states)


def times_measured(recipe: Recipe) -> float:
    """How often a row of dev is measured in a run, about: at evaluations, before and after, by the blend."""
    evaluations = 2 + -(-recipe.schedule.steps // recipe.evaluation.every)
    return evaluations + (recipe.retention.points if recipe.retention.budget else 0)
