"""What training needs of a GPU's memory, and what fits: counted for well-known models, and measured.

    python benchmarks/bench_memory.py --output runs/memory --only wav2vec2
    python benchmarks/bench_memory.py --output runs/memory --write
    python benchmarks/bench_memory.py --output runs/memory --measure --device cuda

A step in bfloat16 (float32 weights, AdamW) of the whole network is counted tensor by tensor, as a run counts
its own before it starts (``training/device/memory_plan.py``), but without computing: on a CPU, as a GPU would
hold it (``training/device/gpu_sizes.py``). Counts take seconds a model and next to no memory.
``--measure`` runs networks too and compares: with what torch's allocator held on a GPU, with how far the
process grew on a CPU. Without it, plans are compared with what the last GPU held, which is kept in
``benchmarks/measured_memory.json`` with its name and day. With ``--write`` counts go into
``asr_adapt/assets/memory.json``, which ``asr-adapt doctor --memory`` reads, and the table into the document.
``--dry-run`` takes thin networks, to show that every part runs.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from functools import partial
from pathlib import Path
from textwrap import wrap
from typing import Any

import numpy as np
import torch
from bench_gpu import RATE, TOKENS, Shape, wav2vec2, whisper
from report import add_write, hardware_on, publish, table

from asr_adapt.files import write_json
from asr_adapt.models import Recogniser
from asr_adapt.models.attention.whisper.recogniser import WhisperRecogniser
from asr_adapt.models.ctc.recogniser import CtcRecogniser
from asr_adapt.models.ctc.wav2vec2 import Wav2Vec2Anatomy
from asr_adapt.models.lora import LoraSettings, add_lora
from asr_adapt.training.device.gpu_sizes import gpu_sizes
from asr_adapt.training.device.known_plans import FILE, SECONDS, WAYS, KnownPlans
from asr_adapt.training.device.memory import DeviceMemory, watched
from asr_adapt.training.device.memory_plan import GIGABYTE, MemoryPlan, count_step
from asr_adapt.training.device.recomputing import recompute_layers
from asr_adapt.training.device.speedups import Speedups

ASSET = Path(__file__).resolve().parents[1] / "asr_adapt" / "assets" / FILE
CARDS = (8, 16, 24, 80)
WIDTH = 110
RANK = 32
#: What a GPU held: ``on`` (hardware and versions), ``date``, ``steps``.
MEASURED = Path(__file__).with_name("measured_memory.json")
SHAPES = {
    "whisper-tiny": Shape("whisper", 384, 4, 6),
    "whisper-base": Shape("whisper", 512, 6, 8),
    "whisper-small": Shape("whisper", 768, 12, 12),
    "whisper-medium": Shape("whisper", 1024, 24, 16),
    "whisper-large-v3": Shape("whisper", 1280, 32, 20, 128),
    "whisper-large-v3-turbo": Shape("whisper", 1280, 32, 20, 128, 4),
    "wav2vec2-base": Shape("wav2vec2", 768, 12, 12),
    "wav2vec2-large": Shape("wav2vec2", 1024, 24, 16),
    "mms-1b": Shape("wav2vec2", 1280, 48, 16),
}
#: Measured whole where it has at most so many layers, by device.
SMALL = {"cpu": 6, "cuda": 24}


def main(arguments: Sequence[str] | None = None) -> None:
    """Count what is missing, measure if asked, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("runs/memory"))
    parser.add_argument("--only", default="", help="models whose name matches this regular expression")
    parser.add_argument("--measure", action="store_true", help="measure the small ones too")
    parser.add_argument("--device", default="cpu")
    add_write(parser, "memory")
    parser.add_argument("--dry-run", action="store_true")
    options = parser.parse_args(arguments)
    if options.dry_run:
        SHAPES.update({n: replace(s, width=4 * s.heads, layers=min(s.layers, 6)) for n, s in SHAPES.items()})
    device = torch.device(options.device)
    names = [name for name in SHAPES if re.search(options.only, name)]
    plans = {name: kept(options.output / f"{name}.json", partial(counted, name)) for name in names}
    held = json.loads(MEASURED.read_text(encoding="utf-8"))
    if options.measure:
        held = measured_all(names, options.output, device)
        if options.write and device.type == "cuda":
            write_json(MEASURED, held)
    if options.write:
        former = json.loads(ASSET.read_text(encoding="utf-8"))["models"]
        write_json(ASSET, {"seconds": SECONDS, "models": former | plans})
    publish("\n".join(written(plans, held)), "memory", options.write)


def measured_all(names: Sequence[str], output: Path, device: torch.device) -> dict[str, Any]:
    """What the device held, of those that are small enough for it."""
    steps = []
    for name in names:
        if SHAPES[name].layers <= SMALL[device.type]:
            steps += kept(output / f"{name}.{device.type}.json", partial(measured, name, device))
    return {"on": hardware_on(device.type), "date": f"{date.today()}", "steps": steps}


def kept(path: Path, make: Callable[[], Any]) -> Any:
    """What is in the file, or is made and kept there."""
    if not path.is_file():
        print(path.stem, file=sys.stderr, flush=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, make())
    return json.loads(path.read_text(encoding="utf-8"))


