"""LoRA on weights of 8 and 4 bits or on the host, moments in 8 bits: what is learnt, measured and saved."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from asr_adapt import evaluate
from asr_adapt.errors import MissingExtraError, RecipeError
from asr_adapt.manifest import Manifest
from asr_adapt.models import Recogniser, load_recogniser
from asr_adapt.models.compact import CompactLinear
from asr_adapt.models.lora import LoraSettings, add_lora
from asr_adapt.models.stack import LAYER, LayerStack, Stage
from asr_adapt.training import adapt, build_recipe
from asr_adapt.training.device.known_plans import on_bits
from asr_adapt.training.device.memory_plan import NOTHING, MemoryPlan
from asr_adapt.training.device.small_base import SmallBase, frozen_maps
from asr_adapt.training.device.speedups import Speedups
from tests.models.architectures import save_tiny
from tests.models.whisper_models import save_tiny_whisper

from .conftest import interrupted, quick_tree, unequal_weights

#: Root mean square of the error over that of the weights: 8 bits of a row, 4 bits of a block of 64.
ERROR = {"8bit": 0.015, "4bit": 0.12, None: 1e-6}
LORA = {"name": "lora", "lora": {"rank": 4, "alpha": 8.0, "dropout": 0.0}}


@pytest.fixture(autouse=True, scope="module")
def _library() -> None:
    pytest.importorskip("bitsandbytes")


@pytest.mark.parametrize("offload", [False, True], ids=["here", "host"])
@pytest.mark.parametrize("quantise", ["8bit", "4bit", None])
def test_a_small_map_computes_and_hands_back_gradients_as_its_weights_say(
    quantise: Any, offload: bool
) -> None:
    torch.manual_seed(0)
    linear = torch.nn.Linear(96, 48).requires_grad_(False)
    small = CompactLinear(linear, quantise, offload=offload, kind=torch.float32)
    held = {name for name, _ in [*small.named_parameters(), *small.named_buffers()]}
    assert held == ({"bias"} if offload else {"weight", "bias"}), (
        "what stays on the host is not moved with the rest"
    )
    states = torch.randn(2, 5, 96, requires_grad=True)
    found = small(states)
    weights = small.weights(torch.float32, states.device)
    error = (weights - linear.weight).square().mean().sqrt() / linear.weight.square().mean().sqrt()
    assert error < ERROR[quantise] and (quantise is None or error > 1e-4)
    torch.testing.assert_close(found, functional.linear(states, weights, linear.bias))
    gradient = torch.randn_like(found)
    found.backward(gradient)
    torch.testing.assert_close(states.grad, gradient @ weights)
    with torch.autocast("cpu", torch.bfloat16):
        half = small(states)
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), found, rtol=0.02, atol=0.05)


def lora_on(place: Path) -> tuple[Recogniser, frozenset[str]]:
    recogniser = load_recogniser(place, device="cpu", compute_type="float32")
    lora = add_lora(recogniser, LoraSettings(2, 4.0), seed=0)
    for name, parameter in recogniser.model.named_parameters():
        parameter.requires_grad_(name in lora.names)
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    return recogniser, lora.names


@pytest.mark.parametrize("quantise", ["8bit", "4bit"])
@pytest.mark.parametrize("name", ["wav2vec2", "whisper"])
def test_losses_are_near_those_of_the_whole_base_and_everything_comes_back(
    name: str, quantise: Any, tmp_path: Path
) -> None:
    place = save_tiny_whisper(tmp_path / name) if name == "whisper" else save_tiny(name, tmp_path / name)
    recogniser, learning = lora_on(place)
    before = {n: p.detach().clone() for n, p in recogniser.model.named_parameters()}
    waves = [np.random.default_rng(n).normal(0, 0.1, 16_000).astype(np.float32) for n in range(2)]
    labels = recogniser.labels(["a line", "of text"])

    def losses() -> torch.Tensor:
        return recogniser.losses(recogniser.inputs(waves), 0, labels)

    plain, small = losses().detach(), SmallBase(recogniser.stack, quantise, offload=False, kind=torch.float32)
    small.boundary_moved(0)
    maps = [m for m in recogniser.model.modules() if isinstance(m, CompactLinear)]
    assert len(maps) == len({m.original for m in maps}) > 0 == len(list(frozen_maps(recogniser.stack, 0)))
    found = losses()
    found.sum().backward()
    assert not torch.equal(found, plain)
    torch.testing.assert_close(found, plain, rtol=0.05 if quantise == "4bit" else 0.01, atol=0.0)
    named = dict(recogniser.model.named_parameters())
    assert all(named[n].grad is not None and named[n].grad.isfinite().all() for n in learning)
    with small.measuring():
        assert torch.equal(losses(), plain), "what is measured is the network with its own weights"
    assert torch.equal(losses(), found)
    small.restore()
    after = dict(recogniser.model.named_parameters())
    assert before.keys() == after.keys() and all(torch.equal(before[n], after[n]) for n in before)


def test_the_plan_counts_bits_scales_moments_and_what_waits_on_the_host(tmp_path: Path) -> None:
    recogniser, _ = lora_on(save_tiny("wav2vec2", tmp_path / "tiny"))
    sizes = {}
    whole = MemoryPlan.of(recogniser.model, NOTHING)
    numbers = sum(linear.weight.numel() for _, linear in frozen_maps(recogniser.stack, 0))
    for quantise in ("8bit", "4bit"):
        for offload in (False, True):
            small = SmallBase(recogniser.stack, quantise, offload=offload, kind=torch.float32)
            small.boundary_moved(0)
            plan = MemoryPlan.of(recogniser.model, NOTHING)
            assert (plan.moments, plan.measured) == (whole.moments, whole.weights)
            scales = sum(m.scale_bytes for m in recogniser.model.modules() if isinstance(m, CompactLinear))
            sizes[quantise, offload] = whole.weights - plan.weights + scales
            small.restore()
    assert sizes["8bit", False] == 3 * numbers and sizes["4bit", False] == 3.5 * numbers
    assert sizes["8bit", True] == sizes["4bit", True] == 4 * numbers
    wide = torch.nn.Linear(64, 64, bias=False)
    assert MemoryPlan.of(wide, NOTHING, eight_bit=True).moments == 2 * 4096 * (1 + 4 / 256)
    assert MemoryPlan.of(torch.nn.Linear(64, 63, bias=False), NOTHING, eight_bit=True).moments == 8 * 64 * 63


@pytest.mark.parametrize("quantise", ["8bit", "4bit"])
def test_known_plans_on_few_bits_are_those_that_a_run_counts(quantise: Any) -> None:
    class Block(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.up, self.norm = torch.nn.Linear(512, 1024), torch.nn.LayerNorm(1024)
            self.learnt = torch.nn.Linear(1024, 8)

    network = Block()
    stack = LayerStack(network, [Stage("layer_0", LAYER, ("up", "norm", "learnt"))])
    network.requires_grad_(False).learnt.requires_grad_(True)
    half = Speedups(stack, compiled=False, half=True)
    half.boundary_moved(0)
    derived = on_bits(MemoryPlan.of(network, NOTHING), quantise)
    half.restore()
    small = SmallBase(stack, quantise, offload=False, kind=torch.bfloat16)
    small.boundary_moved(0)
    counted = MemoryPlan.of(network, NOTHING)
    assert derived.weights == pytest.approx(counted.weights, rel=0.02)
    assert (derived.moments, derived.measured) == (counted.moments, counted.measured)


def heard(model: Path, corpus: Path) -> list[str]:
    recogniser = load_recogniser(model, device="cpu")
    return evaluate(Manifest.open(corpus / "dev.jsonl"), model=recogniser).hypotheses


@pytest.mark.parametrize("quantise", ["8bit", "4bit"])
def test_a_run_learns_saves_and_reloads_and_a_killed_one_resumes_bit_for_bit(
    tree: dict[str, Any], corpus: Path, muddled_model: Path, tmp_path: Path, quantise: str
) -> None:
    optimiser = tree["optimiser"] | {"kind": "adamw_8bit"}
    recipe = build_recipe(
        tree
        | {"strategy": LORA | {"quantise": quantise}, "optimiser": optimiser}
        | {"schedule": {"steps": 40, "kind": "constant"}}
    )
    summary = adapt(recipe, tmp_path / "whole", quiet=True).summary()
    assert summary["target"]["after"] < summary["target"]["before"]
    lines = [json.loads(line) for line in (tmp_path / "whole" / "metrics.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if line["kind"] == "step"]
    assert np.mean(losses[-5:]) < 0.5 * np.mean(losses[:5])
    texts = heard(tmp_path / "whole", corpus)
    assert texts == heard(tmp_path / "whole" / "adapter", corpus) != heard(muddled_model, corpus)
    with interrupted(11):
        adapt(recipe, tmp_path / "killed", quiet=True)
    adapt(recipe, tmp_path / "killed", resume=True, quiet=True)
    assert unequal_weights(tmp_path / "whole", tmp_path / "killed") == []


def test_whisper_learns_on_four_bits_on_the_host(corpus: Path, tmp_path: Path) -> None:
    place = save_tiny_whisper(tmp_path / "whisper")
    strategy = LORA | {"quantise": "4bit", "offload": True}
    recipe = build_recipe(quick_tree(corpus, place, strategy=strategy, gradient_checkpointing=True))
    adapt(recipe, tmp_path / "out", quiet=True)
    lines = [json.loads(line) for line in (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if line["kind"] == "step"]
    assert losses[-1] < losses[0]
    assert heard(tmp_path / "out", corpus) == heard(tmp_path / "out" / "adapter", corpus)


def test_offloaded_weights_teach_exactly_what_the_others_do(tree: dict[str, Any], tmp_path: Path) -> None:
    for name, offload in {"here": False, "host": True}.items():
        strategy = LORA | {"offload": offload}
        recipe = build_recipe(tree | {"strategy": strategy, "schedule": {"steps": 4}})
        adapt(recipe, tmp_path / name, quiet=True)
    assert unequal_weights(tmp_path / "here", tmp_path / "host") == []


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"strategy": {"name": "full", "quantise": "8bit"}}, "quantise needs name lora or adapters"),
        ({"strategy": {"name": "full", "offload": True}}, "offload needs name lora or adapters"),
        (
            {"strategy": {"name": "lora", "quantise": "4bit", "lora": {"dora": True}}},
            "DoRA needs the weights' norms",
        ),
        ({"strategy": LORA | {"quantise": "8bit"}, "compile": True}, "compile cannot be combined with"),
    ],
)
def test_what_cannot_be_is_refused(tree: dict[str, Any], changed: dict[str, Any], sentence: str) -> None:
    with pytest.raises(RecipeError, match=sentence):
        build_recipe(tree | changed)


@pytest.mark.parametrize(
    "changed",
    [{"strategy": LORA | {"quantise": "8bit"}}, {"optimiser": {"kind": "adamw_8bit"}}],
    ids=["quantise", "adamw_8bit"],
)
def test_without_the_package_one_sentence_says_what_to_install_before_the_work(
    tree: dict[str, Any], changed: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    recipe = build_recipe(tree | {"model": str(tmp_path / "never-looked-at")} | changed)
    with pytest.raises(MissingExtraError, match=r"pip install 'asr-adapt\[small-gpu\]'\.$"):
        adapt(recipe, tmp_path / "out", quiet=True)
