"""The law of learning curves on data that follow it, and on data that cannot say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr_adapt.scoring.bootstrap import speaker_blocks
from asr_adapt.training.curve.power_law import extrapolate, fit_power_laws

HOURS = np.array([0.1, 0.25, 0.5, 1.0])


def errors_for(rates: np.ndarray, speakers: int = 40, rows: int = 10, seed: int = 0) -> tuple:
    """Word errors (sizes, utterances) of ten-word rows at the given rates; speakers differ in difficulty."""
    chance = np.random.default_rng(seed)
    difficulty = np.repeat(chance.lognormal(0, 0.3, speakers), rows)
    difficulty /= difficulty.mean()
    words = np.full(speakers * rows, 10.0)
    noise = chance.random(speakers * rows)  # the same for every size: a paired test
    errors = np.stack([np.floor(np.clip(rate * difficulty, 0, 1) * words + noise) for rate in rates])
    names = [f"s{number}" for number in np.repeat(np.arange(speakers), rows)]
    return errors, words, speaker_blocks(names, len(words))


@given(st.floats(0.0, 0.4), st.floats(0.01, 0.5), st.floats(0.1, 1.5))
def test_an_exact_law_is_found_again(floor: float, scale: float, exponent: float) -> None:
    wers = floor + scale * HOURS**-exponent
    law = fit_power_laws(HOURS, wers[None, :])
    np.testing.assert_allclose(law.wer(HOURS)[0], wers, atol=0.01 * wers.max())
    halfway = float(wers[1] + wers[2]) / 2
    assert 0.2 < law.hours(halfway)[0] < 0.55


def test_enough_test_speech_gives_an_interval_that_holds_the_truth() -> None:
    truth = 0.1 + 0.1 * HOURS**-0.5
    found = extrapolate(HOURS, *errors_for(truth, speakers=200))
    assert found.why_not is None
    need = found.need(0.18)  # 1.5625 hours by the law
    assert need.low is not None and need.high is not None and need.low <= 1.5625 <= need.high
    assert need.low > 1.0 and "there are 1 h" in need.sentence
    middle, low, high = found.band(np.array([2.0]))
    assert low[0] <= 0.1 + 0.1 * 2.0**-0.5 <= high[0] and low[0] <= middle[0] <= high[0]


def test_a_wer_below_the_floor_is_out_of_reach() -> None:
    found = extrapolate(HOURS, *errors_for(0.3 + 0.02 * HOURS**-1.0, speakers=200))
    need = found.need(0.1)
    assert (need.hours, need.low, need.high) == (None, None, None)
    assert "not reachable" in need.sentence


def test_a_noisy_curve_says_at_least_but_not_at_most() -> None:
    rates = np.array([0.50, 0.42, 0.41, 0.36])
    need = extrapolate(HOURS, *errors_for(rates, speakers=12)).need(0.25)
    assert need.low is not None and need.low > 1.0 and need.high is None
    assert "how much at most the data cannot say" in need.sentence


@pytest.mark.parametrize(
    ("hours", "rates", "message"),
    [
        (HOURS[:2], [0.5, 0.4], "at least 3 amounts"),
        (HOURS, [0.40, 0.41, 0.39, 0.40], "does not fall by more than the uncertainty"),
    ],
)
def test_data_that_cannot_say_say_so(hours: np.ndarray, rates: list[float], message: str) -> None:
    found = extrapolate(hours, *errors_for(np.array(rates)))
    assert found.band(hours) is None and found.to_json()["fit"] is None
    assert message in found.need(0.3).sentence and found.need(0.3).hours is None
    assert len(found.sizes) == len(hours)
