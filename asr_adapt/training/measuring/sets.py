"""What a run measures: dev and guard while it learns, the tests before and after.

Knows the recipe's sets, that their frozen prefix is computed once and that the base's own figures are kept.
Does not know when anything is measured, nor how a row is transcribed (:mod:`.wer`).
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from asr_adapt.manifest import Manifest
from asr_adapt.models import Recogniser, weights_fingerprint
from asr_adapt.models.fingerprint import decoding_fingerprint
from asr_adapt.training.measuring.encoder_context import as_pretrained
from asr_adapt.training.measuring.wer import Measured, measure, transcribed
from asr_adapt.training.prefix.measured import MeasuredPrefix
from asr_adapt.training.recipe.schema import Recipe
from asr_adapt.training.watching import Phase, Watch
from asr_adapt.transcription import Processes
from asr_adapt.transcription.known_states import KnownRows


@dataclass
class Measuring:
    """Manifests to measure: ``dev`` and ``guard`` (as many rows as the recipe says), and whole ``tests``.

    ``base`` is the fingerprint of the base's weights: what they write is kept for later runs, and read back
    (None: neither). ``language`` is the recipe's own; without one rows are decoded in theirs.
    """

    recipe: Recipe
    dev: Manifest
    guard: Manifest | None
    tests: Mapping[str, Manifest]
    prefix: MeasuredPrefix
    watch: Watch
    base: str | None = None
    language: str | None = None
    _seen: dict[str | None, dict[str, Any]] = field(default_factory=dict, repr=False)

    def prepare(self, recogniser: Recogniser) -> None:
        """Compute the frozen prefix of all rows in one pass, as the base is measured."""
        with as_pretrained(recogniser):
            self.prefix.prepare(recogniser, [*self._watched.values(), *self.tests.values()])

    def progress(self, recogniser: Recogniser, *, as_base: bool) -> dict[str, Any]:
        """``dev`` and ``guard`` WER (fractions), the share of empty transcripts, and rows that looped.

        The base is heard as it was pretrained. Weights that were measured before are not measured again: the
        ends of a blend are the base and what the last step left.
        """
        with as_pretrained(recogniser, when=as_base):
            state = decoding_fingerprint(recogniser) if Processes.current().count == 1 else None
            if state is None or state not in self._seen:
                self._seen[state] = self._progress(recogniser, as_base=as_base)
        return dict(self._seen[state])

    def _progress(self, recogniser: Recogniser, *, as_base: bool) -> dict[str, Any]:
        label = "dev and guard" if self.guard is not None else "dev"
        found = self._measured(recogniser, self._watched, label, as_base=as_base)
        dev = found["dev"]
        values = {"dev": dev.wer, "empty_rate": dev.empty_rate, "looped_rows": sum(dev.looped)}
        if "guard" in found:
            guard = found["guard"]
            values |= {"guard": guard.wer, "guard_looped_rows": sum(guard.looped)}
        return values

    def whole(self, recogniser: Recogniser, *, as_base: bool) -> dict[str, Measured]:
        """Figures of the tests, by name; where a run kept the base's weights they are read back."""
        label = "measuring the base" if as_base else "measuring the adapted model"
        unchanged = as_base or (self.base is not None and weights_fingerprint(recogniser) == self.base)
        return self._measured(recogniser, self.tests, label, as_base=unchanged)

    def counts(self, steps: int) -> tuple[int, int]:
        """Rows that are measured, and transcripts of them in a run of ``steps``."""
        watched = sum(map(len, self._watched.values()))
        tests = sum(map(len, self.tests.values()))
        evaluations = 1 + -(-steps // self.recipe.evaluation.every)
        blends = self.recipe.retention.between if self.recipe.retention.budget else 0
        return watched + tests, watched * (evaluations + blends) + 2 * tests

    def heard(self, recogniser: Recogniser, rows: Manifest) -> list[str]:
        """What the base, as it was pretrained, writes for rows whose labels come from it."""
        with as_pretrained(recogniser), self._phase("transcripts of the base", len(rows)) as phase:
            known = KnownRows(self.prefix.of(recogniser, rows), self.base)
            seconds = self.recipe.evaluation.batch_seconds
            return transcribed(recogniser, rows, seconds, known, phase, self.language).hypotheses

    @property
    def _watched(self) -> dict[str, Manifest]:
        return {"dev": self.dev} | ({} if self.guard is None else {"guard": self.guard})

    def _phase(self, label: str, rows: int) -> AbstractContextManager[Phase]:
        return self.watch.phase("measuring", label, rows)

    def _measured(
        self, recogniser: Recogniser, sets: Mapping[str, Manifest], label: str, *, as_base: bool
    ) -> dict[str, Measured]:
        known = KnownRows(self.prefix.prepare(recogniser, sets.values()), self.base if as_base else None)
        profile, seconds = self.recipe.normalise, self.recipe.evaluation.batch_seconds
        with self._phase(label, sum(map(len, sets.values()))) as phase:
            return {
                name: measure(recogniser, rows, profile, seconds, known, phase, self.language)
                for name, rows in sets.items()
            }


def times_measured(recipe: Recipe) -> float:
    """How often a row of dev is measured in a run, about: at evaluations, before and after, by the blend."""
    evaluations = 2 + -(-recipe.schedule.steps // recipe.evaluation.every)
    return evaluations + (recipe.retention.between if recipe.retention.budget else 0)
