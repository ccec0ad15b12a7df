"""The outcome of a run in figures: what ``summary.json`` holds.

Knows how before and after are stated. Does not know how the model was trained, how WER is counted, or what is
written where (:mod:`asr_adapt.training.outcome_files`).
"""

from __future__ import annotations

import platform
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import accelerate
import torch
import transformers

import asr_adapt
from asr_adapt.manifest import Manifest
from asr_adapt.models import Recogniser
from asr_adapt.scoring import wer_with_interval, written_form
from asr_adapt.text import profile as profile_named
from asr_adapt.training.data.corpus import Corpus
from asr_adapt.training.device.batch_size import BatchSize
from asr_adapt.training.labels.choice import Taught
from asr_adapt.training.measuring.encoder_context import context_hint
from asr_adapt.training.measuring.wer import Measured
from asr_adapt.training.progress import Progress
from asr_adapt.training.recipe.schema import Recipe
from asr_adapt.training.retention.mixture import KeptShare, Retained

BLANK_WARNING = 0.5


@dataclass(frozen=True)
class Outcome:
    """What a run did: :meth:`summary` is what ``summary.json`` holds."""

    recipe: Recipe
    trainable_parameters: int
    parameters: int
    rows: int
    hours: float
    dropped: list[str]
    progress: Progress = field(default_factory=Progress)
    #: What ``strategy: auto`` chose and why.
    advice: str | None = None
    #: What the rows of each manifest teach: the style of their labels and why.
    labels: Mapping[str, Taught] = field(default_factory=dict)
    #: How the mean of the best weights fared on dev, where the recipe asked for one.
    averaging: Mapping[str, Any] | None = None
    #: Dev WER in each context that the model can hear in, and the one that was saved.
    context: Mapping[str, Any] | None = None
    #: What was decided about keeping the frozen prefix's output, at each of its boundaries.
    prefix_cache: Sequence[Mapping[str, Any]] = ()
    #: The same of the rows that are measured.
    measured_prefix: Sequence[Mapping[str, Any]] = ()
    #: The limit of a micro-batch and where it is from.
    batch_size: BatchSize | None = None
    tests: Mapping[str, Manifest] = field(default_factory=dict)
    before: Mapping[str, Measured] = field(default_factory=dict)
    after: Mapping[str, Measured] = field(default_factory=dict)
    retained: Retained | KeptShare | None = None
    #: Seconds of each kind of phase, and the share of measuring.
    time: Mapping[str, Any] = field(default_factory=dict)
    #: The summary of a run that was finished before; then nothing above but the recipe is known.
    former: Mapping[str, Any] | None = None

    @staticmethod
    def finished(recipe: Recipe, summary: Mapping[str, Any]) -> Outcome:
        """The outcome of a run that was finished before, from its ``summary.json``."""
        progress = Progress(
            step=summary["steps"],
            best_wer=summary["best_dev_wer"],
            best_step=summary["best_step"],
            seconds=summary["training_seconds"],
            history=list(summary["evaluations"]),
            finished=True,
        )
        sizes = (summary["trainable_parameters"], summary["parameters"], summary["rows"], summary["hours"])
        dropped = list(summary["dropped_rows"])
        return Outcome(recipe, *sizes, dropped, progress=progress, former=summary)

    @staticmethod
    def start(
        recipe: Recipe,
        recogniser: Recogniser,
        learning: Collection[str],
        corpus: Corpus,
        dropped: list[str],
    ) -> Outcome:
        """The part that is known before the first step; ``learning`` names what ever learns."""
        sizes = {n: p.numel() for n, p in recogniser.model.named_parameters()}
        trainable = sum(sizes[name] for name in learning)
        hours = float(corpus.durations.sum()) / 3600
        return Outcome(recipe, trainable, sum(sizes.values()), len(corpus), hours, dropped)

    def summary(self) -> dict[str, Any]:
        """Plain values; WER as fractions."""
        if self.former is not None:
            return dict(self.former)
        progress = self.progress
        values: dict[str, Any] = {
            "model": self.recipe.model,
            "strategy": self.recipe.strategy.model_dump(),
            "strategy_advice": self.advice,
            "labels": {name: taught.to_json() for name, taught in self.labels.items()},
            "trainable_parameters": self.trainable_parameters,
            "parameters": self.parameters,
            "rows": self.rows,
            "hours": self.hours,
            "dropped_rows": self.dropped,
            "steps": progress.step,
            "best_step": progress.best_step,
            "best_dev_wer": progress.best_wer,
            "training_seconds": progress.seconds,
            "evaluations": progress.history,
            "unfrozen_at": progress.freed,
            "averaging": None if self.averaging is None else dict(self.averaging),
            "batch_size": None if self.batch_size is None else self.batch_size.to_json(),
            "prefix_cache": [dict(decision) for decision in self.prefix_cache],
            "time": dict(self.time),
            "measured_prefix": [dict(decision) for decision in self.measured_prefix],
            "normalisation": {
                "profile": self.recipe.normalise,
                "version": profile_named(self.recipe.normalise).version,
            },
            "versions": versions(),
            "hints": self.hints(),
        }
        if self.context is not None:
            values["context"] = dict(self.context)
        if self.retained is not None:
            values["retention"] = self.retained.to_json()
        for name in self.tests:
            values[name] = self._pair(name)
        return values

    def hints(self) -> list[str]:
        """Likely causes where the result is poor."""
        found = []
        last = self.progress.history[-1] if self.progress.history else {}
        if last.get("empty_rate", 0.0) > BLANK_WARNING:
            found.append(
                f"{last['empty_rate']:.0%} of the transcripts are empty: the head has only learnt blanks; "
                "train longer, raise the head's rate, or check that the transcripts match the vocabulary."
            )
        averaged = self.averaging is not None and self.averaging["kept"]
        if self.progress.best_step == 0 and not averaged:
            found.append(
                "no step was better than the base on dev: the base was kept; lower the learning rate."
            )
        if refused := context_hint(self.context):
            found.append(refused)
        return found

    def _pair(self, name: str) -> dict[str, Any]:
        manifest = self.tests[name]
        rows = list(manifest)
        references = [row.text or "" for row in rows]
        speakers = [row.speaker for row in rows]
        pair: dict[str, Any] = {"utterances": len(rows), "speakers": len({s for s in speakers if s})}
        for when, measured in (("before", self.before[name]), ("after", self.after[name])):
            scored = wer_with_interval(references, measured.hypotheses, speakers, self.recipe.normalise)
            pair[when] = scored.wer
            pair[f"{when}_interval"] = scored.interval.to_json()
            pair[f"{when}_cer"] = scored.cer
            pair[f"{when}_looped_rows"] = sum(measured.looped)
            written = written_form(references, measured.hypotheses)
            if written.punctuation is not None:
                pair[f"{when}_punctuation_f1"] = written.punctuation.total.f1
            if written.case is not None:
                pair[f"{when}_case_error"] = written.case.rate
        return pair


def written_changes(pair: Mapping[str, Any]) -> list[str]:
    """Punctuation and case before and after, of a set whose references have any."""
    titles = {"punctuation_f1": "punctuation F1", "case_error": "case errors"}
    return [
        f"{title} {pair[f'before_{name}']:.1%} → {pair[f'after_{name}']:.1%}"
        for name, title in titles.items()
        if f"before_{name}" in pair
    ]


def versions() -> dict[str, str]:
    """Software that the numbers depend on."""
    return {
        "asr_adapt": asr_adapt.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "accelerate": accelerate.__version__,
    }
