"""Real accents: what adapting the bundled base gains on the accent, and what it costs elsewhere.

    python benchmarks/bench_accents.py --data ../shared/data --output runs/accents --write
    python benchmarks/bench_accents.py --model nano-whisper --output runs/accents-whisper --write

(a) FSDD: the base, adapted on one accented speaker (indices 5–49), tested on indices 0–4 of the same and of
the other speakers, beside a from-scratch control with equal data and steps. (b) speechocean762: the base,
adapted on heavy-accent train speakers, tested on the test speakers by band and age. Every result is kept as
JSON under OUTPUT and not computed again; the tables go to the file of ``--write`` between the markers of the
model. Two bases need two OUTPUT folders.
Training rows, the rows that choose the best step, and test rows never share a speaker's test index (a) or
a speaker (b).
"""

from __future__ import annotations

import argparse
import json
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from accent_corpora import FSDD_ACCENTS, prepare_fsdd, prepare_speechocean
from report import add_write, block_of, line, publish

from asr_adapt import evaluate
from asr_adapt.demo.corpus import SpokenSet, speak
from asr_adapt.demo.synthesis import held_out_variants, train_variants
from asr_adapt.demo.tuning import tuning_of
from asr_adapt.files import write_json
from asr_adapt.manifest import Manifest, Utterance
from asr_adapt.models import DEFAULT_MODEL, load_recogniser
from asr_adapt.scoring import wer_with_interval
from asr_adapt.training import adapt, build_recipe

PROFILE = "basic"


@dataclass(frozen=True)
class Experiment:
    """A model to make (``recipe`` None: the base itself) and what to test it on."""

    name: str
    title: str
    corpus: str
    tests: dict[str, Path]
    recipe: dict[str, Any] | None = None
    groups: tuple[tuple[str, ...], ...] = field(default=())


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--output", type=Path, default=Path("runs/accents"))
    parser.add_argument("--model", default=DEFAULT_MODEL, help="the base")
    parser.add_argument("--only", help="experiments whose name matches this regular expression")
    add_write(parser, "accents (accents-MODEL for another base)")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    results = []
    for experiment in experiments(options.data, options.output, options.model):
        if not options.only or re.search(options.only, experiment.name):
            results.append(run(experiment, options.output, options.model))
    publish(tables(results, options.model), block_of("accents", options.model), options.write)


def experiments(data: Path, output: Path, model: str) -> list[Experiment]:
    """All experiments, their manifests written."""
    us = build_us(output / "us")
    return [
        *_fsdd(prepare_fsdd(data, output), us, model),
        *_speechocean(prepare_speechocean(data, output), us, model),
    ]


def build_us(folder: Path) -> dict[str, Path]:
    """Synthetic US English: replay, dev and test rows of the old accent, in voices of their own."""
    voices = held_out_variants()
    sets = (
        SpokenSet("replay", "us", "train", train_variants(), 600),
        SpokenSet("guard_dev", "us", "dev", voices[:3], 80),
        SpokenSet("guard_test", "us", "test", voices[3:], 300),
    )
    if not (folder / "guard_test.jsonl").is_file():
        for spoken in sets:
            speak(spoken, folder, seed=2)
    return {spoken.name: folder / f"{spoken.name}.jsonl" for spoken in sets}


def _fsdd(rows: dict[str, Path], us: dict[str, Path], model: str) -> list[Experiment]:
    tests = {speaker: rows[f"{speaker}_test"] for speaker in FSDD_ACCENTS} | {
        "synthetic US": us["guard_test"]
    }
    found = [Experiment("fsdd_base", "base", "FSDD", tests)]
    own = tuning_of(model).network
    for speaker in ("yweweler", "nicolas"):
        tree = {
            "model": model,
            "train": str(rows[f"{speaker}_train"]),
            "dev": str(rows[f"{speaker}_dev"]),
            "guard": str(us["guard_dev"]),
            "replay": {"manifest": str(us["replay"]), "share": 0.5},
            "strategy": {"name": "top_layers", "top_layers": 6},
            "optimiser": {"learning_rate": 2e-4, "layer_decay": 0.9},
            "schedule": {"steps": 200},
            "batch": {"seconds": 40},
            "evaluation": {"every": 50},
            "invalid_rows": "drop",
            "seed": 1,
            **own,
        }
        scratch = tree | {
            "initialise": "random",
            "strategy": {"name": "full", "feature_encoder": True},
            "optimiser": {"learning_rate": 1e-3},
        }
        accent = FSDD_ACCENTS[speaker].capitalize()
        found.append(Experiment(f"fsdd_{speaker}", f"adapted to {speaker} ({accent})", "FSDD", tests, tree))
        found.append(
            Experiment(
                f"fsdd_{speaker}_scratch", f"from scratch on {speaker}, equal steps", "FSDD", tests, scratch
            )
        )
    return found


