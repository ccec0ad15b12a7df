"""Gradient checkpointing: less memory, the same numbers, nothing of it in the saved model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from asr_adapt.cli.app import run
from asr_adapt.errors import RecipeError
from asr_adapt.models import Dropout, Recogniser, load_recogniser
from asr_adapt.training import adapt, build_recipe
from asr_adapt.training.device.live_bytes import LiveBytes
from asr_adapt.training.device.recomputing import recompute_layers
from asr_adapt.training.precision import mixed_precision
from tests.models.architectures import save_tiny
from tests.models.whisper_models import save_tiny_whisper


def made(name: str, folder: Path) -> Recogniser:
    place = save_tiny_whisper(folder / name) if name == "whisper" else save_tiny(name, folder / name)
    recogniser = load_recogniser(place, device="cpu")
    recogniser.set_dropout(Dropout(hidden_dropout=0.1))
    recogniser.stack.freeze_except(range(2, len(recogniser.stack)))
    recogniser.stack.set_modes()
    return recogniser


def passes(recogniser: Recogniser) -> tuple[torch.Tensor, int]:
    torch.manual_seed(7)
    waves = [np.random.default_rng(n).normal(0, 0.1, 64_000).astype(np.float32) for n in range(2)]
    with torch.no_grad():
        hidden = recogniser.encode(recogniser.inputs(waves), 2)
    with LiveBytes() as live:
        losses = recogniser.losses(hidden, 2, recogniser.labels(["a line of text"] * 2))
        losses.sum().backward()
    return losses.detach(), live.peak


@pytest.mark.parametrize("name", ["wav2vec2", "wavlm", "wav2vec2-bert", "parakeet", "whisper"])
def test_losses_and_gradients_stay_what_they_are_and_less_is_held(name: str, tmp_path: Path) -> None:
    recogniser = made(name, tmp_path)
    (plain, plain_peak), gradients = passes(recogniser), _gradients(recogniser)
    recompute_layers(recogniser.model)
    losses, peak = passes(recogniser)
    assert torch.equal(losses, plain)
    for parameter, found in _gradients(recogniser).items():
        assert torch.equal(found, gradients[parameter]), parameter
    assert peak < plain_peak
    recogniser.save(tmp_path / "saved")
    assert "checkpointing" not in (tmp_path / "saved" / "config.json").read_text()


def _gradients(recogniser: Recogniser) -> dict[str, torch.Tensor]:
    """Gradients of the last pass, which are taken away."""
    named = recogniser.model.named_parameters()
    found = {name: p.grad.clone() for name, p in named if p.grad is not None}
    recogniser.model.zero_grad(set_to_none=True)
    return found


def test_a_run_with_it_has_the_steps_of_a_plain_one(tree: dict[str, Any], tmp_path: Path) -> None:
    steps = {}
    for on in (False, True):
        changed = {"schedule": {"steps": 4}, "strategy": {"name": "full"}, "gradient_checkpointing": on}
        adapt(build_recipe(tree | changed), tmp_path / str(on), quiet=True)
        lines = map(json.loads, (tmp_path / str(on) / "metrics.jsonl").read_text().splitlines())
        steps[on] = [(line["loss"], line["gradient_norm"]) for line in lines if line["kind"] == "step"]
    assert steps[True] == steps[False] and len(steps[True]) == 4


def test_what_cannot_be_is_refused(
    tree: dict[str, Any], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(RecipeError, match="has no layers"):
        recompute_layers(torch.nn.Linear(2, 2))
    with pytest.raises(RecipeError, match="cannot be combined"):
        build_recipe(tree | {"compile": True, "gradient_checkpointing": True})
    path = tmp_path / "recipe.yaml"
    path.write_text(json.dumps(tree | {"precision": "float16"}), encoding="utf-8")
    assert run(["train", str(path), "-o", str(tmp_path / "out")]) == 3
    assert "float16 is for CUDA" in capfd.readouterr().err
    assert mixed_precision("bfloat16", torch.device("cpu")) == "bf16"
    assert mixed_precision("float16", torch.device("cuda")) == "fp16"


def test_live_bytes_are_those_that_are_held_at_once() -> None:
    with LiveBytes() as live:
        one = torch.zeros(250, 1000)
        two = one * 2
        del one
        view = two.view(-1)
        three = view + 1
        assert live.now == 2_000_000
        del two, view, three
    assert (live.now, live.peak) == (0, 2_000_000)
