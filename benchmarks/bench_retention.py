"""The new accent without losing the old one: target against guard for every synthetic accent and real speech.

    python benchmarks/bench_retention.py --data ../shared/data --write

For each accent that the demonstration's synthesiser has, for speechocean762 (heavy; guard: mild) and for FSDD
(yweweler; guard: synthetic US): train with replay, then blend within the guard budget, all by ``train``
(``retention.guard_budget``). The budget is 10 % of the base's guard WER or one point, whichever is more. The
goal: target WER 60 % lower, guard within the budget. Draws ``retention.svg`` beside the file of ``--write``.
Results are kept as JSON under OUTPUT and not computed again (``--only`` makes the table in several sittings).
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from accent_corpora import prepare_fsdd, prepare_speechocean
from report import add_write, publish
from report import line as table_line

from asr_adapt.demo.corpus import CorpusSizes, build_accent_corpus
from asr_adapt.demo.synthesis import accents
from asr_adapt.files import write_json
from asr_adapt.manifest import Manifest, write_manifest
from asr_adapt.models import load_recogniser
from asr_adapt.scoring.figures import new_figure, save_figure
from asr_adapt.training import adapt, build_recipe
from asr_adapt.training.measuring.wer import measure, spread

GOAL, POINT, SHARE = -0.6, 0.01, 0.10
SIZES = CorpusSizes(train=400, replay=400, dev=50, test=150)
REAL = ("speechocean762 heavy", "FSDD yweweler")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--output", type=Path, default=Path("runs/retention"))
    parser.add_argument("--model", default="nano-en")
    parser.add_argument("--steps", type=int, default=120, help="optimiser steps of each training")
    parser.add_argument("--seconds", type=float, default=40.0, help="padded audio in a step")
    parser.add_argument("--groups", type=int, default=1, help="groups of layers with shares of their own")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", help="accents whose name matches this regular expression")
    add_write(parser, "retention")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING)
    names = [*(name for name in accents() if name != "us"), *REAL]
    results = [found for name in names if (found := run(name, options)) is not None]
    text = table(results, options)
    if options.write:
        draw(results, options.write.parent / "retention")
    publish(text, "retention", options.write)


def run(name: str, options: argparse.Namespace) -> dict[str, Any] | None:
    """The summary of one accent, read back where it is there; None where it is not asked for."""
    folder = options.output / re.sub(r"[^a-z0-9_]+", "-", name.lower())
    done = folder / "result.json"
    if not done.is_file():
        if options.only and not re.search(options.only, name):
            return None
        tree = recipe_tree(name, folder, options)
        resume = (folder / "model").is_dir()
        summary = adapt(build_recipe(tree), folder / "model", resume=resume, quiet=True).summary()
        write_json(done, {"name": name, **{k: summary[k] for k in ("target", "guard", "retention")}})
    result = json.loads(done.read_text(encoding="utf-8"))
    print(line(result), flush=True)
    return result


def recipe_tree(name: str, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """The recipe of one accent, its manifests written; the budget from the base's WER on the dev guard."""
    sets = _real(name, folder, options) if name in REAL else _synthetic(name, folder, options.seed)
    recogniser = load_recogniser(options.model, compute_type="float32")
    guard = measure(recogniser, Manifest.open(sets["guard"]), "basic", 160.0).wer
    replay = sets.pop("replay")
    return {
        **sets,
        "model": options.model,
        "replay": {"manifest": replay, "share": 0.5},
        "retention": {
            "guard_budget": POINT if guard * SHARE < POINT else f"{100 * SHARE:g}%",
            "groups": options.groups,
        },
        "strategy": {"name": "top_layers", "top_layers": 6},
        "optimiser": {"learning_rate": 6e-4, "layer_decay": 0.9},
        "schedule": {"steps": options.steps, "warmup": 0.1, "hold": 0.4},
        "batch": {"seconds": options.seconds},
        "evaluation": {"every": max(1, options.steps // 2), "rows": 60},
        "checkpoint_every": options.steps,
        "invalid_rows": "drop",
        "seed": options.seed,
    }


def _synthetic(name: str, folder: Path, seed: int) -> dict[str, Any]:
    corpus = folder / "corpus"
    if not corpus.is_dir():
        build_accent_corpus(corpus, name, seed, SIZES)
    parts = {"train": "train", "dev": "dev", "test": "test", "replay": "replay"}
    parts |= {"guard": "guard_dev", "guard_test": "guard_test"}
    return {field: str(corpus / f"{part}.jsonl") for field, part in parts.items()}


def _real(name: str, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    if name == REAL[1]:
        rows = prepare_fsdd(options.data, folder)
        us = _synthetic("british", options.output / "british", options.seed)  # its US parts
        parts = {field: str(rows[f"yweweler_{field}"]) for field in ("train", "dev", "test")}
        return parts | {field: us[field] for field in ("replay", "guard", "guard_test")}
    rows = prepare_speechocean(options.data, folder)
    test = list(Manifest.open(rows["test"]))
    for band in ("heavy", "mild"):
        chosen = Manifest.of(row for row in test if row.accent == band)
        write_manifest(folder / f"test_{band}.jsonl", spread(chosen, 220))
    return {
        "train": str(rows["heavy_train"]),
        "dev": str(rows["heavy_dev"]),
        "test": str(folder / "test_heavy.jsonl"),
        "guard": str(rows["mild_dev"]),
        "guard_test": str(folder / "test_mild.jsonl"),
        "replay": str(rows["mild_replay"]),
    }


def changes(result: dict[str, Any]) -> tuple[float, float, bool]:
    """Relative change of target and of guard WER on the tests, and whether both goals are met."""
    target, guard = result["target"], result["guard"]
    gained = target["after"] / target["before"] - 1
    lost = guard["after"] / guard["before"] - 1 if guard["before"] else 0.0
    kept = guard["after"] <= max(guard["before"] * (1 + SHARE), guard["before"] + POINT) + 1e-9
    return gained, lost, gained <= GOAL and kept


def table(results: Sequence[dict[str, Any]], options: argparse.Namespace) -> str:
    """The section of the document."""
    met = sum(changes(result)[2] for result in results)
    return "\n".join(
        [
            "## Retention: the new accent without losing the old one",
            "",
            f"`benchmarks/bench_retention.py`, seed {options.seed}, {options.steps} steps of "
            f"{options.seconds:g} s, top 6 layers, half replayed, blended within 10 % (or a point) of guard "
            "WER on dev; "
            f"{os.cpu_count()} cores ({platform.machine()}), torch {torch.__version__}.",
            "Test sets, voices and sentences unseen. Goal: target −60 %, guard at most +10 % or one point. "
            f"Met by {met} of {len(results)}.",
            "",
            "| accent | target before | after (95 %) | change | guard before | after (95 %) | change | share "
            "| goal |",
            "|---|--:|---|--:|--:|---|--:|--:|---|",
            *(line(result) for result in results),
            "",
            "![Target against guard, relative to the base](retention.svg)",
        ]
    )


def line(result: dict[str, Any]) -> str:
    """One row of the table."""
    gained, lost, met = changes(result)
    cells = [result["name"]]
    for name, change in (("target", gained), ("guard", lost)):
        pair = result[name]
        bounds = pair["after_interval"]
        after = f"{pair['after']:.1%} ({bounds['low']:.1%}–{bounds['high']:.1%})"
        cells += [f"{pair['before']:.1%}", after, f"{change:+.0%}"]
    cells += [f"{result['retention']['chosen']['share']:.2f}", "met" if met else "missed"]
    return table_line(cells)


def draw(results: Sequence[dict[str, Any]], stem: Path) -> None:
    """Relative changes: each sweep on dev as a line from the base, the chosen model on the test as a star."""
    figure = new_figure(6.4, 4.6)
    axes = figure.add_subplot()
    for number, result in enumerate(results):
        points = [point for point in result["retention"]["points"] if not point["shares"]]
        base = points[0]
        places = [
            (100 * (p["guard"] / max(base["guard"], 1e-9) - 1), 100 * (p["target"] / base["target"] - 1))
            for p in points
        ]
        axes.plot(*zip(*places, strict=True), color=f"C{number}", alpha=0.35, linewidth=1)
        gained, lost, _ = changes(result)
        axes.plot(100 * lost, 100 * gained, "*", color=f"C{number}", markersize=12, label=result["name"])
    axes.axvspan(-100, 100 * SHARE, ymax=1.0, alpha=0.06, color="green")
    axes.axvline(100 * SHARE, linestyle=":", color="grey")
    axes.axhline(100 * GOAL, linestyle=":", color="grey")
    highest = max([30.0, *(110 * changes(result)[1] for result in results)])
    axes.set(xlim=(-60, highest), ylim=(-105, 10))
    axes.set(xlabel="guard WER, change (%)", ylabel="target WER, change (%)")
    axes.set_title("Lines: mixtures on dev, from the base. Stars: chosen, on test.", fontsize="small")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="x-small", ncols=2)
    for path in save_figure(figure, stem):
        if path.suffix != ".svg":
            path.unlink()  # the document shows the drawing


if __name__ == "__main__":
    main()
