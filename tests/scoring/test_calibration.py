"""The map of word confidence, its file, and the figures that say how far confidences can be believed."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr_adapt.errors import DataError
from asr_adapt.manifest import Utterance
from asr_adapt.scoring.calibration import Calibration, fit
from asr_adapt.scoring.reliability import (
    calibration_error,
    error_interval,
    held_out,
    judge_words,
    reliability,
)

probabilities = st.lists(st.floats(0, 1), min_size=50, max_size=120)


def overconfident(words: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Confidences near one, of which p⁴ are right."""
    generator = np.random.default_rng(seed)
    given = generator.beta(4, 1, words)
    return given, generator.random(words) < given**4


@given(probabilities, st.integers(0, 2**32 - 1))
def test_any_map_is_monotone_and_within_bounds(values, seed):
    right = np.random.default_rng(seed).random(len(values)) < 0.5
    mapped = fit(np.array(values), right).map(np.sort(values))
    assert np.all(np.diff(mapped) >= 0)
    assert mapped.min() >= 0 and mapped.max() <= 1


@pytest.mark.parametrize("right", [True, False])
def test_words_of_one_kind_give_finite_parameters(right):
    found = fit(np.linspace(0.5, 1, 60), np.full(60, right))
    assert np.isfinite([found.a, found.b, found.c]).all()
    assert (found(0.9) > 0.9) == right


def test_unset_parameters_are_the_identity():
    values = np.linspace(0.001, 0.999, 50)
    assert Calibration().map(values) == pytest.approx(values)


def test_fit_takes_an_overconfident_score_to_its_truth():
    """Fitted on one half, measured on the other; logit p⁴ is in the family up to a small bend."""
    given, right = overconfident(40_000)
    half = len(given) // 2
    found = fit(given[:half], right[:half])
    assert calibration_error(given[half:], right[half:]) > 0.2
    assert calibration_error(found.map(given[half:]), right[half:]) < 0.02
    assert found(0.8) == pytest.approx(0.8**4, abs=0.03)


def test_too_few_words_are_refused():
    with pytest.raises(DataError, match="at least 50"):
        fit(np.full(49, 0.5), np.ones(49, bool))


def test_file_comes_back_and_a_broken_one_is_named(tmp_path):
    path = tmp_path / "c.json"
    given = Calibration(2.0, 0.25, -1.5, "nano-en", "greedy", 60)
    given.write(path, right=0.5)
    assert Calibration.read(path) == given
    assert json.loads(path.read_text())["right"] == 0.5
    for change, field in (
        ({"a": -1}, "a"),
        ({"b": "x"}, "b"),
        ({"c": None}, "c"),
        ({"method": "isotonic"}, "method"),
    ):
        path.write_text(json.dumps(json.loads(path.read_text()) | change))
        with pytest.raises(DataError, match=f"{path.name}: {field}: .*asr-adapt calibrate"):
            Calibration.read(path)
        given.write(path)
    path.write_text("{")
    with pytest.raises(DataError, match="is not JSON"):
        Calibration.read(path)
    with pytest.raises(DataError, match=r"gone\.json"):
        Calibration.read(tmp_path / "gone.json")


def said(text: str, *words: tuple[str, float], speaker: str | None = None) -> Utterance:
    heard = [{"word": word, "start": 0.0, "end": 0.1, "probability": p} for word, p in words]
    return Utterance("a.wav", text=text, speaker=speaker, extra={"words": heard})


def test_words_are_right_where_the_alignment_says_so():
    rows = [
        said("the CAT sat", ("the", 0.9), ("hat", 0.8), ("sat.", 0.7), speaker="x"),
        said("twenty-one days", ("twenty-one", 0.6), ("—", 0.5), ("day", 0.4)),
        said("", ("noise", 0.3), speaker="y"),
        Utterance("b.wav", text="nothing heard"),
    ]
    judged = judge_words(rows)
    assert judged.probabilities.tolist() == [0.9, 0.8, 0.7, 0.6, 0.4, 0.3]
    assert judged.right.tolist() == [True, False, True, True, False, False]
    assert judged.speakers == ("x", "x", "x", "a", "a", "y")


def test_no_rows_are_no_words():
    assert len(judge_words([])) == 0
    assert calibration_error(np.empty(0), np.empty(0, bool)) == 0.0


def test_bins_hold_equally_many_and_the_error_is_their_distance():
    given = np.repeat([0.2, 0.6], 30)
    right = np.repeat([False, True], 30)
    found = reliability(given, right, bins=2)
    assert [(part.words, part.right) for part in found] == [(30, 0.0), (30, 1.0)]
    assert calibration_error(given, right, bins=2) == pytest.approx((0.2 + 0.4) / 2)
    assert sum(part.words for part in reliability(given, right, bins=7)) == 60


def test_left_out_speakers_do_not_teach_their_own_map():
    """One speaker's words are all wrong: maps fitted without that speaker cannot know."""
    given, _ = overconfident(600)
    right = np.repeat([False, True, True, True], 150)
    rows = [
        said("a" if ok else "b", ("a", p), speaker=f"s{n // 150}")
        for n, (p, ok) in enumerate(zip(given, right, strict=True))
    ]
    judged = judge_words(rows)
    assert held_out(judged)[:150].min() > 0.95
    assert fit(judged.probabilities, judged.right).map(judged.probabilities[:150]).max() < 0.9


def test_few_words_of_two_speakers_are_enough_to_leave_one_out():
    given, right = overconfident(60)
    rows = [
        said("a" if ok else "b", ("a", p), speaker=f"s{n % 2}")
        for n, (p, ok) in enumerate(zip(given, right, strict=True))
    ]
    mapped = held_out(judge_words(rows))
    assert len(mapped) == 60 and mapped.min() >= 0 and mapped.max() <= 1


def test_interval_holds_the_estimate_and_is_wider_over_speakers():
    """Speakers that are right or wrong as a whole make the figure less certain than so many words would."""
    given = np.full(800, 0.5)
    right = np.repeat(np.arange(8) % 2 == 0, 100)
    rows = [
        said("a" if ok else "b", ("a", p), speaker=f"s{n // 100}")
        for n, (p, ok) in enumerate(zip(given, right, strict=True))
    ]
    alone = [row.replace(speaker=None, id=str(n)) for n, row in enumerate(rows)]
    widths = []
    for chosen in (rows, alone):
        judged = judge_words(chosen)
        low, high = error_interval(judged, judged.probabilities, bins=1)
        widths.append(high - low)
        assert low <= calibration_error(given, right, bins=1) + 0.05
    assert widths[0] > 3 * widths[1]
