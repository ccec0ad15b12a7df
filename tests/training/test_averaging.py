"""Averages, pull and rate overrides: exact on small networks, resumable and stated in whole runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from asr_adapt.errors import RecipeError
from asr_adapt.models import load_recogniser
from asr_adapt.training import adapt, build_recipe
from asr_adapt.training.learning.averaging import BestAverage, MovingAverage, pull_to_start
from asr_adapt.training.learning.choosing import choose_weights
from asr_adapt.training.learning.rates import matches, rate_overrides
from asr_adapt.training.learning.state import Learning
from asr_adapt.training.learning.strategies import LearningPlan
from asr_adapt.training.learning.unfreezing import Unfreezing
from asr_adapt.training.progress import Progress
from asr_adapt.training.recipe.strategy import Gradual

from .conftest import interrupted, unequal_weights


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2))


def history(*wers: float) -> list[dict[str, Any]]:
    return [{"step": 10 * i, "dev": wer} for i, wer in enumerate(wers)]


def test_the_moving_average_is_the_formula_and_leaves_the_raw_weights(network: nn.Module) -> None:
    average = MovingAverage(network, {"1.weight"}, 0.5)
    start = network[1].weight.detach().clone()
    expected = start.clone()
    for step in (1, 2, 30):
        with torch.no_grad():
            network[1].weight.add_(1.0)
        average.update(step)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * network[1].weight.detach()
    raw = network[1].weight.detach().clone()
    with average.applied():
        torch.testing.assert_close(network[1].weight.detach(), expected)
    assert torch.equal(network[1].weight, raw)
    assert set(average.state()) == {"1.weight"}


def test_a_full_pull_keeps_the_start_and_a_weak_one_stays_nearer(network: nn.Module) -> None:
    start = network[1].weight.detach().clone()

    def trained(pull: float) -> torch.Tensor:
        with torch.no_grad():
            network[1].weight.copy_(start)
        network[0].requires_grad_(False)
        optimiser = torch.optim.AdamW([{"params": [*network.parameters()], "lr": 0.1}], weight_decay=0.0)
        pull_to_start(optimiser, pull)
        for _ in range(5):
            network[1].weight.grad = torch.ones_like(start)
            optimiser.step()
        return (network[1].weight.detach() - start).abs().mean()

    free, weak, full = (trained(pull) for pull in (0.0, 2.0, 10.0))
    assert full == 0.0 < weak < free


def test_the_mean_is_of_the_best_evaluations_and_never_of_the_base(tmp_path: Path) -> None:
    best = BestAverage(tmp_path, 2)
    wers = (0.1, 0.5, 0.3, 0.4, 0.9)
    for last in range(len(wers)):
        best.keep({"w": torch.full((2,), float(last))}, history(*wers[: last + 1]))
    assert best.steps(history(*wers)) == [20, 30]
    best.prune(history(*wers))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step_000020", "step_000030"]
    mean = best.mean(history(*wers))
    assert mean is not None and torch.equal(mean["w"], torch.full((2,), 2.5))
    assert BestAverage(tmp_path, 2).mean(history(0.1, 0.5)) is None
    assert BestAverage(tmp_path, 1).steps(history(*wers)) == []


@pytest.mark.parametrize("wer, best_step, kept", [(0.3, 10, True), (0.31, 10, False), (0.3, 0, False)])
def test_the_mean_is_kept_only_where_it_is_not_worse(
    network: nn.Module, tmp_path: Path, wer: float, best_step: int, kept: bool
) -> None:
    from safetensors.torch import save_file

    optimiser = torch.optim.AdamW(network.parameters())
    plan = LearningPlan(network, [frozenset({"1.weight"})])
    unfreezing = Unfreezing(plan, Gradual(), 100)
    progress = Progress(best_wer=0.3, best_step=best_step, history=history(0.9, 0.3, 0.4))
    average = MovingAverage(network, (), None)
    learning = Learning(network, {"1.weight"}, optimiser, average, unfreezing, progress)
    averages = BestAverage(tmp_path / "candidates", 2)
    for last in (1, 2):
        state = {"1.weight": torch.full((2, 3), float(last))}
        averages.keep(state, history(0.9, 0.3, 0.4)[: last + 1])
    save_file({"1.weight": torch.full((2, 3), 1.0)}, tmp_path / "best.safetensors")
    found = choose_weights(learning, tmp_path / "best.safetensors", averages, lambda: {"dev": wer})
    assert found == {"steps": [10, 20], "dev_wer": wer, "best_single_dev_wer": 0.3, "kept": kept}
    assert float(network[1].weight.detach()[0, 0]) == (1.5 if kept else 1.0)


def test_patterns_are_globs_or_expressions_for_whole_names() -> None:
    names = ("wav2vec2.encoder.layers.1.attention.k_proj.bias", "layer_1")
    for pattern in ("*.k_proj.*", "layer_1", "layer_[0-3]", r".*layers\.\d+\.attention.*", "*bias"):
        assert matches(pattern, names), pattern
    for pattern in ("layer", "k_proj", "layer_1.", "*.weight", "layer_[2-9]"):
        assert not matches(pattern, names), pattern


def test_factors_multiply_and_a_pattern_without_a_match_is_refused(muddled_model: Path) -> None:
    stack = load_recogniser(muddled_model, device="cpu").stack
    learning = stack.names_of(range(stack.layers[0], len(stack)))
    factors = rate_overrides({"layer_0": 0.5, "*.bias": 4.0}, stack, learning)
    layer = "wav2vec2.encoder.layers.0.attention.k_proj"
    assert factors[f"{layer}.weight"] == 0.5 and factors[f"{layer}.bias"] == 2.0
    assert factors["lm_head.weight"] == 1.0
    with pytest.raises(RecipeError, match=r"optimiser\.rates: 'embedding' matches no parameter.*layer_0"):
        rate_overrides({"embedding": 0.5}, stack, learning)


@pytest.fixture
def averaged(tree: dict[str, Any]) -> dict[str, Any]:
    """Everything of this module at once, on all layers."""
    return tree | {
        "strategy": "full",
        "schedule": {"steps": 40},
        "evaluation": {"every": 10},
        "batch": {"seconds": 8.0},
        "optimiser": tree["optimiser"] | {"rates": {"layer_0": 0.5}},
        "averaging": {"ema": 0.9, "best": 3},
        "regularisation": {"pull": 0.1, "hidden_dropout": 0.1},
    }


def test_a_run_resumed_with_averages_and_pull_ends_bit_for_bit(
    averaged: dict[str, Any], tmp_path: Path
) -> None:
    recipe = build_recipe(averaged)
    adapt(recipe, tmp_path / "whole", quiet=True)
    with interrupted(17):
        adapt(recipe, tmp_path / "killed", quiet=True)
    adapt(recipe, tmp_path / "killed", resume=True, quiet=True)
    assert unequal_weights(tmp_path / "whole", tmp_path / "killed") == []
    summaries = [json.loads((tmp_path / n / "summary.json").read_text()) for n in ("whole", "killed")]
    assert summaries[0]["averaging"] == summaries[1]["averaging"]
    assert len(summaries[0]["averaging"]["steps"]) == 3


def test_the_saved_weights_are_the_moving_average(tree: dict[str, Any], tmp_path: Path) -> None:
    tree |= {"schedule": {"steps": 40, "kind": "constant"}, "evaluation": {"every": 40}}
    for name, averaging in (("average", {"ema": 0.95}), ("raw", {})):
        adapt(build_recipe(tree | {"averaging": averaging}), tmp_path / name, quiet=True)
    folders = (Path(tree["model"]), tmp_path / "average", tmp_path / "raw")
    base, average, raw = (load_file(folder / "model.safetensors")["lm_head.weight"] for folder in folders)
    assert 0 < (average - base).norm() < (raw - base).norm()


def test_a_ctc_model_refuses_label_smoothing(tree: dict[str, Any], tmp_path: Path) -> None:
    recipe = build_recipe(tree | {"regularisation": {"label_smoothing": 0.1}})
    with pytest.raises(RecipeError, match=r"regularisation\.label_smoothing: the ctc family"):
        adapt(recipe, tmp_path / "out", quiet=True)
