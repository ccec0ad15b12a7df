"""Gradual unfreezing: phases and rates as tables, and whole runs across several unfreezings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from asr_adapt.models import Recogniser, load_recogniser
from asr_adapt.training import adapt, build_recipe
from asr_adapt.training.learning.strategies import gradual_stages, learning_plan
from asr_adapt.training.learning.unfreezing import Unfreezing
from asr_adapt.training.progress import Progress
from asr_adapt.training.recipe.strategy import Gradual, Strategy
from tests.models.architectures import save_tiny

from .conftest import interrupted, unequal_weights


@pytest.fixture(scope="module")
def three_layers(tmp_path_factory: pytest.TempPathFactory) -> Recogniser:
    return load_recogniser(save_tiny("wav2vec2", tmp_path_factory.mktemp("gradual") / "tiny"), device="cpu")


@pytest.mark.parametrize(
    "settings, lowest",
    [
        ({}, ["head", "layer_2", "layer_1", "layer_0", "embedding"]),
        ({"layers": 2}, ["head", "layer_1", "layer_0", "embedding"]),
        ({"depth": 2}, ["head", "layer_2", "layer_1"]),
        ({"depth": 9, "layers": 9}, ["head", "layer_0"]),
    ],
)
def test_phases_go_from_the_head_down(
    three_layers: Recogniser, settings: dict[str, Any], lowest: list[str]
) -> None:
    stack = three_layers.stack
    phases = gradual_stages(stack, Gradual(**settings))
    assert [stack.stages[phase[0]].name for phase in phases] == lowest
    plan = learning_plan(stack, Strategy(name="gradual", gradual=Gradual(**settings)))
    for number, phase in enumerate(phases):
        plan.apply(number)
        assert stack.boundary == phase[0]
        assert {stack.stages[-1].name} <= {stack.stage_name(n) for n in stack.trainable_names()}


def test_steps_free_one_phase_after_another_and_warm_its_rate_up(three_layers: Recogniser) -> None:
    gradual = Gradual(every=10, warmup=4, factor=0.5)
    plan = learning_plan(three_layers.stack, Strategy(name="gradual", gradual=gradual))
    unfreezing, progress = Unfreezing(plan, gradual, 100), Progress()
    for step in range(51):
        progress.step = step
        if unfreezing.due(progress):
            unfreezing.begin(progress)
    assert progress.freed == [10, 20, 30, 40] and not unfreezing.due(progress)
    rates = []
    for progress.step in (20, 21, 23, 40):
        rates.append(unfreezing.rate({"phase": 2}, progress))
    assert rates == [0.125, 0.25, 0.5, 0.5]
    assert unfreezing.rate({"phase": 0}, progress) == 1.0
    assert Unfreezing(plan, Gradual(), 80).every == 10


def test_a_plateau_frees_more_instead_of_ending_the_run(three_layers: Recogniser) -> None:
    gradual = Gradual(trigger="plateau", patience=2, depth=1)
    plan = learning_plan(three_layers.stack, Strategy(name="gradual", gradual=gradual))
    unfreezing, progress = Unfreezing(plan, gradual, 100), Progress(step=30, stale_evaluations=1)
    assert not unfreezing.due(progress) and unfreezing.waits(progress)
    progress.stale_evaluations = 2
    unfreezing.begin(progress)
    assert progress.freed == [30] and progress.stale_evaluations == 0
    assert not unfreezing.waits(progress)


def gradual_recipe(tree: dict[str, Any], trigger: str) -> dict[str, Any]:
    """Head, the tones' one layer, what lies below it: three phases."""
    return tree | {
        "strategy": {"name": "gradual", "gradual": {"trigger": trigger, "every": 12, "warmup": 4}},
        "optimiser": {"learning_rate": 1e-3, "gradient_clip": 1.0, "layer_decay": 0.8},
        "schedule": {"steps": 50},
        "evaluation": {"every": 8},
        "batch": {"seconds": 8.0},
        "averaging": {"ema": 0.9},
        "regularisation": {"hidden_dropout": 0.1, "pull": 0.01},
    }


@pytest.mark.parametrize("trigger, step", [("steps", 28), ("plateau", 21)])
def test_resuming_across_an_unfreezing_is_bit_for_bit(
    tree: dict[str, Any], tmp_path: Path, trigger: str, step: int
) -> None:
    recipe = build_recipe(gradual_recipe(tree, trigger))
    adapt(recipe, tmp_path / "whole", quiet=True)
    with interrupted(step):
        adapt(recipe, tmp_path / "killed", quiet=True)
    adapt(recipe, tmp_path / "killed", resume=True, quiet=True)
    assert unequal_weights(tmp_path / "whole", tmp_path / "killed") == []
    lines = [(tmp_path / n / "metrics.jsonl").read_text().splitlines() for n in ("whole", "killed")]
    losses = [[m["loss"] for m in map(json.loads, text) if m["kind"] == "step"] for text in lines]
    assert losses[0] == losses[1] and len(losses[0]) == 50
    freed = [
        json.loads((tmp_path / n / "summary.json").read_text())["unfrozen_at"] for n in ("whole", "killed")
    ]
    assert freed[0] == freed[1] and len(freed[0]) == 2


def test_nothing_below_the_phase_moves_and_adam_keeps_what_it_knew(
    tree: dict[str, Any], muddled_model: Path, tmp_path: Path
) -> None:
    tree = gradual_recipe(tree, "steps") | {"checkpoint_every": 6, "averaging": {}}
    with interrupted(19):
        adapt(build_recipe(tree), tmp_path / "out", quiet=True)
    base = load_file(muddled_model / "model.safetensors")
    stack = load_recogniser(muddled_model, device="cpu").stack

    def moved(step: int) -> set[str]:
        """Stages that differ from the base in the checkpoint of ``step``."""
        stored = load_file(tmp_path / "out" / "checkpoints" / f"step_{step:06d}" / "trainable.safetensors")
        return {stack.stage_name(name) for name in stored if not torch.equal(stored[name], base[name])}

    assert moved(12) == {"head"}
    assert moved(18) == {"head", "layer_0"}
    state = torch.load(tmp_path / "out" / "checkpoints" / "step_000018" / "optimizer.pt", weights_only=True)
    made = {(group["phase"], int(state["state"][i]["step"])) for group in state["param_groups"]
            for i in group["params"] if i in state["state"]}  # fmt: skip
    assert made == {(0, 18), (1, 6)}
