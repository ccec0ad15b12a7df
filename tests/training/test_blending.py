"""Blending: exact ends, a choice within the budget, a plain directory as the result."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from asr_adapt.cli.app import run
from asr_adapt.errors import UsageError
from asr_adapt.models import load_recogniser
from asr_adapt.scoring.rise import Rise, parse_rise
from asr_adapt.training.retention.blending import Mixer, sweep, weights_of


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
    assert load_recogniser(out, device="cpu").sample_rate == 16_000
    assert call(muddled_model, tone_model, *sets, "--points", 2, "-o", out) == 2
    assert "not empty" in capsys.readouterr().err


def test_a_model_that_spoils_the_guard_is_over_budget(
    muddled_model: Path, tone_model: Path, corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sets = ["--target", corpus / "dev.jsonl", "--guard", corpus / "guard.jsonl"]
    assert call(tone_model, muddled_model, *sets, "--points", 2) == 0
    out = capsys.readouterr().out.splitlines()
    points = {float(line.split()[0]): line for line in out[1:5]}
    assert list(points) == sorted(points) and {0.0, 1.0} < points.keys()
    assert points[1.0].endswith("over budget")
    chosen = [share for share, line in points.items() if line.endswith("<- chosen")]
    assert len(chosen) == 1 and chosen[0] < 1.0


def test_the_ends_of_a_mixture_are_the_models_themselves(muddled_model: Path, tone_model: Path) -> None:
    base, adapted = (load_recogniser(m, device="cpu") for m in (tone_model, muddled_model))
    weights = weights_of(base), weights_of(adapted)
    for want, wers in ((0, {0.0: (0.1, 0.1), 1.0: (0.5, 0.1)}), (1, {0.0: (0.5, 0.1), 1.0: (0.2, 0.1)})):
        answers = iter(wers.values())
        mixer = Mixer(adapted, *weights)
        blend = sweep(mixer, lambda answers=answers: next(answers), Rise(0.1, relative=True), [0.0, 1.0])
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
    for budget, limit in ((Rise(value), base + value), (Rise(value, relative=True), base * (1 + value))):
        assert budget.allows(base, base)
        assert budget.allows(base + rise, base) == (base + rise <= limit + 1e-12)


@pytest.mark.parametrize("text", ["", "ten", "-1%", "-0.1", "0.01 or 10%", "0.02 or 0.01", "10% or"])
def test_a_budget_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"budget.*is not a rise"):
        parse_rise(text, place="budget")


def test_equal_heads_of_other_letters_are_refused(
    tone_model: Path, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(tone_model, tmp_path / "turned")
    table = tmp_path / "turned" / "vocab.json"
    vocabulary = json.loads(table.read_text(encoding="utf-8"))
    vocabulary["a"], vocabulary["b"] = vocabulary["b"], vocabulary["a"]
    table.write_text(json.dumps(vocabulary), encoding="utf-8")
    sets = ["--target", corpus / "dev.jsonl", "--guard", corpus / "guard.jsonl"]
    assert call(tone_model, tmp_path / "turned", *sets) == 3
    assert "differ in their vocabulary" in capsys.readouterr().err


def test_groups_of_layers_get_shares_of_their_own_where_it_helps(tmp_path: Path) -> None:
    """The top layers help the target, the bottom ones spoil the guard: no common share is as good."""
    from tests.models.architectures import save_tiny

    recogniser = load_recogniser(save_tiny("wav2vec2", tmp_path / "tiny"), device="cpu")
    base = weights_of(recogniser)
    adapted = {name: value + 1.0 for name, value in base.items()}
    mixer = Mixer(recogniser, base, adapted, groups=2)
    assert [group.name for group in mixer.groups] == ["feature_encoder–layer_1", "layer_2–head"]

    def measure() -> tuple[float, float]:
        now = weights_of(recogniser)
        bottom, top = (
            float((now[name] - base[name]).mean())
            for name in ("wav2vec2.feature_projection.projection.weight", "lm_head.weight")
        )
        return 0.5 - 0.3 * top - 0.1 * bottom, 0.1 + 0.2 * bottom

    blend = sweep(mixer, measure, Rise(0.05), [0.0, 0.25, 0.5, 0.75, 1.0])
    common = min(p.target for p in blend.points if p.within and not p.shares)
    assert common == pytest.approx(0.4, abs=1e-3)
    assert blend.chosen.shares == (0.25, 1.0)
    assert blend.chosen.target == pytest.approx(0.175, abs=1e-3) and blend.chosen.within
    now = weights_of(recogniser)
    assert torch.equal(now["lm_head.weight"], adapted["lm_head.weight"])
    assert blend.to_json()["groups"] == ["feature_encoder–layer_1", "layer_2–head"]


def test_only_what_changed_is_grouped_and_mixed(muddled_model: Path, tone_model: Path) -> None:
    base, adapted = (load_recogniser(m, device="cpu") for m in (tone_model, muddled_model))
    mixer = Mixer(adapted, weights_of(base), weights_of(adapted), groups=3)
    assert mixer.changed == {"lm_head.weight"}
    assert [group.name for group in mixer.groups] == ["head"]


@given(st.floats(0, 1))
def test_a_budget_with_two_parts_allows_the_larger(base: float) -> None:
    budget = parse_rise("10% or 0.01")
    assert budget.limit(base) == pytest.approx(max(base * 1.1, base + 0.01))


@pytest.mark.parametrize("text", ["10", "10% or 5"])
def test_points_above_a_whole_are_taken_for_a_slip(text: str) -> None:
    with pytest.raises(UsageError, match="did you mean"):
        parse_rise(text, place="budget")
