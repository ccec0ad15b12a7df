"""A new language: Hausa from the English base, against the same network from scratch.

    python benchmarks/bench_hausa.py --data ../shared/data --output runs/hausa --write

Trains on the woman's clips (the last 60 choose the best step), tests on the man's: another speaker, other
texts, recorded elsewhere. Both models get the same rows, order and number of updates; the base keeps the head
rows of the letters that English and Hausa share. Results stay under OUTPUT and are not computed again; the
table goes to the file of ``--write``, the curve to ``hausa.svg`` beside it.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from report import add_write, publish

from asr_adapt.manifest import Manifest, write_manifest
from asr_adapt.manifest.build import BuildOptions, open_build
from asr_adapt.manifest.layouts import ImportOptions
from asr_adapt.scoring import wer_with_interval
from asr_adapt.scoring.figures import new_figure, save_figure
from asr_adapt.training import adapt, build_recipe

DEV_ROWS = 60
NOTE = "Best update 0 means that no update lowered dev WER: the scores are then those of the start."


def prepare(data: Path, output: Path) -> dict[str, Path]:
    """``train``, ``dev`` (woman) and ``test`` (man) manifests from the native TSV files."""
    folder = data / "hausa_commonvoice"
    woman = list(open_build(folder / "female.tsv", BuildOptions(values={"speaker": "woman"})).rows())
    heading = ImportOptions(columns={"utterance": "text"})
    man = open_build(
        folder / "male.tsv", BuildOptions(source_options=heading, values={"speaker": "man"})
    ).rows()
    parts = {"train": woman[:-DEV_ROWS], "dev": woman[-DEV_ROWS:], "test": man}
    for name, rows in parts.items():
        if not (output / f"{name}.jsonl").is_file():
            write_manifest(output / f"{name}.jsonl", rows)
    return {name: output / f"{name}.jsonl" for name in parts}


def recipe_tree(rows: dict[str, Path], options: argparse.Namespace, *, scratch: bool) -> dict[str, Any]:
    """The recipe of either model; only the start differs."""
    return {
        "model": options.model,
        "train": str(rows["train"]),
        "dev": str(rows["dev"]),
        "test": str(rows["test"]),
        "initialise": "random" if scratch else "pretrained",
        "vocabulary": {"mode": "replace", "minimum": 5},
        "invalid_rows": "drop",
        "strategy": {"name": "full", "feature_encoder": True},
        "optimiser": {"learning_rate": 5e-4, "head_learning_rate": 1e-3},
        "schedule": {"steps": options.steps, "warmup": 0.1, "hold": 0.4},
        "batch": {"seconds": 50.0},
        "evaluation": {"every": max(1, options.steps // 6)},
        "seed": 1,
    }


def run(name: str, tree: dict[str, Any], output: Path) -> dict[str, Any]:
    """Train (or read back) one model and score the man's clips."""
    folder = output / name
    if not (folder / "summary.json").is_file():
        adapt(build_recipe(tree), folder, resume=(folder / "checkpoints").is_dir())
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    rows = list(Manifest.open(folder / "predictions" / "target.after.jsonl"))
    texts = [row.text or "" for row in rows], [str(row.extra["pred_text"]) for row in rows]
    return {"name": name, "summary": summary, "score": wer_with_interval(*texts).to_json()}


def table(results: Sequence[dict[str, Any]], rows: dict[str, Path], steps: int) -> str:
    """The section of the document."""
    sizes = {name: len(Manifest.open(path)) for name, path in rows.items()}
    lines = [
        "## A new language: Hausa",
        "",
        f"Train {sizes['train']} clips of one woman, dev {sizes['dev']}; test {sizes['test']} clips of one "
        f"man, other texts. {steps} updates each, seed 1. Intervals over utterances (one test speaker).",
        "",
        "| start | best update | CER | 95 % | WER | 95 % | seconds of training |",
        "|---|--:|--:|---|--:|---|--:|",
    ]
    for result in results:
        found, summary = result["score"], result["summary"]
        low, high = found["interval"]["low"], found["interval"]["high"]
        cer = found["cer_interval"]
        lines.append(
            f"| {result['name']} | {summary['best_step']} "
            f"| {found['cer']:.1%} | {cer['low']:.1%}–{cer['high']:.1%} "
            f"| {found['wer']:.1%} | {low:.1%}–{high:.1%} | {summary['training_seconds']:.0f} |"
        )
    return "\n".join([*lines, "", NOTE, "", "![WER on dev against updates](hausa.svg)"])


def draw(results: Sequence[dict[str, Any]], stem: Path) -> None:
    """Dev WER against updates, one line a start."""
    figure = new_figure(6, 3.5)
    axes = figure.add_subplot()
    for result in results:
        points = [(e["step"], 100 * e["dev"]) for e in result["summary"]["evaluations"]]
        axes.plot(*zip(*points, strict=True), marker="o", label=result["name"])
    axes.set(xlabel="updates", ylabel="dev WER, %", ylim=(0, 105))
    axes.legend()
    _, png = save_figure(figure, stem)
    png.unlink()  # the document shows the drawing


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--output", type=Path, default=Path("runs/hausa"))
    parser.add_argument("--model", default="nano-en")
    parser.add_argument("--steps", type=int, default=600)
    add_write(parser, "hausa")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    rows = prepare(options.data, options.output)
    starts = {"from nano-en": False, "from scratch": True}
    results = [
        run(name.replace(" ", "-"), recipe_tree(rows, options, scratch=scratch), options.output)
        for name, scratch in starts.items()
    ]
    if options.write:
        draw(results, options.write.parent / "hausa")
    publish(table(results, rows, options.steps), "hausa", options.write)


if __name__ == "__main__":
    main()
