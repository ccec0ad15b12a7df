"""LoRA on a base of 8 or 4 bits, or one that waits on the host: its price in WER, what it saves in memory.

    python benchmarks/bench_small_gpu.py --data ../shared/data --output runs/small-gpu --write
    python benchmarks/bench_small_gpu.py --device cuda --output runs/small-gpu --write

Without a GPU: whisper-tiny.en learns a heavy Mandarin accent (speechocean762, unseen speakers), LoRA in its
decoder, in float32, once for each way to keep the base and the optimiser's moments; same rows, seed, steps.
With ``--device cuda``: steps of Whispers of true size with random weights in bfloat16, clips of 10 s; what
torch's allocator held at most, beside what the run's own plan says before it starts. What is there under
OUTPUT is not computed again. ``--dry-run`` takes thin networks, to show that every part runs.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from textwrap import wrap
from typing import Any

import real_corpora as corpora
import torch
from bench_gpu import Shape, whisper
from bench_memory import SHAPES, kept, losses
from report import add_write, hardware, publish, table

from asr_adapt.manifest import Manifest
from asr_adapt.models import Recogniser, load_recogniser
from asr_adapt.models.attention.whisper.recogniser import WhisperRecogniser
from asr_adapt.models.compact import Bits
from asr_adapt.models.lora import LoraSettings, add_lora
from asr_adapt.training import adapt, build_recipe
from asr_adapt.training.callback import Callback
from asr_adapt.training.device.memory_plan import GIGABYTE, NOTHING, MemoryPlan, count_step
from asr_adapt.training.device.recomputing import recompute_layers
from asr_adapt.training.device.small_base import SmallBase
from asr_adapt.training.device.speedups import Speedups
from asr_adapt.training.learning.optimisers import build_optimiser
from asr_adapt.training.recipe.schema import Optimiser

SECONDS, RANK = 10.0, 32
WIDTH = 110
#: Clips of training, of choosing and of testing; steps of how many clips.
TRAIN, DEV, TEST, STEPS, ROWS = 120, 16, 60, 40, 8


@dataclass(frozen=True)
class Way:
    """How the base is kept in steps, whether layers are computed again, and which optimiser."""

    quantise: Bits | None = None
    offload: bool = False
    moments: str = "adamw"
    recompute: bool = False
    #: All of the network learns.
    full: bool = False

    @property
    def title(self) -> str:
        """For the table."""
        base = (
            "everything learns" if self.full else {"8bit": "8 bits", "4bit": "4 bits"}.get(str(self.quantise))
        )
        parts = [base or "as it is", "on the host" if self.offload else "", "checkpointing" * self.recompute]
        return ", ".join([*filter(None, parts), *(["adamw_8bit"] if self.moments != "adamw" else [])])


#: Trained for WER.
LEARNT = (Way(), Way("8bit"), Way("4bit"), Way("4bit", moments="adamw_8bit"))
#: Measured on a GPU: shape → clips in a micro-batch, ways.
MEASURED: dict[str, tuple[int, tuple[Way, ...]]] = {
    "whisper-large-v3": (
        4,
        (
            Way(recompute=True),
            Way("8bit", recompute=True),
            Way("4bit", recompute=True),
            Way(offload=True, recompute=True),
            Way("4bit", offload=True, recompute=True),
            Way(),
            Way("8bit"),
            Way("4bit"),
        ),
    ),
    "whisper-medium": (
        4,
        (Way(full=True, recompute=True), Way(full=True, recompute=True, moments="adamw_8bit")),
    ),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is missing, print, and with ``--write`` publish, the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--output", type=Path, default=Path("runs/small-gpu"))
    parser.add_argument("--device", default="cpu")
    add_write(parser, "small-gpu")
    parser.add_argument("--dry-run", action="store_true")
    options = parser.parse_args(arguments)
    device = torch.device(options.device)
    if device.type == "cuda" or options.dry_run:
        publish(
            "\n".join(memory(options.output, device, dry=options.dry_run)), "small-gpu-memory", options.write
        )
    if device.type == "cpu" and not options.dry_run:
        publish("\n".join(accuracy(options.data, options.output)), "small-gpu", options.write)


def accuracy(data: Path, output: Path) -> list[str]:
    """The section on WER."""
    manifests = rows_of(data, output / "manifests")
    found = [
        kept(
            output / f"{way.title.replace(', ', '-').replace(' ', '_')}.json",
            partial(trained, way, manifests, output),
        )
        for way in LEARNT
    ]
    lines = [
        "## LoRA on a base of few bits",
        "",
        *wrap(
            f"`benchmarks/bench_small_gpu.py`. whisper-tiny.en, heavy Mandarin accent, {TRAIN} clips, tested "
            f"on {TEST} of unseen speakers; LoRA of rank {RANK} in the decoder, {STEPS} steps of {ROWS}, "
            f"float32, seed 0; {hardware()}. Loss: nats per label, mean of the last ten steps. WER: of the "
            "float32 weights with the adapter merged, as saved; 95 % intervals over speakers. Bytes: of the "
            "network in steps and of AdamW's moments, by the run's own plan.",
            WIDTH,
        ),
        "",
    ]
    base = found[0]
    rows = [("no training", "", _wer(base, "before"), "", "")]
    rows += [
        (
            way.title,
            f"{f['loss']:.3f}",
            _wer(f, "after"),
            f"{f['weights'] / 1e6:.0f}",
            f"{f['moments'] / 1e6:.1f}",
        )
        for way, f in zip(LEARNT, found, strict=True)
    ]
    return lines + table(("base in steps", ">loss", ">WER", ">weights, MB", ">moments, MB"), rows)


def _wer(found: dict[str, Any], when: str) -> str:
    low, high = (found["target"][f"{when}_interval"][end] for end in ("low", "high"))
    return f"{found['target'][when]:.1%} ({low:.1%}–{high:.1%})"


def rows_of(data: Path, output: Path) -> dict[str, Path]:
    """Train, dev and test of the heavy band, each cut to its number of clips."""
    whole = corpora.speechocean(data, output).parts
    heavy = {part: [r for r in Manifest.open(path) if r.accent == "heavy"] for part, path in whole.items()}
    numbers = {"train": TRAIN, "dev": DEV, "test": TEST}
    cut = {part: corpora.shuffled(rows)[: numbers[part]] for part, rows in heavy.items()}
    return corpora.written(cut, output, "small")


def trained(way: Way, manifests: dict[str, Path], output: Path) -> dict[str, Any]:
    """One run: its losses, its WERs, and what its plan counts."""
    folder = output / "run"
    tree = {
        "model": "whisper-tiny.en",
        **{part: str(path) for part, path in manifests.items()},
        "strategy": {
            "name": "lora",
            "lora": {"rank": RANK, "layers": 4},
            "quantise": way.quantise,
            "offload": way.offload,
        },
        "optimiser": {"kind": way.moments, "learning_rate": 1e-3},
        "schedule": {"steps": STEPS},
        "batch": {"rows": ROWS},
        "silence": {"share": 0.0},
        "retention": {"share": 1.0},
        "evaluation": {"every": STEPS},
        "invalid_rows": "drop",
        "precision": "float32",
        "device": "cpu",
    }
    summary = adapt(build_recipe(tree), folder, overwrite=True).summary()
    lines = map(json.loads, (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
    steps = [line["loss"] for line in lines if line["kind"] == "step"]
    last = steps[-10:]
    return {"losses": steps, "loss": sum(last) / len(last), "target": summary["target"], **planned(way)}


def planned(way: Way) -> dict[str, float]:
    """Bytes of the network in steps and of the moments."""
    recogniser = load_recogniser("whisper-tiny.en", device="cpu", compute_type="float32")
    names = add_lora(recogniser, LoraSettings(RANK, 2.0 * RANK, layers=4), seed=0).names
    for name, parameter in recogniser.model.named_parameters():
        parameter.requires_grad_(name in names)
    if way.quantise:
        small = SmallBase(recogniser.stack, way.quantise, offload=way.offload, kind=torch.float32)
        small.boundary_moved(recogniser.stack.boundary)
    plan = MemoryPlan.of(recogniser.model, NOTHING, eight_bit=way.moments == "adamw_8bit")
    return {"weights": plan.weights, "moments": plan.moments}


def memory(output: Path, device: torch.device, *, dry: bool) -> list[str]:
    """The section on memory."""
    rows = []
    for name, (clips, ways) in MEASURED.items():
        shape = SHAPES[name]
        if dry:
            shape = replace(shape, width=4 * shape.heads, layers=2, decoder=None)
        made: dict[bool, Recogniser] = {}
        for way in ways:
            file = output / f"{name}-{way.title.replace(', ', '-').replace(' ', '_')}.{device.type}.json"
            found = kept(file, partial(measured, shape, way, clips, device, made))
            numbers = [f"{found[key] / GIGABYTE:.2f}" for key in ("weights", "planned", "peak")]
            rows.append((name, way.title, *numbers, f"{1000 * found['seconds']:.0f}", f"{found['loss']:.3f}"))
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    heads = (
        "model",
        "base in steps",
        ">weights, GB",
        ">planned, GB",
        ">held at most, GB",
        ">ms a step",
        ">loss",
    )
    return [
        "## Steps on a base of few bits, measured",
        "",
        *wrap(
            f"`benchmarks/bench_small_gpu.py --device cuda`; {hardware(where)}; bfloat16, random weights, "
            f"micro-batches of 4 clips of {SECONDS:g} s, LoRA of rank {RANK} in every layer. *Weights*: what "
            "the device holds of the network in steps. *Planned*: what a run says before it starts. *Held*: "
            "torch's allocator, in two steps. Measuring needs 4 bytes per parameter, "
            "without the rest.",
            WIDTH,
        ),
        "",
        *table(heads, rows),
    ]


def measured(
    shape: Shape, way: Way, clips: int, device: torch.device, made: dict[bool, Recogniser]
) -> dict[str, float]:
    """Peak, plan and seconds of a step; ``made`` keeps the network for the next way."""
    if way.full not in made:
        made.clear()
        made[way.full] = network(shape, device, lora=not way.full)
    recogniser = made[way.full]
    recompute_layers(recogniser.model, on=way.recompute)
    named = recogniser.model.named_parameters()
    learning = {n: p.detach().to("cpu", copy=True) for n, p in named if p.requires_grad}
    loss = losses(recogniser)
    around = _kept(recogniser, way)
    try:
        counted = count_step(loss, recogniser.model, SECONDS / 2, SECONDS)
        plan = MemoryPlan.of(recogniser.model, counted, eight_bit=way.moments == "adamw_8bit")
        found = _steps(recogniser, way, partial(loss, clips, SECONDS), device)
    finally:
        for callback in reversed(around):
            callback.boundary_moves()
    with torch.no_grad():
        for name, parameter in recogniser.model.named_parameters():
            if name in learning:
                parameter.copy_(learning[name])
    return {"weights": plan.weights, "planned": plan.in_steps(clips, SECONDS, accumulate=False), **found}


def network(shape: Shape, device: torch.device, *, lora: bool) -> Recogniser:
    """A Whisper of random weights, with LoRA in every layer."""
    torch.manual_seed(0)
    with torch.device(device):
        model, processor = whisper(shape)
    recogniser = WhisperRecogniser(model.to(device).eval(), processor, "shape")
    names = {n for n, _ in recogniser.model.named_parameters()}
    if lora:
        names = set(add_lora(recogniser, LoraSettings(RANK, 2.0 * RANK), seed=0).names)
    for name, parameter in recogniser.model.named_parameters():
        parameter.requires_grad_(name in names and "embed_positions" not in name)
    recogniser.stack.set_modes()
    return recogniser


def _kept(recogniser: Recogniser, way: Way) -> list[Callback]:
    """Weights as in steps."""
    stack, found = recogniser.stack, list[Callback]()
    if way.quantise or way.offload:
        found.append(SmallBase(stack, way.quantise, offload=way.offload, kind=torch.bfloat16))
    found.append(Speedups(stack, compiled=False, half=True))
    for callback in found:
        callback.boundary_moved(stack.boundary)
    return found


def _steps(
    recogniser: Recogniser, way: Way, loss: Callable[[], torch.Tensor], device: torch.device
) -> dict[str, float]:
    """Bytes at the peak of two steps, seconds of two more, and the first loss per clip."""
    parameters = [p for p in recogniser.model.parameters() if p.requires_grad]
    groups = [{"params": parameters, "lr": 1e-5, "weight_decay": 0.01, "matrix": True}]
    settings = Optimiser.model_validate({"kind": way.moments})
    optimiser = build_optimiser(groups, settings)
    values = []

    def step() -> None:
        value = loss()
        value.backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        values.append(float(value.detach()))

    gpu = device.type == "cuda"
    if gpu:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    step()
    step()
    peak = torch.cuda.max_memory_allocated(device) if gpu else 0
    started = time.perf_counter()
    step()
    step()
    if gpu:
        torch.cuda.synchronize(device)
    return {"peak": float(peak), "seconds": (time.perf_counter() - started) / 2, "loss": values[0]}


if __name__ == "__main__":
    main()
