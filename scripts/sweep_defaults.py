"""Which rate, steps, layers, replay and blend suit a pretrained Whisper: trainings on real speech.

    python scripts/sweep_defaults.py --model whisper-tiny.en --data ../shared/data --output runs/sweep
    python scripts/sweep_defaults.py --output runs/sweep --write docs/benchmarks.md

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
from asr_adapt.models import Recogniser
from asr_adapt.training import adapt, build_recipe
from asr_adapt.training.blending import Mixer, weights_of
from asr_adapt.training.evaluation import measure, spread
from asr_adapt.training.prefix_measured import MeasuredPrefix
from asr_adapt.training.recipe import Cache

SHARES = (0.5, 0.75, 1.0)
DECODER: dict[str, Any] = {"strategy": {"name": "top_layers"}}


def top(layers: int) -> dict[str, Any]:
    """Only the top ``layers`` transformer layers learn."""
    return {"strategy": {"name": "top_layers", "top_layers": layers}}


def lora(layers: int) -> dict[str, Any]:
    """LoRA in the top ``layers`` transformer layers."""
    return {"strategy": {"name": "lora", "lora": {"layers": layers}}}


#: Name → (layers, rate, steps, replay, pull); the model's number of decoder layers is ``d``.
CELLS: dict[str, dict[str, Any]] = {
    "today": {"rate": 2e-4, "steps": 100},
    "rate 1e-5": {"rate": 1e-5, "steps": 100},
    "rate 3e-5": {"rate": 3e-5, "steps": 100},
    "rate 1e-4": {"rate": 1e-4, "steps": 100},
    "3e-5, base-labelled replay": {"rate": 3e-5, "steps": 100, "replay": "base"},
    "3e-5, replay": {"rate": 3e-5, "steps": 100, "replay": "text"},
    "1e-4, base-labelled replay": {"rate": 1e-4, "steps": 100, "replay": "base"},
    "2e-4, base-labelled replay": {"rate": 2e-4, "steps": 100, "replay": "base"},
    "1e-4, 200 steps, base-labelled replay": {"rate": 1e-4, "steps": 200, "replay": "base"},
    "2e-4, replay": {"rate": 2e-4, "steps": 100, "replay": "text"},
    "3e-5, 200 steps, base-labelled replay": {"rate": 3e-5, "steps": 200, "replay": "base"},
    "3e-5, pull 100": {"rate": 3e-5, "steps": 100, "pull": 100.0},
    "1e-4, pull 30": {"rate": 1e-4, "steps": 100, "pull": 30.0},
    "top 2, 5e-5, base-labelled replay": {"layers": 2, "rate": 5e-5, "steps": 100, "replay": "base"},
    "LoRA decoder 3e-4, base-labelled replay": {"lora": 4, "rate": 3e-4, "steps": 100, "replay": "base"},
    "decoder and top encoder layer, 3e-5, base-labelled replay": {
        "layers": 5, "rate": 3e-5, "steps": 100, "replay": "base", "seconds": 20.0
    },
}  # fmt: skip


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
    chosen = lora(cell["lora"]) if "lora" in cell else top(cell["layers"]) if "layers" in cell else DECODER
    tree = {
        "model": options.model,
        "train": sets["train"],
        "dev": sets["dev"],
        "invalid_rows": "drop",
        "optimiser": {"learning_rate": cell["rate"]},
        "schedule": {"steps": cell["steps"]},
        "batch": {"seconds": cell.get("seconds", 60.0)},
        "regularisation": {"pull": cell.get("pull", 0.0)},
        "evaluation": {"every": 50, "rows": 20},
        "checkpoint_every": 1000,
        "cache": {"folder": str(options.output / "prefix")},
        "seed": options.seed,
        **chosen,
    }
    if "replay" in cell:
        tree["replay"] = {"manifest": sets["replay"], "share": 0.3, "labels": cell["replay"]}
    return tree


def blends(
    options: argparse.Namespace, model: str, sets: dict[str, str], shares: Sequence[float]
) -> Iterator[dict[str, Any]]:
    """Hypotheses of every measured set at each share of the adapted weights."""
    base = Recogniser.load(options.model, device="cpu", compute_type="float32")
    adapted = Recogniser.load(model, device="cpu", compute_type="float32")
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
