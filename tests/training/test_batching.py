"""Batches as properties: every row once, within the budget, the same again, with the share replayed."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_adapt.training.data.batches import BatchLimits, BatchPlan, Position

durations = st.lists(st.floats(0.1, 30.0), min_size=1, max_size=200).map(np.array)


@given(durations, st.floats(5.0, 100.0), st.integers(0, 5), st.integers(0, 3))
@settings(max_examples=100, deadline=None)
def test_every_row_once_within_the_budget(lengths: np.ndarray, budget: float, seed: int, epoch: int) -> None:
    limits = BatchLimits(budget)
    batches = BatchPlan(lengths, limits, seed=seed).epoch(epoch)
    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
    for batch in batches:
        cost = float(limits.cost(lengths[batch]).max()) * len(batch)
        assert cost <= budget + 1e-9 or len(batch) == 1


@given(durations, st.integers(0, 5))
@settings(max_examples=50, deadline=None)
def test_resuming_at_any_position_continues_the_stream(lengths: np.ndarray, seed: int) -> None:
    plan = BatchPlan(lengths, BatchLimits(40.0), seed=seed)
    whole = list(islice(plan.stream(Position()), 12))
    for cut in (1, 5, 11):
        position, _ = whole[cut - 1]
        again = list(islice(plan.stream(Position(position.epoch, position.batch + 1)), 12 - cut))
        assert [rows for _, rows in again] == [rows for _, rows in whole[cut:]]


@pytest.mark.parametrize("share", [0.2, 0.5])
def test_replayed_rows_have_their_share(share: float) -> None:
    random = np.random.default_rng(0)
    target, old = random.uniform(1, 6, 400), random.uniform(1, 6, 300)
    plan = BatchPlan(target, BatchLimits(60.0), seed=0, replay=old, share=share)
    batches = plan.epoch(0)
    replayed = sum(row >= len(target) for batch in batches for row in batch)
    assert replayed / sum(map(len, batches)) == pytest.approx(share, abs=0.05)
    assert {row for batch in batches for row in batch if row < len(target)} == set(range(len(target)))
    lengths = np.concatenate([target, old])
    padded = [len(b) * lengths[b].max() for b in batches]
    assert max(padded) < 60.0 * 1.2


def test_padding_is_small_where_random_batches_waste_half() -> None:
    random = np.random.default_rng(0)
    lengths = np.clip(random.lognormal(1.6, 0.55, 5_000), 0.5, 30.0)
    plan = BatchPlan(lengths, BatchLimits(160.0), seed=0)
    batches = plan.epoch(1)
    assert plan.padding(batches) <= 0.03
    shuffled = random.permutation(len(lengths))
    wasteful = [shuffled[i : i + 16].tolist() for i in range(0, len(lengths), 16)]
    assert plan.padding(wasteful) > 0.4


def test_epochs_differ_and_seeds_repeat() -> None:
    lengths = np.random.default_rng(0).uniform(1, 9, 200)
    plan, same = (BatchPlan(lengths, BatchLimits(50.0), seed=3) for _ in range(2))
    assert plan.epoch(0) == same.epoch(0) != plan.epoch(1)
    assert plan.epoch(0) != BatchPlan(lengths, BatchLimits(50.0), seed=4).epoch(0)
