"""Every strategy on real speech, with and without replay, with and without blending: gain, price and cost.

    python benchmarks/bench_strategies.py --data ../shared/data --write

Two tasks: speechocean762 (adapt to heavy-accent speakers; the guard is mild ones) and FSDD (adapt to
yweweler, German accent; the guard is synthetic US English). Each training runs in a process of its own, whose
peak memory (``ru_maxrss``) and seconds in the loop are read; then its weights are blended with the base's
within a guard budget of 10 % on dev. Every figure is on test rows that neither trained nor chose. Results are
kept as JSON under OUTPUT and not computed again, so the table can be made in several sittings (``--only``).
"""

from __future__ import annotations

import argparse
import json
import logging
import platform
import re
import resource
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from accent_corpora import prepare_fsdd, prepare_speechocean
from bench_accents import PROFILE
from report import add_write, publish
from report import line as table_line

from asr_adapt import evaluate
from asr_adapt.demo.corpus import SpokenSet, speak
from asr_adapt.demo.synthesis import held_out_variants, train_variants
from asr_adapt.files import write_json
from asr_adapt.manifest import Manifest, write_manifest
from asr_adapt.models import Recogniser, load_recogniser
from asr_adapt.scoring import wer_with_interval
from asr_adapt.scoring.rise import Rise
from asr_adapt.training import adapt, build_recipe
from asr_adapt.training.measuring.wer import spread
from asr_adapt.training.retention.directories import blend_models

RATE = 2e-4
#: Name → sections of the recipe. One rate for all that touch the layers' own weights, 5 times it where few or
#: new parameters learn.
STRATEGIES: dict[str, dict[str, Any]] = {
    "head": {"strategy": "head", "optimiser": {"learning_rate": 5 * RATE}},
    "top 6": {"strategy": {"name": "top_layers", "top_layers": 6}},
    "full": {"strategy": "full"},
    "full, decay 0.9": {"strategy": "full", "optimiser": {"learning_rate": RATE, "layer_decay": 0.9}},
    "full, EMA": {"strategy": "full", "averaging": {"ema": 0.95}},
    "gradual": {"strategy": "gradual"},
    "lora": {"strategy": "lora", "optimiser": {"learning_rate": 5 * RATE}},
    "auto": {"strategy": "auto"},
}
TASKS = {"speechocean762, heavy": "guard: mild speakers", "FSDD, yweweler": "guard: synthetic US"}
BLEND_POINTS = 5
BUDGET = Rise(0.1, relative=True)
DEV_ROWS = 40


