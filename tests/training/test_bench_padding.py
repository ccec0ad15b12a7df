"""The padding benchmark's script: every way takes every row within one budget, and the figures are right."""

from __future__ import annotations

import numpy as np
import pytest

from asr_adapt.training.data.batches import BatchLimits
from tests.benchmark_scripts import script


@pytest.fixture(scope="module")
def bench():
    with script("bench_padding") as found:
        yield found


def test_batches_in_any_order_are_full_and_within_the_budget(bench):
    lengths = np.random.default_rng(0).uniform(0.5, 12.0, 300)
    limits = BatchLimits(40.0)
    order = np.random.default_rng(1).permutation(300)
    batches = bench.fill(order, lengths, limits)
    assert [row for batch in batches for row in batch] == order.tolist()
    for batch, following in zip(batches, [*batches[1:], None], strict=True):
        assert limits.cost(lengths[batch]).max() * len(batch) <= 40.0
        if following:
            fuller = [*batch, following[0]]
            assert limits.cost(lengths[fuller]).max() * len(fuller) > 40.0


def test_sorted_pads_least_ours_little_random_most(bench):
    lengths = bench.lognormal(seed=3, rows=3_000)
    assert lengths.mean() == pytest.approx(5.8, rel=0.05)
    random, by_length, ours = bench.compare(lengths, seed=3, epochs=2)
    assert by_length.padding < ours.padding <= 0.03 < 0.3 < random.padding
    assert [row.epochs_differ for row in (random, by_length, ours)] == [True, False, True]
    assert all(row.computed > row.padding for row in (random, by_length, ours))


def test_rounded_padding_counts_the_last_step(bench):
    assert bench.rounded_padding(np.array([0.32, 0.16]), [[0], [1]]) == pytest.approx(0.25)
