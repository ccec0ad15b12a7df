"""What the frozen layers of the base know of a speaker: accent band, child or adult, and keywords.

    python benchmarks/bench_probe.py --data ../shared/data --write

Accent band and age group: speechocean762, all speakers that the base has not heard (its model card names
those it has), 5 folds by speaker. Keywords: FSDD, the ten digits, each of four speakers tested on classifiers
trained on the other three. Mean pooling, logistic regression and linear SVM at every stage; intervals over
speakers. Draws ``probe-layers.svg`` beside the file given by ``--write``; without it, prints the table only.
"""

from __future__ import annotations

import argparse
import json
import logging
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from accent_corpora import FSDD_ACCENTS, prepare_fsdd, prepare_speechocean
from report import add_write, line, publish

from asr_adapt.files import write_json
from asr_adapt.manifest import Manifest
from asr_adapt.models import load_recogniser
from asr_adapt.probing import ProbeOptions, choose_stages, pooled_features, probe_features
from asr_adapt.probing.plot import write_sweep_plot

TITLES = {"accent": "accent band", "age_group": "child or adult", "text": "keyword (digits)"}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--output", type=Path, default=Path("runs/probe"))
    parser.add_argument("--model", default="nano-en")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--speakers", type=int, help="only this many of speechocean762, for a trial")
    add_write(parser, "probe")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    options.output.mkdir(parents=True, exist_ok=True)
    started = time.process_time()
    ocean, digits = corpora(options)
    sweeps = sweeps_of(ocean, ["accent", "age_group"], options) + sweeps_of(digits, ["text"], options)
    text = table(sweeps, time.process_time() - started, options.seed)
    write_json(options.output / "probe.json", sweeps)
    if options.write:
        stem = options.write.parent / "probe-layers"
        write_sweep_plot(stem, *sweeps, titles=[TITLES[s["label"]] for s in sweeps])
        stem.with_suffix(".png").unlink()  # the document shows the drawing
    publish(text, "probe", options.write)


def corpora(options: argparse.Namespace) -> tuple[Manifest, Manifest]:
    """Rows of speechocean762 and of FSDD."""
    rows = prepare_speechocean(options.data, options.output)
    parts = [rows[name] for name in ("test", "heavy_train", "heavy_dev", "medium_train", "mild_dev")]
    unheard = list(Manifest.open(parts))
    if options.speakers:
        kept = sorted({row.speaker for row in unheard}, key=str)[:: 150 // options.speakers]
        unheard = [row for row in unheard if row.speaker in kept]
    digits = prepare_fsdd(options.data, options.output)
    keywords = [digits[f"{speaker}_{part}"] for speaker in FSDD_ACCENTS for part in ("train", "dev", "test")]
    return Manifest.of(unheard), Manifest.open(keywords)


def sweeps_of(rows: Manifest, labels: Sequence[str], options: argparse.Namespace) -> list[dict[str, Any]]:
    """The sweeps of ``labels`` as plain values; the features are computed once."""
    recogniser = load_recogniser(options.model, compute_type="float32")
    own = list(rows)
    features = pooled_features(recogniser, own, choose_stages(recogniser.stack, ["all"]))
    found = [probe_features(recogniser, own, features, ProbeOptions(x, seed=options.seed)) for x in labels]
    return [json.loads(json.dumps(result.to_json())) for result in found]


def table(sweeps: Sequence[dict[str, Any]], seconds: float, seed: int) -> str:
    """The section of the document: one line a label, then the figure."""
    lines = [
        "## Probes: what the frozen layers know",
        "",
        f"`benchmarks/bench_probe.py`, seed {seed}, {seconds:.0f} s of processor time "
        f"({platform.machine()}), torch {torch.__version__}.",
        "speechocean762: speakers the base has not heard; FSDD: each speaker tested by the other three.",
        "Mean-pooled features of the best layer, folds by speaker. *Honest* is balanced accuracy on speakers",
        "other than those that chose layer and classifier. Intervals over speakers (FSDD: over rows).",
        "",
        "| label | values | rows | best layer | accuracy (95 %) | balanced (95 %) | honest (95 %) "
        "| majority: accuracy, balanced |",
        "|---|--:|--:|---|---|---|---|---|",
    ]
    for found in sweeps:
        best, base = found["chosen"], found["majority"]
        cells = [
            TITLES[found["label"]],
            len(found["classes"]),
            sum(size["rows"] for size in found["classes"].values()),
            f"{best['layer']}, {best['classifier']}",
            *(_bounds(best[key]) for key in ("accuracy", "balanced", "balanced_on_other_speakers")),
            f"{base['accuracy']:.1%}, {base['balanced']:.1%}",
        ]
        lines.append(line(cells))
    lines += [""]
    for found in sweeps[:2]:
        recalls = zip(found["classes"].items(), found["chosen"]["recalls"], strict=True)
        text = ", ".join(f"{name} {recall:.0%} ({size['groups']})" for (name, size), recall in recalls)
        lines.append(f"Recall by {TITLES[found['label']]} (speakers): {text}.")
    return "\n".join([*lines, "", "![Balanced accuracy by layer](probe-layers.svg)"])


def _bounds(value: dict[str, float]) -> str:
    return f"{value['value']:.1%} ({value['low']:.1%}–{value['high']:.1%})"


if __name__ == "__main__":
    main()