def main(arguments: Sequence[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.WARNING)
    if options.one:
        one(json.loads(options.one.read_text(encoding="utf-8")))
        return
    results = []
    wanted = [job for job in jobs(options) if not options.only or re.search(options.only, job["title"])]
    for job in wanted:  # a recipe that cannot be carried out is refused before any is
        if job["recipe"] is not None:
            build_recipe(job["recipe"])
    for job in jobs(options):
        found = Path(job["result"])
        if not found.is_file():
            if job not in wanted:
                continue
            path = found.with_suffix(".job")
            write_json(path, job)
            subprocess.run([sys.executable, __file__, "--one", str(path)], check=True)
        results.append(json.loads(found.read_text(encoding="utf-8")))
        print(line(results[-1]), file=sys.stderr)
    text = table(results, options)
    publish(text, "strategies", options.write)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--output", type=Path, default=Path("runs/strategies"))
    parser.add_argument("--model", default="nano-en")
    parser.add_argument("--steps", type=int, default=60, help="optimiser steps of speechocean762")
    parser.add_argument("--fsdd-steps", type=int, default=60)
    parser.add_argument("--rows", type=int, default=80, help="test rows of target and of guard")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", help="strategies whose title matches this regular expression")
    add_write(parser, "strategies")
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    return parser


def jobs(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """One job a training, the base of each task first."""
    options.output.mkdir(parents=True, exist_ok=True)
    for task, tree in tasks(options).items():
        variants = [(name, replay) for name in STRATEGIES for replay in (False, True)]
        for name, replay in [("base", False), *variants]:
            own = dict(tree) | {"optimiser": {"learning_rate": RATE}} | STRATEGIES.get(name, {})
            if not replay:
                del own["replay"]
            title = f"{task} {name}{', replay' if replay else ''}"
            place = options.output / re.sub(r"[^a-z0-9.]+", "-", title.lower())
            yield {
                "task": task,
                "name": name,
                "title": title,
                "replay": replay,
                "recipe": None if name == "base" else own,
                "model": options.model,
                "tests": [tree["test"], tree["guard_test"]],
                "folder": str(place),
                "result": str(place) + ".json",
            }


def tasks(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Recipes of the two tasks, their manifests written."""
    out = options.output
    ocean, digits = prepare_speechocean(options.data, out), prepare_fsdd(options.data, out)
    us = _synthetic_us(out / "us")
    test = Manifest.open(ocean["test"])
    for band in ("heavy", "mild"):
        rows = [row for row in test if row.accent == band]
        write_manifest(out / f"test_{band}.jsonl", spread(Manifest.of(rows), options.rows))
    write_manifest(out / "us_test.jsonl", spread(Manifest.open(us["guard_test"]), options.rows))
    digits_dev, us_dev = digits["yweweler_dev"], us["guard_dev"]
    chosen = {"heavy": ocean["heavy_dev"], "mild": ocean["mild_dev"], "digits": digits_dev, "us": us_dev}
    dev = {name: out / f"dev_{name}.jsonl" for name in chosen}
    for name, path in chosen.items():
        write_manifest(dev[name], spread(Manifest.open(path), DEV_ROWS))
    common = {"model": options.model, "invalid_rows": "drop", "seed": options.seed}
    return {
        "speechocean762, heavy": common
        | {
            "train": str(ocean["heavy_train"]),
            "dev": str(dev["heavy"]),
            "test": str(out / "test_heavy.jsonl"),
            "guard": str(dev["mild"]),
            "guard_test": str(out / "test_mild.jsonl"),
            "replay": {"manifest": [str(ocean["mild_replay"]), str(us["replay"])], "share": 0.5},
            "schedule": {"steps": options.steps},
            "batch": {"seconds": 30},
            "evaluation": {"every": max(1, options.steps // 2)},
        },
        "FSDD, yweweler": common
        | {
            "train": str(digits["yweweler_train"]),
            "dev": str(dev["digits"]),
            "test": str(digits["yweweler_test"]),
            "guard": str(dev["us"]),
            "guard_test": str(out / "us_test.jsonl"),
            "replay": {"manifest": str(us["replay"]), "share": 0.5},
            "schedule": {"steps": options.fsdd_steps},
            "batch": {"seconds": 20},
            "evaluation": {"every": max(1, options.fsdd_steps // 2)},
        },
    }


def _synthetic_us(folder: Path) -> dict[str, Path]:
    voices = held_out_variants()
    sets = (
        SpokenSet("replay", "us", "train", train_variants(), 200),
        SpokenSet("guard_dev", "us", "dev", voices[:3], 40),
        SpokenSet("guard_test", "us", "test", voices[3:], 100),
    )
    if not (folder / "guard_test.jsonl").is_file():
        for spoken in sets:
            speak(spoken, folder, seed=2)
    return {spoken.name: folder / f"{spoken.name}.jsonl" for spoken in sets}


def one(job: dict[str, Any]) -> None:
    """Carry one job out in this process and write its result."""
    result = {key: job[key] for key in ("task", "name", "title", "replay")}
    model = job["model"]
    if job["recipe"] is not None:
        model = job["folder"]
        summary = adapt(build_recipe(job["recipe"]), model, resume=Path(model).is_dir(), quiet=True).summary()
        result |= {
            "trainable": summary["trainable_parameters"],
            "seconds": summary["training_seconds"],
            "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }
        result["adapted"] = {name: _after(summary[name]) for name in ("target", "guard")}
        sets = job["recipe"]["dev"], job["recipe"]["guard"]
        blend = blend_models((job["model"], model), sets, BUDGET, BLEND_POINTS, profile=PROFILE)
        share = blend.blend.chosen.share
        whole = share == 1.0  # its figures are there
        blended = result["adapted"] if whole else _scores(blend.recogniser, job["tests"])
        result |= {"share": share, "blended": blended}
    else:
        result["adapted"] = _scores(load_recogniser(model), job["tests"])
    write_json(job["result"], result)


def _after(found: dict[str, Any]) -> dict[str, Any]:
    return {"wer": found["after"], "interval": found["after_interval"]}


def _scores(recogniser: Recogniser, tests: Sequence[str]) -> dict[str, Any]:
    """WER with interval on target and guard."""
    found = {}
    for name, path in zip(("target", "guard"), tests, strict=True):
        rows = evaluate(path, model=recogniser).rows
        texts = [row.text or "" for row in rows], [str(row.extra["pred_text"]) for row in rows]
        found[name] = wer_with_interval(*texts, [row.speaker for row in rows], PROFILE).to_json()
    return found


def table(results: Sequence[dict[str, Any]], options: argparse.Namespace) -> str:
    """The section of the document: a table a task."""
    lines = [
        "## Strategies on real speech",
        "",
        f"`benchmarks/bench_strategies.py`, seed {options.seed}, {options.steps} steps of 30 s of speech "
        f"(FSDD {options.fsdd_steps} of 20 s), {DEV_ROWS} dev rows, at most {options.rows} test rows; "
        f"{torch.get_num_threads()} thread ({platform.machine()}), torch {torch.__version__}.",
        "Replay is half of every batch. Blending takes the mixture with the base that is best on dev in a",
        "guard budget of 10 %. Peak memory is of the whole process. 95 % intervals over speakers, over rows",
        "where there is but one speaker.",
    ]
    for task in dict.fromkeys(result["task"] for result in results):
        lines += ["", f"### {task} ({TASKS[task]})", ""]
        lines += [
            "| strategy | replay | learns | s | MB | target WER | guard WER | share | target, blended "
            "| guard, blended |",
            "|---|---|--:|--:|--:|---|---|--:|---|---|",
        ]
        lines += [line(result) for result in results if result["task"] == task]
    return "\n".join(lines)


def line(result: dict[str, Any]) -> str:
    """One row of the table."""
    scores = [result["adapted"][name] for name in ("target", "guard")]
    if "share" not in result:
        return table_line(["base", *[""] * 4, *map(_wer, scores), *[""] * 3])
    cells = [
        result["name"],
        "yes" if result["replay"] else "",
        f"{result['trainable']:,}",
        f"{result['seconds']:.0f}",
        f"{result['megabytes']:.0f}",
        *map(_wer, scores),
        f"{result['share']:.2f}",
        *(_wer(result["blended"][name]) for name in ("target", "guard")),
    ]
    return table_line(cells)


def _wer(score: dict[str, Any]) -> str:
    return f"{score['wer']:.1%} ({score['interval']['low']:.0%}–{score['interval']['high']:.0%})"


if __name__ == "__main__":
    main()
