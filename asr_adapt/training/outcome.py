"""The outcome of a run written down: model directory, predictions, ``summary.json``, model card.

Knows how before and after are stated. Does not know how the model was trained or how WER is counted.
"""

from __future__ import annotations

import platform
import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import accelerate
import torch
import transformers

import asr_adapt
from asr_adapt.files import atomic_write, write_json
from asr_adapt.manifest import Manifest, write_manifest
from asr_adapt.models import Recogniser
from asr_adapt.pretrained.catalogue import find
from asr_adapt.scoring import wer_with_interval, written_form
from asr_adapt.scoring.predictions import settings_path
from asr_adapt.scoring.report import write_report
from asr_adapt.text import profile as profile_named
from asr_adapt.training.data.corpus import Corpus
from asr_adapt.training.device.batch_size import BatchSize
from asr_adapt.training.labels.choice import Taught
from asr_adapt.training.measuring.encoder_context import context_hint
from asr_adapt.training.measuring.wer import Measured
from asr_adapt.training.progress import Progress
from asr_adapt.training.recipe.schema import Recipe
from asr_adapt.training.retention.mixture import KeptShare, Retained
from asr_adapt.transcription.rows.evaluation import with_prediction

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


def write_outcome(outcome: Outcome, recogniser: Recogniser, folder: Path) -> None:
    """Write model, predictions, card and, last, ``summary.json``: where it is, the rest is whole."""
    work = folder / ".model.tmp"
    shutil.rmtree(work, ignore_errors=True)
    recogniser.save(work)
    for path in sorted(work.iterdir()):
        path.replace(folder / path.name)
    work.rmdir()
    for name, manifest in outcome.tests.items():
        for when, measured in (("before", outcome.before[name]), ("after", outcome.after[name])):
            rows = (
                with_prediction(row, {"pred_text": text, **({"looped": True} if looped else {})})
                for row, text, looped in zip(manifest, measured.hypotheses, measured.looped, strict=True)
            )
            path = folder / "predictions" / f"{name}.{when}.jsonl"
            write_manifest(path, rows)
            model = outcome.recipe.model if when == "before" else f"{outcome.recipe.model} adapted"
            normaliser = profile_named(outcome.recipe.normalise).to_json()
            write_json(settings_path(path), {"model": model, "normaliser": normaliser})
    if outcome.retained is not None:
        outcome.retained.write(folder)
    summary = outcome.summary()
    with atomic_write(folder / "README.md") as handle:
        handle.write(model_card(outcome, summary))
    title = f"{outcome.recipe.model} adapted"
    metrics = folder / "metrics.jsonl"
    write_report(
        folder / "report.html",
        predictions_of(folder),
        metrics,
        title=title,
        normalise=outcome.recipe.normalise,
        summary=summary,
    )
    write_json(folder / "summary.json", summary)


def predictions_of(folder: Path) -> list[Path]:
    """The predictions files of a result folder: target before guard, before before after."""
    files = (
        folder / "predictions" / f"{s}.{w}.jsonl" for s in ("target", "guard") for w in ("before", "after")
    )
    return [path for path in files if path.is_file()]


def model_card(outcome: Outcome, summary: dict[str, Any]) -> str:
    """A model card with the figures, in the hub's front-matter form."""
    named = find(outcome.recipe.model)
    lines = [
        "---",
        "library_name: transformers",
        "pipeline_tag: automatic-speech-recognition",
        f"base_model: {outcome.recipe.model if named is None else named.hub}",
        *([] if named is None else [f"license: {named.licence}"]),
        "---",
        f"# Adapted from {outcome.recipe.model}",
        "",
        f"Trained with asr_adapt {asr_adapt.__version__}: strategy `{outcome.recipe.strategy.name}`, "
        f"{outcome.progress.step} steps (best at {outcome.progress.best_step}), {outcome.rows} rows, "
        f"{outcome.hours:.2f} h, {outcome.trainable_parameters:,} of {outcome.parameters:,} parameters.",
        "",
        "| set | utterances | speakers | WER before (95 %) | WER after (95 %) |",
        "|---|---|---|---|---|",
    ]
    for name in outcome.tests:
        pair = summary[name]
        cells = [f"{pair[w]:.1%} ({_interval(pair[f'{w}_interval'])})" for w in ("before", "after")]
        lines.append(f"| {name} | {pair['utterances']} | {pair['speakers']} | {cells[0]} | {cells[1]} |")
    lines += _loops(summary, outcome.tests)
    for name in outcome.tests:
        if changes := written_changes(summary[name]):
            lines += ["", f"On {name}, beside WER: {', '.join(changes)} (right words in wrong case)."]
    normalisation = summary["normalisation"]
    for name, taught in outcome.labels.items():
        lines += ["", f"Labels of {name}: style `{taught.style}`; {taught.reason}"]
    if outcome.retained is not None:
        lines += ["", f"Weights blended with the base's: {outcome.retained.sentence()}"]
    lines += [
        "",
        f"WER under normalisation `{normalisation['profile']}` version {normalisation['version']}; intervals "
        "by bootstrap over speakers. `recipe.yaml` holds every setting, `metrics.jsonl` every step.",
        "",
        "```python",
        "from transformers import pipeline",
        'print(pipeline("automatic-speech-recognition", model="PATH")("recording.wav")["text"])',
        "```",
        "",
    ]
    return "\n".join(lines)


def _loops(summary: dict[str, Any], names: Collection[str]) -> list[str]:
    """One sentence where the decoder looped before or after."""
    found = [
        f"{name} {summary[name]['before_looped_rows']} before and {summary[name]['after_looped_rows']} after"
        for name in names
        if summary[name]["before_looped_rows"] or summary[name]["after_looped_rows"]
    ]
    if not found:
        return []
    return ["", f"Rows on which the decoder looped and was stopped: {'; '.join(found)}."]


def _interval(values: dict[str, Any]) -> str:
    return f"{values['low']:.1%}–{values['high']:.1%}"
