"""WER by minutes of speech without transcripts, beside the same minutes with them; and what replay is worth.

    python benchmarks/bench_unlabelled.py --data ../shared/data --model whisper-tiny.en \\
        --labeller whisper-base --output runs/unlabelled
    python benchmarks/bench_unlabelled.py --model whisper-tiny.en --output runs/unlabelled --write

The heavy band of speechocean762's train part, then the medium band, without the four speakers of dev, is
taken as speech without transcripts. A labeller writes it down (``asr-adapt manifest label``): rows that it
is sure of and hears the same twice, or all of them; the model itself labels too. All layers learn from so
many minutes with the same steps, replay and seed; dev is heard once, at the end, so the last weights are
tested: on the heavy band of the test part (other speakers) and on the guard, native speech. Against
forgetting: old speech replayed with its own transcripts, with the base's, and none. What was measured is kept
under OUTPUT.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import real_corpora as corpora
from accent_corpora import prepare_speechocean
from report import add_write, hardware_on, publish, table
from side_by_side import add_workers, measure_missing, told

from asr_adapt import evaluate
from asr_adapt.manifest import Manifest, Utterance, write_manifest
from asr_adapt.models import load_recogniser
from asr_adapt.scoring import score
from asr_adapt.training import adapt, build_recipe
from asr_adapt.transcription.pseudo_labels import KeepRules, pseudo_label

SEED, STEPS = 1, 60
MINUTES = (6, 12, 24, 47, 101)
BASE = "base"
#: Options that each part is told.
TOLD = ("data", "output", "model", "labeller", "device", "steps", "rows")
#: Labels → which model writes them, and which are kept.
LABELS = {
    "kept": ("labeller", KeepRules()),
    "all": ("labeller", KeepRules(confidence=0.0, disagreement=1e9)),
    "own": ("model", KeepRules()),
}
TITLES = {
    "true": "transcripts",
    "kept": "labels of {labeller} that are kept",
    "all": "all labels of {labeller}",
    "own": "the model's own labels that are kept",
}
REPLAYS: dict[str, dict[str, Any] | None] = {
    "replayed with transcripts": {"labels": "text"},
    "replayed with the base's own transcripts": {"labels": "base"},
    "nothing replayed": None,
}


def cells() -> dict[str, tuple[str, int, str]]:
    """Name → labels, minutes, replay."""
    usual, *others = REPLAYS
    found = {f"{labels} {minutes}": (labels, minutes, usual) for labels in TITLES for minutes in MINUTES}
    found |= {f"true 47, {replay}": ("true", 47, replay) for replay in others}
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what is missing; print, with ``--write`` publish, the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--output", type=Path, default=Path("runs/unlabelled"))
    parser.add_argument("--model", default="whisper-tiny.en")
    parser.add_argument("--labeller", default="whisper-base")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument(
        "--rows", type=int, help="only so many rows of each part, to show that all of it runs"
    )
    parser.add_argument(
        "--only", action="append", help=f"only these of: {', '.join([BASE, *LABELS, *cells()])}"
    )
    add_workers(parser)
    add_write(parser, "unlabelled")
    options = parser.parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    prepared(options)
    for names in (list(LABELS), [BASE, *cells()]):  # labels first
        missing = [n for n in names if n in (options.only or names) and not kept(options, n).is_file()]
        make = labelled if names == list(LABELS) else measured
        command = [__file__, *told(options, *TOLD)]
        measure_missing(options, command, missing, partial(kept, options), partial(make, options))
    if options.only is None:
        publish("\n".join(written(options)), "unlabelled", options.write)


def kept(options: argparse.Namespace, name: str) -> Path:
    """Where the figures of a part are."""
    return Path(options.output) / f"{''.join(c if c.isalnum() else '-' for c in name)}.json"


def prepared(options: argparse.Namespace) -> dict[str, Path]:
    """Manifests: ``pool`` (heavy band, then medium, each drawn), dev, test, guard, replay."""
    own = options.output / "manifests"
    ocean, native = prepare_speechocean(options.data, own), corpora.native(options.data, own)
    task = corpora.speechocean(options.data, own)
    paths = {name: own / f"unlabelled_{name}.jsonl" for name in ("pool", "dev", "test", "guard", "replay")}
    if not all(path.is_file() for path in paths.values()):
        pools = [list(Manifest.open(ocean[f"{band}_train"])) for band in ("heavy", "medium")]
        for number, rows in enumerate(pools):
            random.Random(SEED + number).shuffle(rows)
        parts: dict[str, list[Utterance]] = {
            "pool": [row for rows in pools for row in rows],
            "dev": list(Manifest.open(task.parts["dev"])),
            "test": [row for row in Manifest.open(task.parts["test"]) if row.accent == "heavy"],
            "guard": list(Manifest.open(native["guard_test"])),
            "replay": list(Manifest.open(native["replay"])),
        }
        for name, rows in parts.items():
            write_manifest(paths[name], rows[: options.rows])
    return paths


def labelled(options: argparse.Namespace, name: str) -> dict[str, Any]:
    """Label the pool; what became of its rows, and how good the labels are."""
    by, rules = LABELS[name]
    model = load_recogniser(getattr(options, by), device=options.device, compute_type="float32")
    found = pseudo_label(Manifest.open(prepared(options)["pool"]), model, rules)
    write_manifest(options.output / "manifests" / f"labels_{name}.jsonl", found.rows)
    return found.to_json()


def first_minutes(options: argparse.Namespace, labels: str, minutes: int) -> tuple[Path, dict[str, Any]]:
    """Of the pool's first ``minutes`` those rows that have labels, as a manifest, and how much that is."""
    own = options.output / "manifests"
    pool, seconds, ids = prepared(options)["pool"], 0.0, set()
    for row in Manifest.open(pool):
        if seconds < 60 * minutes:
            ids.add(row.id)
            seconds += row.duration or 0.0
    source = pool if labels == "true" else own / f"labels_{labels}.jsonl"
    rows = [row for row in Manifest.open(source) if row.id in ids]
    path = own / f"train_{labels}_{minutes}.jsonl"
    write_manifest(path, rows)
    return path, {"rows": len(rows), "minutes": sum(row.duration or 0.0 for row in rows) / 60}