def _speechocean(rows: dict[str, Path], us: dict[str, Path], model: str) -> list[Experiment]:
    tests = {"test": rows["test"], "synthetic US": us["guard_test"]}
    groups: tuple[tuple[str, ...], ...] = (("accent",), ("age_group",), ("accent", "age_group"))
    tree = {
        "model": model,
        "train": str(rows["heavy_train"]),
        "dev": str(rows["heavy_dev"]),
        "guard": str(rows["mild_dev"]),
        "replay": {"manifest": [str(rows["mild_replay"]), str(us["replay"])], "share": 0.5},
        "strategy": {"name": "top_layers", "top_layers": 6},
        "optimiser": {"learning_rate": 2e-4, "layer_decay": 0.9},
        "schedule": {"steps": 250},
        "batch": {"seconds": 50},
        "evaluation": {"every": 125},
        "invalid_rows": "drop",
        "seed": 1,
        **tuning_of(model).network,
    }
    return [
        Experiment("speechocean_base", "base", "speechocean762", tests, groups=groups),
        Experiment("speechocean_heavy", "adapted to heavy", "speechocean762", tests, tree, groups),
    ]


def run(experiment: Experiment, output: Path, model: str) -> dict[str, Any]:
    """The experiment's figures; read back when they are there already."""
    cached = output / "results" / f"{experiment.name}.json"
    if cached.is_file():
        return json.loads(cached.read_text(encoding="utf-8"))
    if experiment.recipe is not None:
        model = str(output / "models" / experiment.name)
        if not (Path(model) / "summary.json").is_file():
            resume = (Path(model) / "checkpoints").is_dir()
            adapt(build_recipe(experiment.recipe), model, resume=resume)
    recogniser = load_recogniser(model)
    rows = []
    for name, manifest in experiment.tests.items():
        target = output / "predictions" / experiment.name / f"{name.replace(' ', '_')}.jsonl"
        predictions = evaluate(Manifest.open(manifest), model=recogniser, output=target).rows
        rows += score_groups(name, predictions, experiment.groups if name == "test" else ())
    result = {"name": experiment.name, "title": experiment.title, "corpus": experiment.corpus, "rows": rows}
    write_json(cached, result)
    return result


def score_groups(
    name: str, rows: Sequence[Utterance], groups: Sequence[tuple[str, ...]]
) -> list[dict[str, Any]]:
    """WER with interval of all rows, and of each value of each group of fields."""
    found = [_score(name, rows)]
    for fields in groups:
        values = sorted({tuple(str(row.get(field)) for field in fields) for row in rows})
        for value in values:
            chosen = [row for row in rows if tuple(str(row.get(field)) for field in fields) == value]
            found.append(_score(", ".join(value), chosen))
    return found


def _score(name: str, rows: Sequence[Utterance]) -> dict[str, Any]:
    speakers = [row.speaker for row in rows]
    texts = [row.text or "" for row in rows], [str(row.extra["pred_text"]) for row in rows]
    estimate = wer_with_interval(*texts, speakers, PROFILE).to_json()
    return {"test": name, "utterances": len(rows), "speakers": len(set(speakers))} | estimate


def tables(results: Sequence[dict[str, Any]], model: str = DEFAULT_MODEL) -> str:
    """One Markdown table a corpus: each test set, and under it every model made of the base ``model``."""
    lines = [f"## Real accents: {model}", "", f"Corpus WER, normalisation `{PROFILE}`; 95 % interval by"]
    lines += ["bootstrap over speakers, over utterances where there are fewer than six speakers."]
    for corpus in dict.fromkeys(result["corpus"] for result in results):
        chosen = [result for result in results if result["corpus"] == corpus]
        lines += ["", f"### {corpus}", ""]
        lines += [
            "| tested on | model | utterances | speakers | WER | 95 % interval |",
            "|---|---|--:|--:|--:|---|",
        ]
        for number in range(len(chosen[0]["rows"])):
            lines += [_line(result["title"], result["rows"][number]) for result in chosen]
    return "\n".join(lines)


def _line(title: str, row: dict[str, Any]) -> str:
    low, high = row["interval"]["low"], row["interval"]["high"]
    cells = (
        row["test"],
        title,
        row["utterances"],
        row["speakers"],
        f"{row['wer']:.1%}",
        f"{low:.1%}–{high:.1%}",
    )
    return line(cells)


if __name__ == "__main__":
    main()
