"""The memory plan: what is counted is what is held, and the rows that fit follow from it."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from asr_adapt.errors import RecipeError
from asr_adapt.training import adapt, build_recipe
from asr_adapt.training.device import room
from asr_adapt.training.device.live_bytes import LiveBytes
from asr_adapt.training.device.memory import DeviceMemory
from asr_adapt.training.device.memory_plan import (
    CONTEXT,
    NOTHING,
    MemoryPlan,
    Operation,
    StepBytes,
    count_step,
)
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
    step, _ = count_step(net.loss, net, 1.0, 4.0)
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

    step, again = count_step(loss, net, 1.0, 2.0)
    gradients = sum(4 * p.numel() for p in net.parameters())
    for rows in (1, 8, 64):
        with LiveBytes() as first:
            loss(rows, 2.0).backward()
        with LiveBytes() as second:  # the gradients of the first stay
            loss(rows, 2.0).backward()
        net.zero_grad(set_to_none=True)
        assert step(rows, 2.0) == pytest.approx(first.peak, rel=0.001)
        assert again(rows, 2.0) == pytest.approx(gradients + second.peak, rel=0.001)
        assert step.at(2.0)(rows, 2.0) == step(rows, 2.0)


def test_what_is_done_for_each_row_in_turn_is_there_once() -> None:
    net = Net()

    def loss(rows: int, seconds: float) -> torch.Tensor:
        with torch.no_grad():  # a front end that takes rows of different lengths one by one
            fronts = [torch.relu(torch.ones(int(seconds * 50_000), 16)).mean(0)[:4] for _ in range(rows)]
        return torch.relu(net.first(torch.stack(fronts).repeat(50, 1))).matmul(net.second.weight.T).sum()

    step, _ = count_step(loss, net, 1.0, 2.0)
    for rows, seconds in ((1, 2.0), (5, 1.0), (20, 2.0)):
        with LiveBytes() as live:
            loss(rows, seconds).backward()
        net.zero_grad(set_to_none=True)
        assert step(rows, seconds) == pytest.approx(live.peak, rel=0.02)
    assert step(20, 2.0) < 2 * step(1, 2.0)


def test_rows_are_the_most_that_fit() -> None:
    step = StepBytes((Operation(5e9, 0.0, 1e7, 0.0), Operation(1e9, 1e7, 1e8, 1e7)))
    again = StepBytes((Operation(5.8e9, 2e7, 2e8, 1e7),))
    plan = MemoryPlan(weights=4e9, moments=8e9, measured=4e9, step=step, again=again)
    assert plan.needed(1, 10.0, accumulate=False) == pytest.approx(8e9 + 4e9 + 5.01e9)  # gradients
    assert plan.needed(1, 10.0) == pytest.approx(8e9 + 4e9 + 6.3e9)
    for memory, several in product((19e9, 24e9, 80e9), (False, True)):
        rows = plan.rows(memory, 10.0, overhead=False, accumulate=several)
        assert plan.needed(rows, 10.0, accumulate=several) <= memory
        assert plan.needed(rows + 1, 10.0, accumulate=several) > memory
    assert plan.rows(18e9, 10.0, overhead=False) == 0
    assert plan.rows(18e9, 10.0, overhead=False, accumulate=False) > 0
    assert plan.rows(24e9, 10.0) < plan.rows(24e9, 10.0, overhead=False)
    assert plan.rows(CONTEXT, 10.0) == 0


def test_a_frozen_base_needs_no_gradients_and_half_weights_are_half() -> None:
    net = Net()
    whole = MemoryPlan.of(net, NOTHING)
    count = sum(p.numel() for p in net.parameters())
    assert (whole.weights, whole.moments) == (4 * count, 8 * count)
    net.first.requires_grad_(False)
    net.first.weight.data = net.first.weight.data.bfloat16()
    frozen = MemoryPlan.of(net, NOTHING)
    assert frozen.moments == 8 * sum(p.numel() for p in net.second.parameters())
    assert frozen.weights == whole.weights - 2 * net.first.weight.numel()
    assert frozen.measured == whole.weights
    assert np.isfinite(frozen.needed(4, 10.0))


def test_the_default_batch_is_cut_to_what_fits_and_the_step_stays_the_same(
    tree: dict[str, Any],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
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
    tried: list[float] = []

    def full(loss: Any, model: Any, short: float, long: float) -> Any:
        tried.append(long)
        if len(tried) != 2:  # a GPU that holds two clips of half the length
            raise torch.cuda.OutOfMemoryError
        return count_step(loss, model, short, long)

    monkeypatch.setattr(room, "count_step", full)
    adapt(recipe, tmp_path / "halves", quiet=True, memory=DeviceMemory(torch.device("cpu"), 10**10))
    assert tried == [tried[0], tried[0] / 2]
    with pytest.raises(RecipeError, match="two clips of"):
        adapt(recipe, tmp_path / "none", quiet=True, memory=DeviceMemory(torch.device("cpu"), 10**10))
    monkeypatch.undo()
    with pytest.raises(RecipeError, match="one clip of"):
        adapt(recipe, tmp_path / "none", quiet=True, memory=DeviceMemory(torch.device("cpu"), 1000))