def measured(options: argparse.Namespace, name: str) -> dict[str, Any]:
    """Train one cell and test it; ``base`` trains nothing."""
    paths, model = prepared(options), str(options.model)
    found: dict[str, Any] = {"cell": name, "hardware": hardware_on(options.device)}
    if name != BASE:
        labels, minutes, replay = cells()[name]
        train, found["learnt"] = first_minutes(options, labels, minutes)
        folder = kept(options, name).with_suffix("")
        old = REPLAYS[replay]
        recipe = {
            "model": options.model,
            "train": str(train),
            "dev": str(paths["dev"]),
            "replay": old and {"manifest": str(paths["replay"]), **old},
            "retention": {"share": 1.0},
            "strategy": {"name": "full"},
            "schedule": {"steps": options.steps},
            "evaluation": {"every": options.steps},
            "checkpoint_every": options.steps,
            "invalid_rows": "drop",
            "device": options.device,
            "seed": SEED,
        }
        adapt(build_recipe(recipe), folder, resume=(folder / "checkpoints").is_dir(), quiet=True)
        model = str(folder)
    for part in ("test", "guard"):
        scored = evaluate(paths[part], model=model, device=options.device, compute_type="float32")
        found[part] = score(scored.rows, normalise="basic").to_json()
    return found


def written(options: argparse.Namespace) -> list[str]:
    """The section: labels by minutes, then replay."""
    found = {
        name: json.loads(kept(options, name).read_text())
        for name in [BASE, *cells()]
        if kept(options, name).is_file()
    }
    names = {key: text.format(labeller=Path(options.labeller).name) for key, text in TITLES.items()}
    lines = [
        "## Speech without transcripts",
        "",
        f"`benchmarks/bench_unlabelled.py`: {Path(options.model).name}, all layers, {options.steps} steps,",
        f"the heavy band of speechocean762 (then the medium one), seed {SEED}, old speech replayed, no guard",
        "budget; WER of the heavy band of the test part and of the guard (native speech), 95 % intervals.",
        f"{found[BASE]['hardware']}.",
        "",
        f"Untuned: {_wer(found[BASE]['test'])}; guard {_wer(found[BASE]['guard'])}.",
        "",
        *table(
            ["minutes of speech", *(f">{title}" for title in names.values())],
            [
                (str(m), *(_cell(found.get(f"{labels} {m}")) for labels in names))
                for m in MINUTES
                if any(f"{labels} {m}" in found for labels in names)
            ],
        ),
        "",
        "In brackets behind each WER: minutes with a label, and the guard's WER.",
        "",
    ]
    for name in LABELS:
        if kept(options, name).is_file():
            lines.append(_labels(names[name], json.loads(kept(options, name).read_text())))
    usual, *others = REPLAYS
    rows = [(usual, found.get("true 47"))] + [(other, found.get(f"true 47, {other}")) for other in others]
    told_ = [(name, _wer(one["test"]), _wer(one["guard"])) for name, one in rows if one]
    return [
        *lines,
        "",
        "47 minutes with transcripts, by what is replayed:",
        "",
        *table(["", ">heavy", ">guard"], told_),
    ]


def _wer(scored: dict[str, Any]) -> str:
    interval = scored["interval"]
    return f"{scored['wer']:.1%} ({interval['low']:.1%}–{interval['high']:.1%})"


def _cell(one: dict[str, Any] | None) -> str:
    if one is None:
        return "–"
    return f"{_wer(one['test'])} [{one['learnt']['minutes']:.0f}; {one['guard']['wer']:.1%}]"


def _labels(title: str, one: dict[str, Any]) -> str:
    kept_, dropped = (one[f"wer_{what}"] for what in ("kept", "dropped"))
    wers = [f"WER of the kept {kept_:.1%}"] if kept_ is not None else []
    wers += [f"of the dropped {dropped:.1%}"] if dropped is not None else []
    return f"- {title[0].upper()}{title[1:]}: {60 * one['hours']:.0f} of 101 minutes; {', '.join(wers)}."


if __name__ == "__main__":
    main()
