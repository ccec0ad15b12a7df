"""Rates over time and depth, and the optimisers that use them."""

from __future__ import annotations

import copy
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from asr_adapt.models import Recogniser, load_recogniser
from asr_adapt.training.learning.optimisers import build_optimiser
from asr_adapt.training.learning.schedule import parameter_groups, rate_factor
from asr_adapt.training.learning.strategies import LearningPlan, learning_plan, trainable_stages
from asr_adapt.training.recipe.schema import Optimiser, Schedule, Strategy
from tests.models.architectures import save_tiny

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def recogniser(tmp_path: Path) -> Recogniser:
    return load_recogniser(save_tiny("wav2vec2", tmp_path / "tiny"), device="cpu")


def test_tri_stage_rises_holds_and_decays() -> None:
    schedule = Schedule(steps=100, warmup=0.1, hold=0.4, final=0.05)
    factors = [rate_factor(schedule, step) for step in range(100)]
    assert factors[0] == pytest.approx(0.1) and factors[4] == pytest.approx(0.5)
    assert factors[9:50] == [1.0] * 41
    assert factors[99] == pytest.approx(0.05)
    assert all(a > b for a, b in pairwise(factors[50:]))


@pytest.mark.parametrize("kind, last", [("linear", 0.0), ("cosine", 0.05), ("constant", 1.0)])
def test_other_schedules_end_where_they_should(kind: Any, last: float) -> None:
    schedule = Schedule(steps=50, kind=kind)
    assert rate_factor(schedule, 49) == pytest.approx(last)
    assert max(rate_factor(schedule, step) for step in range(50)) == pytest.approx(1.0)


def names(recogniser: Recogniser, strategy: Strategy) -> list[str]:
    return [recogniser.stack.stages[i].name for i in trainable_stages(recogniser.stack, strategy)]


def test_strategies_are_sets_of_stages(recogniser: Recogniser) -> None:
    assert names(recogniser, Strategy(name="head")) == ["head"]
    assert names(recogniser, Strategy(name="top_layers", top_layers=2)) == [
        "layer_1",
        "layer_2",
        "final_norm",
        "head",
    ]
    assert "embedding" not in names(recogniser, Strategy(name="top_layers", top_layers=99))
    assert names(recogniser, Strategy(name="full"))[0] == "embedding"
    assert names(recogniser, Strategy(name="full", feature_encoder=True))[0] == "feature_encoder"


def test_rates_fall_with_depth_and_norms_are_not_decayed(recogniser: Recogniser) -> None:
    plan = learning_plan(recogniser.stack, Strategy(name="full"))
    settings = Optimiser(learning_rate=1e-3, head_learning_rate=1e-2, layer_decay=0.5)
    groups = parameter_groups(recogniser.stack, plan, settings)
    found = {
        name: group
        for group in groups
        for name, parameter in recogniser.model.named_parameters()
        if any(parameter is p for p in group["params"])
    }
    layer = "wav2vec2.encoder.layers.{}.attention.k_proj.{}"
    assert found["lm_head.weight"]["peak"] == 1e-2
    rates = [found[layer.format(i, "weight")]["peak"] for i in (2, 1, 0)]
    assert rates == pytest.approx([1e-3, 5e-4, 2.5e-4])
    assert found["wav2vec2.feature_projection.projection.weight"]["peak"] == pytest.approx(1.25e-4)
    assert found[layer.format(1, "bias")]["weight_decay"] == 0.0
    assert found[layer.format(1, "weight")]["weight_decay"] == 0.01
    assert found[layer.format(1, "weight")]["matrix"] and not found["lm_head.weight"]["matrix"]


def test_muon_steps_and_resumes(recogniser: Recogniser) -> None:
    everything = recogniser.stack.names_of(range(len(recogniser.stack)))
    plan = LearningPlan(recogniser.model, [everything])
    settings = Optimiser(kind="muon", learning_rate=1e-2)

    def made() -> torch.optim.Optimizer:
        return build_optimiser(parameter_groups(recogniser.stack, plan, settings), settings)

    def step(optimiser: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
        torch.manual_seed(0)
        for parameter in recogniser.model.parameters():
            parameter.grad = torch.randn_like(parameter)
        optimiser.step()
        return {n: p.detach().clone() for n, p in recogniser.model.named_parameters()}

    optimiser = made()
    start = {n: p.detach().clone() for n, p in recogniser.model.named_parameters()}
    first = step(optimiser)
    assert all(not torch.equal(start[name], first[name]) for name in start)
    state = copy.deepcopy(optimiser.state_dict())
    second = step(optimiser)
    with torch.no_grad():
        for name, parameter in recogniser.model.named_parameters():
            parameter.copy_(first[name])
    resumed = made()
    resumed.load_state_dict(state)
    again = step(resumed)
    assert all(torch.equal(second[name], again[name]) for name in second)


def test_the_page_of_recipe_fields_is_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, "scripts/document_recipe.py", "--check"], cwd=ROOT, capture_output=True
    )
    assert done.returncode == 0, done.stderr.decode()
