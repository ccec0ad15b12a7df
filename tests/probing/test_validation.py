"""Cross-validation by speaker on made-up features whose answer is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr_adapt.probing.classifier import LinearProbe
from asr_adapt.probing.run import fit_probe
from asr_adapt.probing.validation import (
    KINDS,
    Judge,
    folds_by_group,
    linear_map,
    make_classifier,
    out_of_fold,
)
from asr_adapt.scoring.bootstrap import speaker_blocks


@given(st.integers(0, 100), st.integers(2, 4))
def test_no_speaker_is_in_two_folds(seed: int, folds: int) -> None:
    chance = np.random.default_rng(seed)
    groups = [f"s{n}" for n in chance.integers(0, 12, 60)]
    labels = np.array([int(group[1:]) % 2 for group in groups])
    fold = folds_by_group(labels, groups, folds, seed)
    assert set(fold) == set(range(folds))
    for group in set(groups):
        assert len({f for f, g in zip(fold, groups, strict=True) if g == group}) == 1


def test_what_identifies_speakers_only_does_not_pass_for_the_label() -> None:
    """Features that name the speaker perfectly say nothing about the accent of an unheard one."""
    chance = np.random.default_rng(0)
    speakers = np.repeat(np.arange(40), 10)
    labels = (np.arange(40) % 2)[speakers]
    features = np.eye(40, dtype=np.float32)[speakers] + chance.normal(0, 0.01, (400, 40)).astype(np.float32)
    groups = [str(number) for number in speakers]
    judge = Judge(labels, speaker_blocks(groups, len(groups)))
    leaky = out_of_fold(features, labels, np.arange(400) % 5, "logistic", 0)
    fair = out_of_fold(features, labels, folds_by_group(labels, groups, 5, 0), "logistic", 0)
    assert judge.figures(leaky).balanced.value > 0.95
    assert judge.figures(fair).balanced.value < 0.7
    assert judge.figures(fair).balanced.low <= 0.5


def test_figures_of_a_known_answer() -> None:
    labels = np.array([0, 0, 0, 0, 0, 0, 1, 1])
    blocks = speaker_blocks(list("abcdefgh"), 8)
    found = Judge(labels, blocks).figures(np.zeros(8, dtype=np.int64))
    assert found.accuracy.value == 0.75 and found.balanced.value == 0.5 and found.recalls == (1.0, 0.0)
    assert found.accuracy.low < 0.75 < found.accuracy.high <= 1.0


def test_the_best_of_many_guesses_is_worth_no_more_than_a_guess() -> None:
    chance = np.random.default_rng(1)
    labels = np.tile([0, 1], 60)
    groups = [str(number) for number in np.repeat(np.arange(60), 2)]
    judge = Judge(labels, speaker_blocks(groups, 120))
    guesses = [chance.integers(0, 2, 120) for _ in range(40)]
    best = max(judge.figures(guess).balanced.value for guess in guesses)
    assert best > 0.56
    assert judge.choice(guesses).value == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("classes", [2, 3])
def test_the_stored_matrix_answers_like_scikit_learn(kind: str, classes: int, tmp_path: Path) -> None:
    chance = np.random.default_rng(2)
    labels = np.arange(90) % classes
    features = (chance.normal(0, 3, (90, 7)) + labels[:, None] * np.arange(7) + 5).astype(np.float32)
    pipeline = make_classifier(kind, 0).fit(features, labels)
    answers = fit_probe(features, labels, kind, 0)(features)
    assert [int(a.label) for a in answers] == pipeline.predict(features).tolist()
    (tmp_path / "probe").mkdir()
    turned = replace(
        fit_probe(features, labels, kind, 0), weights=np.asfortranarray(linear_map(pipeline, classes)[0])
    )
    turned.save(tmp_path / "probe")
    assert LinearProbe.load(tmp_path / "probe")(features) == answers
    if kind == "logistic":
        want = pipeline.predict_proba(features).max(1)
        np.testing.assert_allclose([a.probability for a in answers], want, rtol=1e-6)
    else:
        assert {a.probability for a in answers} == {None}


def test_an_unknown_classifier_is_refused() -> None:
    with pytest.raises(ValueError, match="logistic, svm"):
        make_classifier("forest")
