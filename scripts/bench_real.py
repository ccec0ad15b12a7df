"""Real Whisper models on real accents and languages: WER before and after, by group, beside the guard.

    python scripts/bench_real.py --data ../shared/data --output runs/real --write
    python scripts/bench_real.py --only 'tiny.en.*alnum'

Every run uses the recipe's defaults; what it is told besides is its data and the seed, and for a new language
rate and steps. Train, dev and test rows share no speaker (alnum, speechocean762), no prompt (kathleen) or no
recording (the rest: one speaker). A result is kept under OUTPUT and not computed again; a stopped run
goes on.
"""

from __future__ import annotations

import argparse
import json
import logging
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import real_corpora as corpora
from report import add_write, hardware, publish, table

from asr_adapt.scoring import score
from asr_adapt.training import adapt, build_recipe

TINY, BASE = "whisper-tiny.en", "whisper-base"
SEED = 1
#: Model and task of every run, in the order of their use to a reader.
RUNS: tuple[tuple[str, Callable[[Path, Path], corpora.Task]], ...] = (
    (TINY, corpora.speechocean),
    (TINY, corpora.alnum),
    (TINY, lambda data, output: corpora.digits(data, output, "yweweler")),
    (TINY, lambda data, output: corpora.digits(data, output, "nicolas")),
    (BASE, corpora.speechocean),
    (BASE, corpora.swahili),
    (BASE, corpora.hausa),
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is missing and print, with ``--write`` publish, the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--output", type=Path, default=Path("runs/real"))
    parser.add_argument("--only", default="", help="runs whose 'MODEL TASK' matches this regular expression")
    add_write(parser, "real")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    guard = corpora.native(options.data, options.output / "manifests")
    found = []
    for model, make in RUNS:
        task = make(options.data, options.output / "manifests")
        if re.search(options.only, f"{model} {task.name}"):
            found.append(run(model, task, guard, options.output))
    publish(tables(found), "real", options.write)


def recipe_tree(model: str, task: corpora.Task, guard: dict[str, Path]) -> dict[str, Any]:
    """What a run is told; everything else is the default of its model."""
    tree: dict[str, Any] = {
        "model": model,
        **{part: str(path) for part, path in task.parts.items()},
        "invalid_rows": "drop",
        "seed": SEED,
    }
    if task.language is not None:
        return tree | {
            "decoder": {"language": task.language},
            "optimiser": {"learning_rate": task.rate},
            "schedule": {"steps": task.steps},
            "evaluation": {"every": task.steps // 3},
        }
    return tree | {
        "guard": str(guard["guard_dev"]),
        "guard_test": str(guard["guard_test"]),
        "replay": {"manifest": str(guard["replay"])},
        "evaluation": {"every": 30},
    }


def run(model: str, task: corpora.Task, guard: dict[str, Path], output: Path) -> dict[str, Any]:
    """The figures of one run, whose model and predictions are not made again when they are there."""
    folder = output / "models" / f"{model}_{task.name}"
    if not (folder / "summary.json").is_file():
        tree = recipe_tree(model, task, guard)
        adapt(build_recipe(tree), folder, resume=(folder / "checkpoints").is_dir())
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    scores = {
        part: {when: _scored(folder, part, when, task) for when in ("before", "after")}
        for part in ("target", "guard")
        if (folder / "predictions" / f"{part}.after.jsonl").is_file()
    }
    told = {"model": model, "title": task.title, "profile": task.profile}
    return told | {"scores": scores, "summary": summary}


def _scored(folder: Path, part: str, when: str, task: corpora.Task) -> dict[str, Any]:
    by = task.by if part == "target" else ()
    profile = task.profile if part == "target" else "basic"
    return score(folder / "predictions" / f"{part}.{when}.jsonl", by=by, normalise=profile).to_json()


def tables(results: Sequence[dict[str, Any]]) -> str:
    """A section: one table a run, all under one heading."""
    lines = [
        "## Real Whisper, real accents and languages",
        "",
        f"`scripts/bench_real.py`, seed {SEED}; {hardware()}.",
        "WER over all words, 95 % interval by bootstrap over speakers, over utterances where fewer than six",
        "speakers are known. Guard: native English, 60 sentences of kathleen whose prompts nothing has heard",
        "and 60 of LibriSpeech test-other.",
    ]
    for result in results:
        lines += ["", f"### {result['model']}: {result['title']}", "", _told(result), ""]
        lines += table(HEADS, _rows(result))
        lines += _written(result)
    return "\n".join(lines)


HEADS = (
    "tested on",
    ">clips",
    ">WER before",
    "95 %",
    ">WER after",
    "95 %",
    ">change",
    ">CER before",
    ">after",
)


def _told(result: dict[str, Any]) -> str:
    summary = result["summary"]
    profile = "" if result["profile"] == "basic" else f" Scored with the profile `{result['profile']}`."
    return (
        f"{summary['rows']} rows, {summary['hours']:.2f} h, {summary['steps']} steps, "
        f"{summary['training_seconds']:.0f} s of training.{profile}"
    )


def _rows(result: dict[str, Any]) -> list[tuple[str, ...]]:
    rows = []
    for part, when in result["scores"].items():
        rows.append(_row(part, when["before"], when["after"]))
        for field, groups in when["before"]["groups"].items():
            if "+" not in field:
                after = when["after"]["groups"][field]
                rows += [_row(f"{field} {name}", old, after[name]) for name, old in groups.items()]
    return rows


def _written(result: dict[str, Any]) -> list[str]:
    """Capitals and punctuation, of the sets whose references have any."""
    lines = []
    for part, when in result["scores"].items():
        if "punctuation" in when["before"]:
            f1, case = (
                [f"{when[w][name][rate]:.1%}" for w in ("before", "after")]
                for name, rate in (("punctuation", "f1"), ("case", "rate"))
            )
            lines.append(
                f"{part.capitalize()}: punctuation F1 {f1[0]} → {f1[1]}, case errors {case[0]} → {case[1]}."
            )
    return ["", *lines] if lines else []


def _row(name: str, before: dict[str, Any], after: dict[str, Any]) -> tuple[str, ...]:
    change = after["wer"] / before["wer"] - 1 if before["wer"] else 0.0
    return (
        name,
        str(before["rows"]),
        f"{before['wer']:.1%}",
        _interval(before),
        f"{after['wer']:.1%}",
        _interval(after),
        f"{change:+.0%}",
        f"{before['cer']:.1%}",
        f"{after['cer']:.1%}",
    )


def _interval(scored: dict[str, Any]) -> str:
    return f"{scored['interval']['low']:.1%}–{scored['interval']['high']:.1%}"


if __name__ == "__main__":
    main()
