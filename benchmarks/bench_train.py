"""Speed of training: a careful transformers Trainer against ours, without and with the prefix cache.

    python benchmarks/bench_train.py --data ../shared/data --output runs/train [--clips 32] [--epochs 10]

(a) wav2vec2-base shape, random weights, clips of speechocean762 of 3 to 8 s: the documented CTC recipe
(Trainer, dynamic padding, batches grouped by length, feature encoder frozen, all layers learn) against ours
with 6 and 9 of 12 layers frozen. Same clips, epochs, rows a batch, precision and optimiser; seconds of
training with data loading, cache build included, without evaluations. Limit: E·B/(A + E·T') from operations
that torch counts.
(b) nano-en, FSDD's German speaker: the same three, with the WER that each ends with, once with just what the
Trainer learns too (all 6 layers) and once with 3 of them frozen. Results are kept under
OUTPUT and not computed again; the tables go to ``docs/benchmarks.md``.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accent_corpora import prepare_fsdd
from report import add_write, publish
from torch.utils.data import Dataset
from transformers import Trainer, TrainingArguments, Wav2Vec2Config, Wav2Vec2ForCTC, set_seed
from transformers.trainer_pt_utils import LengthGroupedSampler

from asr_adapt import evaluate
from asr_adapt.audio import read_audio
from asr_adapt.files import atomic_directory, write_json
from asr_adapt.manifest import Manifest, Utterance, write_manifest
from asr_adapt.manifest.build import BuildOptions, open_build
from asr_adapt.models import Recogniser, count_costs, load_recogniser
from asr_adapt.models.ctc.recogniser import require_ctc
from asr_adapt.scoring import score
from asr_adapt.text import normalise
from asr_adapt.training import adapt, build_recipe
from asr_adapt.training.precision import fast_bfloat16

SHORTEST, LONGEST = 3.0, 8.0  # seconds of a clip in part (a)
ROWS = 8  # of a batch
RATE = 1e-4
EXPECTED = "Expected before measuring: 90 % of the limit, which is 2.29 and 4.2 at ten epochs on 5.8 s clips."


@dataclass(frozen=True)
class Task:
    """What all contestants are given."""

    model: str
    train: Path
    test: Path
    epochs: int
    rate: float = RATE


class Clips(Dataset[dict[str, Any]]):
    """Decoded and normalised before the clock starts, as the documented recipe's ``map`` does."""

    def __init__(self, recogniser: Recogniser, rows: Sequence[Utterance]) -> None:
        self.items = []
        for row in rows:
            wave = read_audio(row.audio_path, offset=row.offset, duration=row.duration)
            values = recogniser.processor.feature_extractor(wave, sampling_rate=16_000).input_values[0]
            labels = recogniser.labels([normalise(row.text or "", "basic")])[0]
            self.items.append({"input_values": values, "labels": labels, "length": len(values)})

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.items[index]


class LengthGroupingTrainer(Trainer):
    """``train_sampling_strategy: group_by_length``, which by itself looks for text ids in the items."""

    def _get_train_sampler(self, train_dataset: Any = None) -> LengthGroupedSampler:
        clips: Any = self.train_dataset
        lengths = [item["length"] for item in clips.items]
        return LengthGroupedSampler(ROWS, lengths=lengths, generator=torch.Generator().manual_seed(0))


