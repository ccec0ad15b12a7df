"""The files that a run leaves: model directory, predictions, ``summary.json``, README.

Knows what is written where. Does not know how the figures came about (:mod:`asr_adapt.training.outcome`).
"""

from __future__ import annotations

import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any

import asr_adapt
from asr_adapt.files import atomic_write, write_json
from asr_adapt.manifest import write_manifest
from asr_adapt.models import Recogniser
from asr_adapt.pretrained.catalogue import find
from asr_adapt.scoring.percentages import rate_with_bounds
from asr_adapt.scoring.predictions import settings_path
from asr_adapt.scoring.report import write_report
from asr_adapt.text import profile as profile_named
from asr_adapt.training.outcome import Outcome, written_changes
from asr_adapt.transcription.rows.evaluation import with_prediction


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
        handle.write(_readme(outcome, summary))
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


def _readme(outcome: Outcome, summary: dict[str, Any]) -> str:
    """The result's README, a model card with the figures, in the hub's front-matter form."""
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
        cells = [rate_with_bounds(pair, when) for when in ("before", "after")]
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
