"""The memory plan: what is counted is what is held, and the rows that fit follow from it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from asr_adapt.training.device.live_bytes import LiveBytes
from asr_adapt.training.device.memory_plan import CONTEXT, MemoryPlan, StepBytes, count_step


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
