"""Intervals and tests on small cases whose answer is known."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr_adapt.scoring.bootstrap import (
    Blocks,
    effective_blocks,
    resampled_sums,
    speaker_blocks,
    wer_interval,
)
from asr_adapt.scoring.paired import PairedErrors, holm, paired_difference, swap_test, verdict


def test_speakers_are_blocks_and_unknown_ones_stand_alone():
    blocks = speaker_blocks(["a", "b", "a", None, None, "c", "d", "e"], 8)
    assert blocks.unit == "speaker"
    assert blocks.count == 7
    assert blocks.index[0] == blocks.index[2]
    assert blocks.index[3] != blocks.index[4]


@pytest.mark.parametrize("speakers", [None, [None] * 8, ["a"] * 4 + ["b"] * 4])
def test_too_few_speakers_fall_back_to_utterances(speakers):
    assert speaker_blocks(speakers, 8).unit == "utterance"
    assert speaker_blocks(speakers, 8).count == 8


def test_resampled_sums_are_sums_of_drawn_blocks():
    sums = np.array([[1.0, 10.0], [2.0, 20.0], [4.0, 40.0]])
    drawn = resampled_sums(sums, replicates=500, generator=np.random.default_rng(0))
    possible = {sum(c) for c in itertools.combinations_with_replacement([1, 2, 4], 3)}
    assert set(drawn[:, 0]) <= possible
    np.testing.assert_allclose(drawn[:, 1], 10 * drawn[:, 0])
    assert drawn[:, 0].mean() == pytest.approx(7, rel=0.1)


def test_many_blocks_are_drawn_in_pieces():
    sums = np.ones((50_000, 2))
    drawn = resampled_sums(sums, replicates=100, generator=np.random.default_rng(0))
    np.testing.assert_allclose(drawn, 50_000)


def test_correlated_speakers_widen_the_interval():
    generator = np.random.default_rng(0)
    speakers = np.repeat(np.arange(40), 25)
    words = np.full(1000, 10)
    errors = generator.binomial(10, generator.beta(2, 8, 40)[speakers])
    by_speaker = wer_interval(errors, words, Blocks(speakers, 40, "speaker"))
    by_row = wer_interval(errors, words, speaker_blocks(None, 1000))
    assert by_speaker.high - by_speaker.low > 2 * (by_row.high - by_row.low)


def test_effective_blocks():
    assert effective_blocks(np.full(8, 5.0)) == pytest.approx(8)
    assert effective_blocks(np.array([1000.0, 1, 1])) == pytest.approx(1, abs=0.01)


def paired(errors_a, errors_b, words=10):
    errors_a, errors_b = np.array(errors_a), np.array(errors_b)
    both = np.full(len(errors_a), words)
    return PairedErrors(errors_a, both, errors_b, both)


def test_swap_test_is_exact_for_few_blocks():
    pairs = paired([1] * 6, [2] * 6)
    p, p_rise = swap_test(pairs.block_sums(speaker_blocks(None, 6)), generator=np.random.default_rng(0))
    assert p == pytest.approx(2 / 2**6)
    assert p_rise == pytest.approx(1 / 2**6)


def test_identical_systems_show_nothing():
    difference = paired_difference(paired([1, 0, 2] * 10, [1, 0, 2] * 10), speaker_blocks(None, 30))
    assert (difference.delta, difference.p, difference.p_rise, difference.detectable) == (0, 1, 1, 0)
    assert verdict(difference, 1.0, meaningful=0.01) == "no evidence"


def test_verdicts():
    worse = paired_difference(paired([1] * 30, [3] * 30), speaker_blocks(None, 30))
    assert verdict(worse, worse.p, meaningful=0.01) == "worse"
    better = paired_difference(paired([3] * 30, [1] * 30), speaker_blocks(None, 30))
    assert verdict(better, better.p, meaningful=0.01) == "better"
    assert better.delta == pytest.approx(-0.2)
    noisy = paired_difference(paired([0, 5] * 10, [5, 0] * 10), speaker_blocks(None, 20))
    assert verdict(noisy, noisy.p, meaningful=0.01) == "underpowered"
    assert verdict(noisy, noisy.p, meaningful=0.9) == "no evidence"


def test_holm():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_monotone_and_never_below_p(p_values):
    adjusted = holm(p_values)
    assert all(a >= p for a, p in zip(adjusted, p_values, strict=True))
    order = np.argsort(p_values, kind="stable")
    assert list(np.array(adjusted)[order]) == sorted(adjusted)
    assert max(adjusted) <= 1.0
