"""Real Whisper models on real accents and languages: WER before and after, by group, beside the guard.

    python benchmarks/bench_real.py --data ../shared/data --output runs/real --write
    python benchmarks/bench_real.py --only 'tiny.en.*alnum'

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
import torch
from report import add_write, hardware, publish, table

from asr_adapt import evaluate
from asr_adapt.scoring import score
from asr_adapt.scoring.rise import parse_rise
from asr_adapt.training import adapt, build_recipe
from asr_adapt.training.retention.directories import blend_models

TINY, BASE = "whisper-tiny.en", "whisper-base"
SEED = 1
#: The guard's, on other speakers and prompts than those that are tested, and how many mixtures are tried.
BUDGET, BLENDS = "10% or 0.01", 5
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


def card() -> str | None:
    """The GPU, where there is one."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else None


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
        "retention": {"guard_budget": None},
        "evaluation": {"every": 30},
    }


def run(model: str, task: corpora.Task, guard: dict[str, Path], output: Path) -> dict[str, Any]:
    """The figures of one run, whose model and predictions are not made again when they are there."""
    folder = output / "models" / f"{model}_{task.name}"
    if not (folder / "summary.json").is_file():
        tree = recipe_tree(model, task, guard)
        adapt(build_recipe(tree), folder, resume=(folder / "checkpoints").is_dir())
        _hardware(folder).write_text(hardware(card()), encoding="utf-8")
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    whens = {when: folder / "predictions" / f"{{}}.{when}.jsonl" for when in ("before", "after")}
    where = _hardware(folder)
    on = where.read_text(encoding="utf-8") if where.is_file() else hardware()
    told = {"on": on, "model": model, "title": task.title, "profile": task.profile, "summary": summary}
    parts = ["target"] if task.language is not None else ["target", "guard"]
    if task.language is None:
        blended = blend(model, folder, task, guard)
        whens = {"before": whens["before"], "adapted": whens["after"], "after": blended / "{}.jsonl"}
        told["share"] = json.loads((blended / "blend.json").read_text(encoding="utf-8"))["chosen"]["share"]
    scores = {
        part: {when: _scored(Path(str(path).format(part)), part, task) for when, path in whens.items()}
        for part in parts
    }
    return told | {"scores": scores}


def _hardware(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.hardware")


def blend(model: str, folder: Path, task: corpora.Task, guard: dict[str, Path]) -> Path:
    """The folder of the mixture of base and adapted weights that keeps to the budget, and what it writes."""
    output = folder.with_name(f"{folder.name}_blended")
    if not output.is_dir():
        found = blend_models(
            (model, str(folder)), (task.parts["dev"], guard["guard_dev"]), parse_rise(BUDGET), BLENDS
        )
        found.save(output)
    for part, rows in {"target": task.parts["test"], "guard": guard["guard_test"]}.items():
        written = output / f"{part}.jsonl"
        if not written.is_file():
            evaluate(rows, model=str(output), output=written)
    return output


def _scored(predictions: Path, part: str, task: corpora.Task) -> dict[str, Any]:
    by = task.by if part == "target" else ()
    profile = task.profile if part == "target" else "basic"
    return score(predictions, by=by, normalise=profile).to_json()


def tables(results: Sequence[dict[str, Any]]) -> str:
    """A section: one table a run, all under one heading."""
    lines = [
        "## Real Whisper, real accents and languages",
        "",
        f"`benchmarks/bench_real.py`, seed {SEED}.",
        "WER over all words, 95 % interval by bootstrap over speakers, over utterances where fewer than six",
        "speakers are known. Guard: native English, 60 sentences of kathleen whose prompts nothing has heard",
        "and 30 of LibriSpeech test-other; the budget is kept on 30 others of kathleen and three other",
        "speakers of test-other. *Adapted*: all of the learnt weights; *after*: blended with the base's",
        f"({BLENDS} shares tried, and two more at the edge of the budget; guard {BUDGET}).",
        "Of a language nothing is blended.",
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
    ">adapted",
    ">WER after",
    "95 %",
    ">change",
    ">CER before",
    ">after",
)


def _told(result: dict[str, Any]) -> str:
    summary = result["summary"]
    profile = "" if result["profile"] == "basic" else f" Scored with the profile `{result['profile']}`."
    shared = f"; {result['share']:.2f} of the learnt weights kept" if "share" in result else ""
    frozen = summary["strategy"].get("frozen")
    strategy = summary["strategy"]["name"] + (f" without {', '.join(frozen)}" if frozen else "")
    return (
        f"{summary['rows']} rows, {summary['hours']:.2f} h, strategy {strategy}, {summary['steps']} "
        f"steps, {summary['training_seconds']:.0f} s of training{shared}; {result['on']}.{profile}"
    )


def _rows(result: dict[str, Any]) -> list[tuple[str, ...]]:
    rows = []
    for part, when in result["scores"].items():
        rows.append(_row(part, *_three(when)))
        for field, groups in when["before"]["groups"].items():
            if "+" not in field:
                three = [scored["groups"][field] for scored in _three(when)]
                rows += [_row(f"{field} {name}", *(group[name] for group in three)) for name in groups]
    return rows


def _three(when: dict[str, Any]) -> tuple[Any, Any, Any]:
    """Before, adapted, after; the last two are one where nothing was blended."""
    return when["before"], when.get("adapted", when["after"]), when["after"]


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


def _row(
    name: str, before: dict[str, Any], adapted: dict[str, Any], after: dict[str, Any]
) -> tuple[str, ...]:
    change = after["wer"] / before["wer"] - 1 if before["wer"] else 0.0
    return (
        name,
        str(before["rows"]),
        f"{before['wer']:.1%}",
        _interval(before),
        f"{adapted['wer']:.1%}",
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