def counted(name: str) -> dict[str, Any]:
    """Plans of a model by way."""
    plans, millions = {}, 0.0
    for way, (lora, recompute) in WAYS.items():
        with gpu_sizes():
            recogniser = made(SHAPES[name], torch.device("cpu"), lora, recompute)
            step, again = count_step(losses(recogniser), recogniser.model, SECONDS / 2, SECONDS)
        plans[way] = MemoryPlan.of(recogniser.model, (step.at(SECONDS), again.at(SECONDS))).to_json()
        if not lora:
            millions = sum(p.numel() for p in recogniser.model.parameters()) / 1e6
    return {"millions": millions, "plans": plans}


def made(shape: Shape, device: torch.device, lora: bool, recompute: bool) -> Recogniser:
    """A recogniser of random weights, ready for steps in bfloat16."""
    torch.manual_seed(0)
    with torch.device(device):
        model, processor = whisper(shape) if shape.family == "whisper" else wav2vec2(shape)
    model = model.eval()
    if shape.family == "whisper":
        recogniser: Recogniser = WhisperRecogniser(model, processor, "shape")
    else:
        recogniser = CtcRecogniser(model, processor, "shape", anatomy=Wav2Vec2Anatomy)
    stack = recogniser.stack
    if lora:
        names = add_lora(recogniser, LoraSettings(RANK, 2.0 * RANK), seed=0).names
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name in names)
        Speedups(stack, compiled=False, half=True).boundary_moved(stack.boundary)
    else:
        stack.freeze_except(range(0 if shape.family == "whisper" else 1, len(stack)))
    stack.set_modes()
    if recompute:
        recompute_layers(model)
    return recogniser


def losses(recogniser: Recogniser) -> Callable[[int, float], torch.Tensor]:
    """(rows, seconds) → loss of noise with as many tokens as such speech has."""
    device, boundary = recogniser.device, recogniser.stack.boundary

    def loss(rows: int, seconds: float) -> torch.Tensor:
        noise = np.random.default_rng(0).standard_normal(round(seconds * RATE)).astype(np.float32)
        labels = recogniser.labels(["a" * round(seconds * TOKENS)] * rows)
        with torch.autocast(device.type, dtype=torch.bfloat16):
            with torch.no_grad():
                hidden = recogniser.encode(recogniser.inputs([0.1 * noise] * rows).to(device), boundary)
            return recogniser.losses(hidden, boundary, labels).sum()

    return loss


def measured(name: str, device: torch.device) -> list[dict[str, Any]]:
    """Peak of a real step of the whole network, in bytes; two sizes of batch, each way."""
    lines = []
    for way, (lora, recompute) in WAYS.items():
        recogniser = made(SHAPES[name], device, lora, recompute)
        loss = losses(recogniser)
        for rows in (2, 4) if device.type == "cpu" else (4, 16):
            peak = _peak(partial(_backward, partial(loss, rows, SECONDS)), device)
            recogniser.model.zero_grad(set_to_none=True)
            lines.append({"model": name, "way": way, "rows": rows, "peak": peak})
    return lines


def _backward(loss: Callable[[], torch.Tensor]) -> None:
    loss().backward()


def _peak(work: Callable[[], None], device: torch.device) -> float:
    memory = DeviceMemory.of(device)
    memory.clear()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        work()
        return float(torch.cuda.max_memory_allocated(device) - before)
    with watched() as grown:
        work()
    return float(grown())


def written(plans: dict[str, Any], held: dict[str, Any]) -> list[str]:
    """The section."""
    lines = [
        "## What fits on a GPU",
        "",
        *wrap(
            f"`benchmarks/bench_memory.py`. Clips of {SECONDS:g} s in one micro-batch, bfloat16, AdamW; "
            "counted on a CPU for the whole network, with room for CUDA itself and for the gradients of an "
            "earlier micro-batch (`accumulate` makes up for small ones); – : not even one. Whisper computes "
            f"30 s for each. LoRA of rank {RANK} in every layer, its base in bfloat16. A model is measured "
            "in float32, so the whole of its weights in float32 has to fit too (6.2 GB for large-v3).",
            WIDTH,
        ),
        "",
    ]
    heads = ("model", ">parameters", "way", *(f">{card} GB" for card in CARDS))
    lines += table(heads, [row for name, own in plans.items() for row in _fits(name, KnownPlans.of(own))])
    checks = [
        _check(KnownPlans.of(plans[one["model"]]), one) for one in held["steps"] if one["model"] in plans
    ]
    if checks:
        told = (
            f"Planned against measured: a step of one micro-batch, MB. Measured on {held['on']}, on "
            f"{held['date']}; planned as above, without room for CUDA."
        )
        lines += ["", *wrap(told, WIDTH), ""]
        lines += table(("model", "way", ">clips", ">planned", ">measured", ">planned more"), checks)
    return lines


def _check(known: KnownPlans, one: dict[str, Any]) -> tuple[str, ...]:
    planned = known.plans[one["way"]].step(one["rows"], SECONDS)
    numbers = f"{planned / 1e6:,.0f}", f"{one['peak'] / 1e6:,.0f}", f"{planned / one['peak'] - 1:+.0%}"
    return (one["model"], one["way"], one["rows"], *numbers)


def _fits(name: str, known: KnownPlans) -> list[tuple[str, ...]]:
    rows = []
    for way, plan in known.plans.items():
        fitting = [plan.rows(card * GIGABYTE, SECONDS) for card in CARDS]
        rows.append((name, f"{known.millions:,.0f} M", way, *(f"{n:,}" if n else "–" for n in fitting)))
    return rows


if __name__ == "__main__":
    main()
