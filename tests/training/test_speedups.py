"""Compiled layers and a prefix in bfloat16 change how fast steps are, not what is learnt or measured."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from asr_adapt.models import load_recogniser
from asr_adapt.models.lora import LoraSettings, add_lora
from asr_adapt.training import adapt, build_recipe
from asr_adapt.training.device.speedups import Speedups
from tests.models.architectures import save_tiny
from tests.models.whisper_models import save_tiny_whisper


def weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on a CPU")
def test_a_compiled_run_has_the_losses_of_a_plain_one(tree: dict[str, Any], tmp_path: Path) -> None:
    found = {}
    for name in ("plain", "compiled"):
        changed = {
            "compile": name == "compiled",
            "strategy": {"name": "top_layers", "top_layers": 1},
            "schedule": {"steps": 6, "kind": "constant"},
            "regularisation": {"hidden_dropout": 0.1},
        }
        summary = adapt(build_recipe(tree | changed), tmp_path / name, quiet=True).summary()
        lines = map(json.loads, (tmp_path / name / "metrics.jsonl").read_text().splitlines())
        found[name] = [line["loss"] for line in lines if line["kind"] == "step"], summary["target"]["after"]
    assert len(found["plain"][0]) == 6
    np.testing.assert_allclose(found["compiled"][0], found["plain"][0], rtol=2e-4)
    assert found["compiled"][1] == found["plain"][1]
    graphs = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    assert graphs > 0, "something was compiled"


def test_a_prefix_in_bfloat16_gives_what_autocast_gives_and_comes_back_whole(tone_model: Path) -> None:
    recogniser = load_recogniser(tone_model, device="cpu", compute_type="float32")
    recogniser.model.eval()
    stack, before = recogniser.stack, weights(recogniser.model)
    boundary = len(stack) - 1
    noise = np.random.default_rng(0).normal(0.0, 0.1, 16_000).astype(np.float32)
    inputs = recogniser.inputs([noise, noise[:9_000]])

    def states() -> torch.Tensor:
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            return recogniser.encode(inputs, boundary).states.float()

    def types() -> set[torch.dtype]:
        return {parameter.dtype for parameter in recogniser.model.parameters()}

    plain, speedups = states(), Speedups(stack, compiled=False, half=True)
    speedups.boundary_moved(boundary)
    assert types() == {torch.float32, torch.bfloat16}
    assert torch.equal(states(), plain)
    with speedups.measuring():
        assert types() == {torch.float32}
    assert types() == {torch.float32, torch.bfloat16}
    assert all(p.dtype == torch.float32 for _, p in stack.parameters_of(boundary)), "what learns stays whole"
    speedups.restore()
    after = weights(recogniser.model)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_freed_layers_are_whole_again_when_the_boundary_moves(tone_model: Path) -> None:
    recogniser = load_recogniser(tone_model, device="cpu", compute_type="float32")
    stack, before = recogniser.stack, weights(recogniser.model)
    speedups = Speedups(stack, compiled=False, half=True)
    for boundary in (len(stack) - 1, stack.layers[0]):  # gradual unfreezing: the loop restores in between
        speedups.restore()
        speedups.boundary_moved(boundary)
        for stage in range(boundary, len(stack)):
            assert all(p.dtype == torch.float32 for _, p in stack.parameters_of(stage))
    speedups.restore()
    assert all(torch.equal(before[name], found) for name, found in weights(recogniser.model).items())


@pytest.mark.parametrize("name", ["wav2vec2", "whisper"])
def test_a_frozen_base_in_bfloat16_teaches_lora_what_a_whole_one_does(name: str, tmp_path: Path) -> None:
    place = save_tiny_whisper(tmp_path / name) if name == "whisper" else save_tiny(name, tmp_path / name)
    recogniser = load_recogniser(place, device="cpu", compute_type="float32")
    lora = add_lora(recogniser, LoraSettings(2, 4.0), seed=0)
    for parameter_name, parameter in recogniser.model.named_parameters():
        parameter.requires_grad_(parameter_name in lora.names)
        if "lora_B" in parameter_name:
            torch.nn.init.normal_(parameter)
    waves = [np.random.default_rng(n).normal(0, 0.1, 16_000).astype(np.float32) for n in range(2)]
    labels = recogniser.labels(["a line", "of text"])

    def passes() -> list[torch.Tensor]:
        recogniser.model.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16):
            losses = recogniser.losses(recogniser.inputs(waves), 0, labels)
        losses.sum().backward()
        named = recogniser.model.named_parameters()
        return [losses.detach(), *(p.grad.clone() for n, p in named if n in lora.names)]

    plain, before = passes(), weights(recogniser.model)
    speedups = Speedups(recogniser.stack, compiled=False, half=True)
    speedups.boundary_moved(0)
    rounded = [n for n, p in recogniser.model.named_parameters() if p.dtype == torch.bfloat16]
    assert rounded and not lora.names.intersection(rounded)
    assert all(torch.equal(one, other) for one, other in zip(passes(), plain, strict=True))
    speedups.restore()
    assert all(torch.equal(before[n], p) for n, p in weights(recogniser.model).items())


def test_doras_base_stays_whole_because_its_norms_are_taken(tmp_path: Path) -> None:
    recogniser = load_recogniser(save_tiny("wav2vec2", tmp_path / "tiny"), device="cpu")
    lora = add_lora(recogniser, LoraSettings(2, 4.0, dora=True), seed=0)
    for name, parameter in recogniser.model.named_parameters():
        parameter.requires_grad_(name in lora.names)
    Speedups(recogniser.stack, compiled=False, half=True).boundary_moved(0)
    adapted = [n for n, p in recogniser.model.named_parameters() if "base_layer" in n]
    assert adapted and all(recogniser.model.get_parameter(n).dtype == torch.float32 for n in adapted)
