"""Blending: exact ends, a choice within the budget, a plain directory as the result."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from asr_adapt.cli.app import run
from asr_adapt.errors import UsageError
from asr_adapt.models import Recogniser
from asr_adapt.training.blending import Budget, sweep, weights_of


def call(*arguments: object) -> int:
    return run(["blend", *map(str, arguments)])


def test_the_sweep_finds_the_better_end_and_writes_it(
    muddled_model: Path, tone_model: Path, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sets = ["--target", corpus / "dev.jsonl", "--guard", corpus / "guard.jsonl"]
    out = tmp_path / "blend"
    assert call(muddled_model, tone_model, *sets, "--points", 3, "-o", out, "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    assert [p["share"] for p in printed["points"]] == [0.0, 0.5, 1.0]
    assert printed["points"][0]["target"] > 0.9 and printed["points"][-1]["target"] == 0.0
    assert printed["chosen"]["target"] == 0.0
    assert json.loads((out / "blend.json").read_text(encoding="utf-8"))["chosen"] == printed["chosen"]
    assert Recogniser.load(out, device="cpu").sample_rate == 16_000
    assert call(muddled_model, tone_model, *sets, "--points", 2, "-o", out) == 2
    assert "not empty" in capsys.readouterr().err


def test_a_model_that_spoils_the_guard_is_over_budget(
    muddled_model: Path, tone_model: Path, corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sets = ["--target", corpus / "dev.jsonl", "--guard", corpus / "guard.jsonl"]
    assert call(tone_model, muddled_model, *sets, "--points", 2) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[1].endswith("<- chosen") and "0.00" in out[1]
    assert out[2].endswith("over budget")


def test_the_ends_of_a_mixture_are_the_models_themselves(muddled_model: Path, tone_model: Path) -> None:
    base, adapted = (Recogniser.load(m, device="cpu") for m in (tone_model, muddled_model))
    weights = weights_of(base), weights_of(adapted)
    for want, wers in ((0, {0.0: (0.1, 0.1), 1.0: (0.5, 0.1)}), (1, {0.0: (0.5, 0.1), 1.0: (0.2, 0.1)})):
        answers = iter(wers.values())
        blend = sweep(adapted, weights, lambda answers=answers: next(answers), Budget(0.1), [0.0, 1.0])
        assert blend.chosen.share == float(want)
        now = weights_of(adapted)
        assert all(torch.equal(now[name], weights[want][name]) for name in now)


def test_models_of_other_shape_are_refused(
    tone_model: Path, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tests.models.architectures import save_tiny

    other = save_tiny("wav2vec2", tmp_path / "tiny")
    sets = ["--target", corpus / "dev.jsonl", "--guard", corpus / "guard.jsonl"]
    assert call(tone_model, other, *sets) == 3
    assert "only a model adapted from the base" in capsys.readouterr().err


@given(st.floats(0, 1), st.floats(0, 2), st.floats(0, 1))
def test_budgets_allow_the_base_itself_and_nothing_above_their_limit(
    base: float, rise: float, value: float
) -> None:
    for budget, limit in ((Budget(value, True), base + value), (Budget(value), base * (1 + value))):
        assert budget.allows(base, base)
        assert budget.allows(base + rise, base) == (base + rise <= limit + 1e-12)


@pytest.mark.parametrize("text", ["", "ten", "-1%", "-0.1"])
def test_a_budget_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="neither a share"):
        Budget.parse(text)
