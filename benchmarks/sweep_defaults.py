"""Which strategy, rate, replay, labels and blend suit a pretrained Whisper: trainings on real speech.

    python benchmarks/sweep_defaults.py --model whisper-tiny.en --data ../shared/data --output runs/sweep
    python benchmarks/sweep_defaults.py --output runs/sweep --write docs/benchmarks.md

Target: heavy-accent speakers of speechocean762 (train: at most an hour; dev: four of its speakers; test: the
heavy band of the official test part, other speakers). Guard test: librispeech_other and kathleen's held-out
prompts; guard budget and replay: other prompts of kathleen. Noise: the sounds of ESC-10, in which nobody
speaks. Each training is one file under OUTPUT with the hypotheses of every set at every blend of base and
adapted weights, so that it can be scored anew; a training that has its file is not repeated.
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

import torch
from accent_corpora import prepare_speechocean
from report import hardware
from side_by_side import add_workers, side_by_side
from sweep_table import table

from asr_adapt.files import write_json
from asr_adapt.manifest import Manifest, Utterance, write_manifest
from asr_adapt.models import load_recogniser
from asr_adapt.training import adapt, build_recipe
from asr_adapt.training.measuring.wer import measure, spread
from asr_adapt.training.prefix.measured import MeasuredPrefix
from asr_adapt.training.recipe.schema import Cache
from asr_adapt.training.retention.blending import Mixer, weights_of
from asr_adapt.transcription.known_states import KnownRows

SHARES = (0.25, 0.5, 0.75, 1.0)
FULL, DECODER = {"name": "full"}, {"name": "top_layers"}
#: Strategies of a model with the rate and steps that each is tried at first, the default's own first.
STRATEGIES: dict[str, dict[str, tuple[dict[str, Any], float, int]]] = {
    "whisper-tiny.en": {
        "all layers": (FULL, 5e-5, 60),
        "decoder": (DECODER, 3e-5, 100),
        "decoder, top 2 layers": ({"name": "top_layers", "top_layers": 2}, 3e-5, 100),
        "head": ({"name": "head"}, 1e-4, 100),
        "all layers, LoRA": ({"name": "lora"}, 3e-4, 60),
        "decoder, LoRA": ({"name": "lora", "lora": {"layers": 4}}, 3e-4, 100),
        "decoder, gradual": ({"name": "gradual", "gradual": {"depth": 4}}, 3e-5, 100),
    },
    "whisper-base": {
        "all layers": (FULL, 2e-5, 60),
        "decoder": (DECODER, 2.5e-5, 100),
        "all layers, LoRA": ({"name": "lora"}, 2e-4, 60),
    },
}
#: Rates and steps tried besides, of all layers.
RATES = {
    "whisper-tiny.en": (
        (2e-5, 60),
        (3e-5, 60),
        (3e-5, 120),
        (5e-5, 30),
        (5e-5, 120),
        (1e-4, 60),
        (1e-4, 120),
    ),
    "whisper-base": ((1e-5, 60), (1e-5, 120), (2e-5, 120), (4e-5, 60)),
}
SILENCES = (0.0, 0.03, 0.12, 0.25)


def trainings(model: str) -> dict[str, dict[str, Any]]:
    """Name → what is told of a training. Strategies × replay; around all layers with replay, one thing at a
    time: rate and steps, labels, silent rows, frozen token embeddings, pull, average, seed."""
    found: dict[str, dict[str, Any]] = {}
    for name, (strategy, rate, steps) in STRATEGIES[model].items():
        for replay in (True, False):
            found[name + (", replay" if replay else "")] = _told(strategy, rate, steps, replay)
    strategy, rate, steps = STRATEGIES[model]["all layers"]
    for other, count in RATES[model]:
        found[f"all layers, replay, {other:.0e} × {count}"] = _told(strategy, other, count)
    around: dict[str, dict[str, Any]] = {
        **{f"silence {share:g}": {"silence": {"share": share}} for share in SILENCES},
        "token embeddings frozen": {"optimiser": {"rates": {"*embed_tokens*": 1e-9}}},
        "labels plain": {"labels": "plain"},
        "labels as_written": {"labels": "as_written"},
        "pull 30": {"regularisation": {"pull": 30.0}},
        "average of 0.95": {"averaging": {"ema": 0.95}},
        "layer decay 0.8": {"optimiser": {"layer_decay": 0.8}},
        **{f"seed {seed}": {"seed": seed} for seed in (2, 3)},
    }
    for name, told in around.items():
        own = _told(strategy, rate, steps)
        for section, values in told.items():
            own[section] = {**own.get(section, {}), **values} if isinstance(values, dict) else values
        found[f"all layers, replay, {name}"] = own
    return found


def _told(strategy: dict[str, Any], rate: float, steps: int, replay: bool = True) -> dict[str, Any]:
    tree = {"strategy": strategy, "optimiser": {"learning_rate": rate}, "schedule": {"steps": steps}}
    return {**tree, "replay": replay}


#: Rows of each set at scale 1.
ROWS = {"train": 420, "dev": 60, "target": 220, "guard": 120, "budget": 60, "replay": 140, "noise": 54}


@dataclass(frozen=True)
class Sets:
    """Manifests of the sweep by name, and rows of each that fit a CPU."""

    folder: Path
    data: Path
    scale: float

    def prepare(self) -> dict[str, str]:
        """Write the manifests that are missing; their paths."""
        own = self.folder / "manifests"
        paths = {name: own / f"sweep_{self.scale:g}_{name}.jsonl" for name in ROWS}
        if all(path.is_file() for path in paths.values()):
            return {name: str(path) for name, path in paths.items()}
        ocean = prepare_speechocean(self.data, own)
        heavy = [row for row in Manifest.open(ocean["test"]) if row.accent == "heavy"]
        sung = list(Manifest.open(self.data / "kathleen" / "manifest.jsonl"))
        parts = [[row for row in sung if _part(row) == number] for number in range(3)]
        libri = list(Manifest.open(self.data / "librispeech_other" / "manifest.jsonl"))
        noise = sorted(p for p in (self.data / "esc10_noise").rglob("*.ogg"))
        rows = {
            "train": list(Manifest.open(ocean["heavy_train"])),
            "dev": list(Manifest.open(ocean["heavy_dev"])),
            "target": heavy,
            "guard": [*_some(libri, 60), *_some(parts[0], 60)],
            "budget": parts[1],
            "replay": parts[2],
            "noise": [Utterance(str(p.resolve()), id=p.stem, text="") for p in noise],
        }
        for name, path in paths.items():
            if not path.is_file():
                write_manifest(path, _some(rows[name], round(ROWS[name] * self.scale)))
        return {name: str(path) for name, path in paths.items()}


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
        known = trainings(Path(options.model).name)
        given = options.cells
        names = ["base", *known] if given is None else [name.strip() for name in given.split(";")]
        sets = Sets(options.output, options.data, options.scale).prepare()
        names = [name for name in names if not _result(options, name).is_file()]
        if options.workers > 1:
            keys = ("model", "data", "output", "scale", "device")
            given_ = [f"--{key}={getattr(options, key)}" for key in keys]
            side_by_side(
                names,
                lambda name: [__file__, *given_, f"--cells={name}"],
                lambda name: _result(options, name).with_suffix(".log"),
                workers=options.workers,
                seconds=options.seconds,
            )
        else:
            for name in names:
                write_json(_result(options, name), carried_out(options, name, known.get(name, {}), sets))
                print(_result(options, name).name, flush=True)
    table(options.output, options.write)


def _result(options: argparse.Namespace, name: str) -> Path:
    model = Path(options.model).name
    return Path(options.output) / f"{model}-{options.scale:g}-{_file(name)}.json"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", help="carry out what is missing for this model")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--output", type=Path, default=Path("runs/sweep"))
    parser.add_argument("--scale", type=float, default=1.0, help="share of the rows of every set")
    parser.add_argument("--cells", help="only these, separated by semicolons")
    parser.add_argument("--device", default="cpu")
    add_workers(parser)
    parser.add_argument("--write", type=Path, help="document whose block sweep is replaced")
    return parser


def _file(name: str) -> str:
    return "".join(c if c.isalnum() or c in ".-" else "_" for c in name)


def carried_out(
    options: argparse.Namespace, name: str, told: dict[str, Any], sets: dict[str, str]
) -> dict[str, Any]:
    """One training and its blends; ``base`` trains nothing."""
    about: dict[str, Any] = {"model": Path(options.model).name, "name": name, "cell": told}
    about |= {"scale": options.scale, "sets": sets, "hardware": hardware(_card(options.device))}
    with tempfile.TemporaryDirectory(dir=options.output) as place:
        started = time.perf_counter()
        model = options.model
        if told:
            recipe = build_recipe(recipe_of(told, sets, options))
            summary = adapt(recipe, Path(place) / "run", quiet=True).summary()
            about["training_seconds"] = summary["training_seconds"]
            about["evaluations"] = summary["evaluations"]
            model = str(Path(place) / "run")
        about["run_seconds"] = time.perf_counter() - started
        about["blends"] = list(blends(options, model, sets, (0.0,) if not told else SHARES))
    return about


def _card(device: str) -> str | None:
    return torch.cuda.get_device_name(device) if device.startswith("cuda") else None


def recipe_of(told: dict[str, Any], sets: dict[str, str], options: argparse.Namespace) -> dict[str, Any]:
    """The recipe of a training; dev alone chooses, at the end."""
    replay = {"manifest": sets["replay"], "share": 0.3, "labels": "base"} if told["replay"] else None
    return {
        "model": options.model,
        "train": sets["train"],
        "dev": sets["dev"],
        "invalid_rows": "drop",
        "evaluation": {"every": told["schedule"]["steps"], "rows": 20},
        "checkpoint_every": 1000,
        "cache": {"folder": str(options.output / "prefix"), "mode": _cache(options.device)},
        "device": options.device,
        "seed": 1,
        **{name: value for name, value in told.items() if name != "replay"},
        "replay": replay,
    }


def _cache(device: str) -> str:
    return "auto" if device == "cpu" else "off"  # a GPU computes the encoder faster than disks are read


def blends(
    options: argparse.Namespace, model: str, sets: dict[str, str], shares: Sequence[float]
) -> Iterator[dict[str, Any]]:
    """Hypotheses of every measured set at each share of the adapted weights."""
    base = load_recogniser(options.model, device=options.device, compute_type="float32")
    adapted = load_recogniser(model, device=options.device, compute_type="float32")
    mixer = Mixer(adapted, weights_of(base), weights_of(adapted))
    cache = Cache(folder=str(options.output / "prefix"), mode=_cache(options.device))
    prefix = MeasuredPrefix(cache, 20.0, mixer.boundary)
    seconds = 60.0 if options.device == "cpu" else 1280.0
    with closing(prefix):
        for share in shares:
            mixer.set([share])
            started = time.perf_counter()
            found: dict[str, Any] = {"share": share}
            for name in ("target", "guard", "dev", "budget", "noise"):
                rows = Manifest.open(sets[name])
                known = KnownRows(prefix.of(adapted, rows))
                found[name] = measure(adapted, rows, "basic", seconds, known).hypotheses
            yield found | {"seconds": time.perf_counter() - started}


if __name__ == "__main__":
    main()
