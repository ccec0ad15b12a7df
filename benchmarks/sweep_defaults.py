"""Which strategy, rate, replay, labels and blend suit a pretrained Whisper: trainings on real speech.

    python benchmarks/sweep_defaults.py --model whisper-tiny.en --data ../shared/data --output runs/sweep
    python benchmarks/sweep_defaults.py --output runs/sweep --write docs/benchmarks.md

Target: heavy-accent speakers of speechocean762 (train: at most an hour; dev: four of its speakers; test: the
heavy band of the official test part, other speakers). Guard test: librispeech_other and kathleen's held-out
prompts; guard budget and replay: other prompts of kathleen. Each training is one file under OUTPUT with the
hypotheses of every set at every blend of base and adapted weights, so that it can be scored anew; a training
that has its file is not repeated.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accent_corpora import prepare_speechocean
from sweep_table import table

from asr_adapt.files import write_json
from asr_adapt.manifest import Manifest, Utterance, write_manifest
from asr_adapt.models import load_recogniser
from asr_adapt.training import adapt, build_recipe
from asr_adapt.training.measuring.wer import measure, spread
from asr_adapt.training.prefix.measured import MeasuredPrefix
from asr_adapt.training.recipe.schema import Cache
from asr_adapt.training.retention.blending import Mixer, weights_of

SHARES = (0.5, 1.0)
#: Strategies with the rate and steps that each is tried at; where the encoder learns, clips share windows.
STRATEGIES: dict[str, tuple[dict[str, Any], float, int]] = {
    "head": ({"name": "head"}, 1e-4, 100),
    "decoder, top 2 layers": ({"name": "top_layers", "top_layers": 2}, 3e-5, 100),
    "decoder": ({"name": "top_layers"}, 3e-5, 100),
    "decoder, LoRA": ({"name": "lora", "lora": {"layers": 4}}, 3e-4, 100),
    "all layers": ({"name": "full"}, 5e-5, 60),
    "all layers, LoRA": ({"name": "lora"}, 3e-4, 60),
    "decoder, gradual": ({"name": "gradual", "gradual": {"depth": 4}}, 3e-5, 100),
}


def cell(strategy: str = "decoder", **told: Any) -> dict[str, Any]:
    """What is told of a training: the strategy, its rate and steps, and what is ``told`` besides."""
    tree, rate, steps = STRATEGIES[strategy]
    return {"strategy": tree, "rate": rate, "steps": steps, **told}


def trainings() -> dict[str, dict[str, Any]]:
    """Name → training: strategies × replay; rates, labels and pull around the one that is the default."""
    found = {f"decoder, rate {rate:.0e}": cell(rate=rate) for rate in (1e-5, 1e-4, 2e-4)}
    for strategy in STRATEGIES:
        found[strategy] = cell(strategy)
        found[f"{strategy}, replay"] = cell(strategy, replay="base")
    for style in ("plain", "as_written"):
        found[f"decoder, labels {style}"] = cell(labels=style)
        found[f"decoder, labels {style}, replay"] = cell(labels=style, replay="base")
    return found | {"decoder, rate 1e-04, pull 30": cell(rate=1e-4, pull=30.0)}


CELLS = trainings()


@dataclass(frozen=True)
class Sets:
    """Manifests of the sweep by name, and rows of each that fit a CPU."""

    folder: Path
    data: Path
    scale: float

    def prepare(self) -> dict[str, str]:
        """Write the manifests that are missing; their paths."""
        own = self.folder / "manifests"
        ocean = prepare_speechocean(self.data, own)
        heavy = [row for row in Manifest.open(ocean["test"]) if row.accent == "heavy"]
        sung = list(Manifest.open(self.data / "kathleen" / "manifest.jsonl"))
        parts = [[row for row in sung if _part(row) == number] for number in range(3)]
        libri = list(Manifest.open(self.data / "librispeech_other" / "manifest.jsonl"))
        rows = {
            "train": (list(Manifest.open(ocean["heavy_train"])), 420),
            "dev": (list(Manifest.open(ocean["heavy_dev"])), 40),
            "target": (heavy, 220),
            "guard": ([*_some(libri, 60), *_some(parts[0], 60)], 120),
            "budget": (parts[1], 40),
            "replay": (parts[2], 140),
        }
        found = {}
        for name, (every, count) in rows.items():
            path = own / f"sweep_{self.scale:g}_{name}.jsonl"
            if not path.is_file():
                write_manifest(path, _some(every, round(count * self.scale)))
            found[name] = str(path)
        return found


def _part(row: Utterance) -> int:
    """Rows of one prompt lie in one part: 0 a fifth, 1 a fifth, 2 the rest."""
    draw = zlib.crc32(str(row.get("prompt") or row.text).encode()) % 5
    return min(draw, 2)


def _some(rows: list[Utterance], count: int) -> list[Utterance]:
    return list(spread(Manifest.of(rows), count))


def main(arguments: Sequence[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    options.output.mkdir(parents=True, exist_ok=True)
    if options.model:
        sets = Sets(options.output, options.data, options.scale).prepare()
        cells = list(CELLS) if options.cells is None else [c.strip() for c in options.cells.split(";")]
        for name in dict.fromkeys(["base", *cells]):
            path = options.output / f"{_file(Path(options.model).name)}-{options.scale:g}-{_file(name)}.json"
            if not path.is_file():
                write_json(path, carried_out(options, name, sets))
                print(path.name, flush=True)
    table(options.output, options.write)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", help="carry out what is missing for this model")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--output", type=Path, default=Path("runs/sweep"))
    parser.add_argument("--scale", type=float, default=1.0, help="share of the rows of every set")
    parser.add_argument("--cells", help="only these, separated by semicolons")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", type=Path, help="document whose block sweep is replaced")
    return parser


def _file(name: str) -> str:
    return "".join(c if c.isalnum() or c in ".-" else "_" for c in name)


def carried_out(options: argparse.Namespace, name: str, sets: dict[str, str]) -> dict[str, Any]:
    """One training and its blends; ``base`` trains nothing."""
    cell = {} if name == "base" else CELLS[name]
    about: dict[str, Any] = {"model": Path(options.model).name, "name": name, "cell": cell}
    about |= {"seed": options.seed, "scale": options.scale, "sets": sets}
    with tempfile.TemporaryDirectory(dir=options.output) as place:
        started = time.perf_counter()
        model = options.model
        if cell:
            recipe = build_recipe(recipe_of(cell, sets, options))
            summary = adapt(recipe, Path(place) / "run", quiet=True).summary()
            about["training_seconds"] = summary["training_seconds"]
            about["evaluations"] = summary["evaluations"]
            model = str(Path(place) / "run")
        about["run_seconds"] = time.perf_counter() - started
        about["blends"] = list(blends(options, model, sets, (0.0,) if not cell else SHARES))
    return about


def recipe_of(cell: dict[str, Any], sets: dict[str, str], options: argparse.Namespace) -> dict[str, Any]:
    """The recipe of a cell; dev alone chooses, at the end."""
    tree = {
        "model": options.model,
        "train": sets["train"],
        "dev": sets["dev"],
        "invalid_rows": "drop",
        "strategy": cell["strategy"],
        "optimiser": {"learning_rate": cell["rate"]},
        "schedule": {"steps": cell["steps"]},
        "regularisation": {"pull": cell.get("pull", 0.0)},
        "labels": {"style": cell.get("labels", "auto")},
        "evaluation": {"every": 50, "rows": 20},
        "checkpoint_every": 1000,
        "cache": {"folder": str(options.output / "prefix")},
        "seed": options.seed,
    }
    if "replay" in cell:
        tree["replay"] = {"manifest": sets["replay"], "share": 0.3, "labels": cell["replay"]}
    return tree


def blends(
    options: argparse.Namespace, model: str, sets: dict[str, str], shares: Sequence[float]
) -> Iterator[dict[str, Any]]:
    """Hypotheses of every measured set at each share of the adapted weights."""
    base = load_recogniser(options.model, device="cpu", compute_type="float32")
    adapted = load_recogniser(model, device="cpu", compute_type="float32")
    mixer = Mixer(adapted, weights_of(base), weights_of(adapted))
    prefix = MeasuredPrefix(Cache(folder=str(options.output / "prefix")), 20.0, mixer.boundary)
    with closing(prefix):
        for share in shares:
            mixer.set([share])
            started = time.perf_counter()
            found: dict[str, Any] = {"share": share}
            for name in ("target", "guard", "dev", "budget"):
                rows = Manifest.open(sets[name])
                measured = measure(adapted, rows, "basic", 60.0, prefix.of(adapted, rows))
                found[name] = measured.hypotheses
            yield found | {"seconds": time.perf_counter() - started}


if __name__ == "__main__":
    main()
