"""The memory plan: what is counted is what is held, and the rows that fit follow from it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from asr_adapt.errors import RecipeError
from asr_adapt.training import adapt, build_recipe
from asr_adapt.training.device.live_bytes import LiveBytes
from asr_adapt.training.device.memory import DeviceMemory
from asr_adapt.training.device.memory_plan import CONTEXT, MemoryPlan, StepBytes, count_step
from asr_adapt.training.recipe.file import load_recipe


class Net(torch.nn.Module):
    """Frames of four numbers through two maps; hidden states are 64 wide."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = torch.nn.Linear(4, 64), torch.nn.Linear(64, 1)

    def loss(self, rows: int, seconds: float) -> torch.Tensor:
        frames = torch.ones(rows, int(seconds * 1000), 4)
        return torch.relu(self.first(frames)).matmul(self.second.weight.T).sum()


def test_a_step_that_was_not_counted_holds_what_the_plan_says() -> None:
    net = Net()
    step = count_step(net.loss, net, 1.0, 4.0)
    for rows, seconds in ((3, 2.0), (8, 4.0), (2, 1.0)):
        with LiveBytes() as live:
            net.loss(rows, seconds).backward()
        net.zero_grad(set_to_none=True)
        assert step(rows, seconds) == pytest.approx(live.peak, rel=0.02)
    assert step(1, 1.0) > 64 * 1000 * 4  # at least the hidden states


def test_gradients_that_outweigh_a_few_clips_do_not_hide_what_a_clip_takes() -> None:
    net = Net()
    net.second = torch.nn.Linear(64, 20_000)  # 5 MB of gradients, against 0.3 MB that a short clip holds

    def loss(rows: int, seconds: float) -> torch.Tensor:
        hidden = torch.relu(net.first(torch.ones(rows, int(seconds * 1000), 4)))
        return net.second(hidden.mean(1)).sum()

    step = count_step(loss, net, 1.0, 2.0)
    with LiveBytes() as live:
        loss(64, 2.0).backward()
    gradients = sum(4 * p.numel() for p in net.parameters())
    assert 0.98 * live.peak <= step(64, 2.0) <= live.peak + gradients
    assert step.second >= 64 * 1000 * 4  # the hidden states at least


def test_rows_are_the_most_that_fit() -> None:
    plan = MemoryPlan(weights=4e9, moments=8e9, update=4e9, measured=4e9, step=StepBytes(5e9, 1e8, 1e7))
    assert plan.needed(1, 10.0) == pytest.approx(8e9 + 4e9 + 9e9)  # the optimiser's update is the peak
    for memory in (22e9, 24e9, 80e9):
        rows = plan.rows(memory, 10.0, overhead=False)
        assert plan.needed(rows, 10.0) <= memory
        assert rows == 1 or plan.needed(rows + 1, 10.0) > memory
    assert plan.rows(20e9, 10.0, overhead=False) == 0
    assert plan.rows(22e9, 10.0) < plan.rows(22e9, 10.0, overhead=False)
    assert plan.rows(CONTEXT, 10.0) == 0


def test_a_frozen_base_needs_no_gradients_and_half_weights_are_half() -> None:
    net, zero = Net(), StepBytes(0.0, 0.0, 0.0)
    whole = MemoryPlan.of(net, zero)
    count = sum(p.numel() for p in net.parameters())
    assert (whole.weights, whole.moments) == (4 * count, 8 * count)
    net.first.requires_grad_(False)
    net.first.weight.data = net.first.weight.data.bfloat16()
    frozen = MemoryPlan.of(net, zero)
    assert frozen.moments == 8 * sum(p.numel() for p in net.second.parameters())
    assert frozen.weights == whole.weights - 2 * net.first.weight.numel()
    assert frozen.measured == whole.weights
    assert np.isfinite(frozen.needed(4, 10.0))


def test_the_default_batch_is_cut_to_what_fits_and_the_step_stays_the_same(
    tree: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    steps = {}
    for name, limit in {"ample": 10**10, "scant": 3_000_000}.items():
        recipe = build_recipe(tree | {"batch": {}, "schedule": {"steps": 2}, "evaluation": {"every": 2}})
        memory = DeviceMemory(torch.device("cpu"), limit)
        summary = adapt(recipe, tmp_path / name, quiet=True, memory=memory).summary()
        carried = load_recipe(tmp_path / name / "recipe.yaml").batch
        lines = map(json.loads, (tmp_path / name / "metrics.jsonl").read_text().splitlines())
        steps[name] = [line for line in lines if line["kind"] == "step"]
        told = [record for record in caplog.records if "usual" in record.message]
        if name == "ample":
            assert (carried.seconds, carried.accumulate, told) == (80.0, 1, [])
            continue
        assert carried.seconds < 80.0 and carried.accumulate > 1 and len(told) == 1
        assert summary["batch_size"]["origin"] == "memory"
    assert len(steps["scant"]) == 2
    with pytest.raises(RecipeError, match="one clip of"):
        adapt(recipe, tmp_path / "none", quiet=True, memory=DeviceMemory(torch.device("cpu"), 1000))