class Collator:
    """The documented DataCollatorCTCWithPadding: dynamic padding, padded labels are -100."""

    def __init__(self, processor: Any) -> None:
        self.processor = processor

    def __call__(self, items: Sequence[dict[str, Any]]) -> dict[str, Any]:
        inputs = [{"input_values": item["input_values"]} for item in items]
        batch = self.processor.feature_extractor.pad(inputs, padding=True, return_tensors="pt")
        longest = max(len(item["labels"]) for item in items)
        labels = np.full((len(items), longest), -100)
        for number, item in enumerate(items):
            labels[number, : len(item["labels"])] = item["labels"]
        return {**batch, "labels": torch.from_numpy(labels)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--output", type=Path, default=Path("runs/train"))
    parser.add_argument("--clips", type=int, default=32, help="of part (a)")
    parser.add_argument("--epochs", type=int, default=10)
    add_write(parser, "train")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    base = base_task(options)
    results = [contest("base", base, kept, options.output) for kept in (6, 3)]
    nano = nano_task(options)
    results += [contest("nano-en", nano, top, options.output) for top in (6, 3)]
    publish(tables(results, options), "train", options.write)


def base_task(options: argparse.Namespace) -> Task:
    """wav2vec2-base with nano-en's letters, and clips of the wanted lengths."""
    folder = options.output / "wav2vec2-base"
    nano = require_ctc(load_recogniser("nano-en", device="cpu", compute_type="float32"))
    if not folder.is_dir():
        torch.manual_seed(0)
        config = Wav2Vec2Config(
            vocab_size=len(nano.vocabulary), pad_token_id=nano.blank, ctc_loss_reduction="mean",
            ctc_zero_infinity=True, layerdrop=0.0, mask_time_prob=0.0,
        )  # fmt: skip
        with atomic_directory(folder) as work:
            Wav2Vec2ForCTC(config).save_pretrained(work)
            nano.processor.save_pretrained(work)
    rows = open_build(options.data / "speechocean762" / "train", BuildOptions()).rows()
    fitting = [row for row in rows if SHORTEST <= (row.duration or 0) <= LONGEST]
    chosen = np.random.default_rng(0).choice(len(fitting), options.clips + 2, replace=False)
    train, test = options.output / "base_train.jsonl", options.output / "base_test.jsonl"
    write_manifest(train, [fitting[i] for i in chosen[2:]])
    write_manifest(test, [fitting[i] for i in chosen[:2]])
    return Task(str(folder), train, test, options.epochs)


def nano_task(options: argparse.Namespace) -> Task:
    """The bundled base and FSDD's German speaker."""
    rows = prepare_fsdd(options.data, options.output)
    return Task("nano-en", rows["yweweler_train"], rows["yweweler_test"], options.epochs, 2e-4)


def contest(name: str, task: Task, top: int, output: Path) -> dict[str, Any]:
    """All contestants with ``top`` layers learning in ours."""
    found = output / f"{name}_{top}.json"
    if found.is_file():
        return json.loads(found.read_text(encoding="utf-8"))
    trainer_file = output / f"{name}_trainer.json"
    if not trainer_file.is_file():
        write_json(trainer_file, run_trainer(task, output / f"{name}_trainer"))
    trainer = json.loads(trainer_file.read_text(encoding="utf-8"))
    ours = {mode: run_ours(task, top, mode, output / f"{name}_{top}_{mode}") for mode in ("off", "on")}
    result = {"name": name, "top": top, "trainer": trainer, "limit": limit(task, top), **ours}
    write_json(found, result)
    return result


def run_trainer(task: Task, folder: Path) -> dict[str, float]:
    """The documented recipe; seconds of ``Trainer.train`` alone."""
    recogniser = load_recogniser(task.model, device="auto", compute_type="float32")
    model, processor = recogniser.model, recogniser.processor
    model.freeze_feature_encoder()
    model.config.apply_spec_augment = False  # ours has none here; digits are shorter than one mask
    rows = list(Manifest.open(task.train))
    set_seed(0)
    arguments = TrainingArguments(
        output_dir=str(folder), num_train_epochs=task.epochs, per_device_train_batch_size=ROWS,
        learning_rate=task.rate, warmup_steps=0.1, weight_decay=0.01, bf16=fast_bfloat16(recogniser.device),
        use_cpu=not torch.cuda.is_available(), save_strategy="no", report_to=[], disable_tqdm=True,
        remove_unused_columns=False, seed=0,
    )  # fmt: skip
    trainer = LengthGroupingTrainer(model, arguments, Collator(processor), Clips(recogniser, rows))
    started = time.perf_counter()
    trainer.train()
    seconds = time.perf_counter() - started
    model.eval()
    return {
        "seconds": seconds,
        "build": 0.0,
        "steps": trainer.state.global_step,
        "wer": wer(recogniser, task),
    }


def run_ours(task: Task, top: int, cache: str, folder: Path) -> dict[str, float]:
    """Our loop with the same rows a batch, rate, schedule and number of steps."""
    rows = len(Manifest.open(task.train))
    steps = -(-rows // ROWS) * task.epochs
    recipe = build_recipe(
        {
            "model": task.model,
            "train": str(task.train),
            "dev": str(task.test),
            "strategy": {"name": "top_layers", "top_layers": top},
            "optimiser": {"learning_rate": task.rate},
            "schedule": {"steps": steps, "kind": "linear", "warmup": 0.1},
            "batch": {"seconds": 1e6, "rows": ROWS},
            "evaluation": {"every": steps},
            "checkpoint_every": steps,
            "regularisation": {"spec_augment": {"time_share": 0.0, "feature_share": 0.0}},
            "cache": {"mode": cache, "folder": str(folder.with_name(f"{folder.name}_store"))},
            "invalid_rows": "drop",
        }
    )
    summary = adapt(recipe, folder, quiet=True).summary()
    build = sum(decision["build_seconds"] for decision in summary["prefix_cache"])
    seconds = summary["training_seconds"] + build
    mfu = [json.loads(line).get("mfu") for line in (folder / "metrics.jsonl").read_text().splitlines()]
    last = wer(load_recogniser(folder), task)
    shares = [value for value in mfu if value is not None]
    return {"seconds": seconds, "build": build, "steps": steps, "wer": last, "mfu": float(np.median(shares))}


def limit(task: Task, top: int) -> dict[str, float]:
    """E·B/(A + E·T') and, without a cache, B/(A + T'), from counted operations."""
    recogniser = load_recogniser(task.model, device="cpu", compute_type="float32")
    seconds = Manifest.open(task.train).durations
    stack = recogniser.stack
    stack.freeze_except(range(1, len(stack)))
    whole = count_costs(recogniser, stack.boundary)
    baseline = float((whole.prefix(seconds) + whole.trained(seconds)).sum())
    stack.freeze_except(range(stack.layers[-top], len(stack)))
    ours = count_costs(recogniser, stack.boundary)
    below, above = float(ours.prefix(seconds).sum()), float(ours.trained(seconds).sum())
    return {
        "cached": task.epochs * baseline / (below + task.epochs * above),
        "uncached": baseline / (below + above),
    }


def wer(recogniser: Recogniser, task: Task) -> float:
    """Corpus WER of the test rows."""
    return score(evaluate(Manifest.open(task.test), model=recogniser).rows).wer


def tables(results: Sequence[dict[str, Any]], options: argparse.Namespace) -> str:
    """The Markdown block."""
    precision = "bfloat16" if fast_bfloat16(torch.device("cpu")) else "float32"
    lines = ["## Training speed", ""]
    lines += [
        f"`benchmarks/bench_train.py --clips {options.clips} --epochs {options.epochs}`, {ROWS} rows a batch,"
    ]
    lines += [f"seed 0, {torch.get_num_threads()} threads, {platform.machine()}, {precision}. {EXPECTED}"]
    lines += ["The Trainer learns all layers but the convolutions, as ours does in the rows with 0 of 6"]
    lines += ["frozen: their WERs (50 words) are to be compared."]
    lines += ["Above the limit, the Trainer lost time elsewhere.", ""]
    lines += ["| model, frozen layers | contestant | seconds | of it cache build | speed-up | limit | WER |"]
    lines += ["|---|---|--:|--:|--:|--:|--:|"]
    for result in results:
        lines += _rows(result)
    return "\n".join(lines)


def _rows(result: dict[str, Any]) -> list[str]:
    depth = {"base": 12, "nano-en": 6}[result["name"]]
    name = f"{result['name']}, {depth - result['top']} of {depth}"
    base = result["trainer"]["seconds"]
    contestants = (
        ("Trainer", result["trainer"], None),
        ("ours, no cache", result["off"], result["limit"]["uncached"]),
        ("ours, cached", result["on"], result["limit"]["cached"]),
    )
    lines = []
    for title, found, most in contestants:
        heard = f"{found['wer']:.1%}" if result["name"] != "base" else "–"
        bound = "–" if most is None else f"{most:.2f}"
        lines.append(
            f"| {name} | {title} | {found['seconds']:.1f} | {found['build']:.1f} "
            f"| {base / found['seconds']:.2f} | {bound} | {heard} |"
        )
    return lines


if __name__ == "__main__":
    main()
