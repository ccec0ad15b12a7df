"""What a recipe leaves out is chosen by the model's kind and size; what it says stays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from asr_adapt.errors import RecipeError
from asr_adapt.models import Capabilities, load_recogniser
from asr_adapt.training import build_recipe
from asr_adapt.training.learning.strategies import learning_plan
from asr_adapt.training.recipe.starting_values import (
    CHOSEN,
    SILENCE,
    TABLE,
    WORDS,
    starting_values,
    with_starting_values,
)
from asr_adapt.training.recipe.strategy import Strategy
from asr_adapt.training.run_folder import changed, plain


class _Sized:
    """Only what the table asks a recogniser for."""

    def __init__(self, millions: float, *, has_decoder: bool) -> None:
        self.capabilities = Capabilities(decoder=has_decoder)
        self.device = torch.device("cpu")
        self.model = nn.ParameterList([nn.Parameter(torch.empty(round(millions * 1e6), device="meta"))])


def recipe(**more: Any) -> Any:
    return build_recipe({"train": "a.jsonl", "dev": "b.jsonl"} | more)


@pytest.mark.parametrize(
    ("millions", "rate"), [(7, 2e-4), (39, 5e-5), (74, 2.5e-5), (244, 1.25e-5), (1550, 6e-6)]
)
def test_a_larger_whisper_learns_more_slowly(millions: float, rate: float) -> None:
    sized: Any = _Sized(millions, has_decoder=True)
    found = with_starting_values(recipe(), sized)
    assert found.optimiser.learning_rate == rate
    assert found.schedule.steps == starting_values(sized).steps
    assert found.retention.guard_budget is None, "nothing to blend for without a guard"


def test_what_the_recipe_says_stays_and_a_guard_brings_a_budget() -> None:
    sized: Any = _Sized(39, has_decoder=True)
    said = recipe(optimiser={"learning_rate": 1e-3}, schedule={"steps": 7}, guard="g.jsonl")
    found = with_starting_values(said, sized)
    assert found.optimiser.learning_rate == 1e-3 and found.schedule.steps == 7
    assert found.retention.guard_budget == "10% or 0.01"
    off = recipe(guard="g.jsonl", retention={"guard_budget": None})
    assert with_starting_values(off, sized).retention.guard_budget is None
    lora = with_starting_values(recipe(strategy="lora"), sized)
    plain = with_starting_values(recipe(), sized)
    assert lora.optimiser.learning_rate == pytest.approx(6 * plain.optimiser.learning_rate)


def test_a_small_whisper_learns_as_a_whole_unless_the_recipe_says_what_learns() -> None:
    tiny, base = (_Sized(millions, has_decoder=True) for millions in (39, 74))
    chosen: list[Any] = [tiny, base]
    assert [with_starting_values(recipe(), one).strategy.name for one in chosen] == ["full", "top_layers"]
    told = with_starting_values(recipe(), chosen[0]).strategy
    assert told.frozen, "an accent has the same words"
    assert not with_starting_values(recipe(decoder={"language": "sw"}), chosen[0]).strategy.frozen
    for said in ("head", {"top_layers": 2}, {"name": "lora"}):
        given = recipe(strategy=said)
        assert with_starting_values(given, chosen[0]).strategy == given.strategy


def test_every_model_has_a_line_and_the_bundled_one_keeps_its_rate(tone_model: Path) -> None:
    assert {line.kind for line in TABLE if line.millions == float("inf")} == {"attention", "ctc"}
    small = load_recogniser(tone_model, device="cpu")
    assert with_starting_values(recipe(), small) == recipe()


def test_what_is_frozen_does_not_learn_and_a_pattern_has_to_match(tmp_path: Path) -> None:
    from tests.models.whisper_models import save_tiny_whisper

    stack = load_recogniser(save_tiny_whisper(tmp_path / "tiny"), device="cpu").stack
    plan = learning_plan(stack, Strategy(name="full", frozen=WORDS))
    left = learning_plan(stack, Strategy(name="full")).names - plan.names
    assert left == {"model.decoder.embed_tokens.weight"}
    with pytest.raises(RecipeError, match=r"strategy\.frozen: 'layer_77' matches no parameter"):
        learning_plan(stack, Strategy(name="full", frozen=("layer_77",)))
    with pytest.raises(RecipeError, match="nothing is left to train"):
        learning_plan(stack, Strategy(name="full", frozen=("*",)))


def test_a_recipe_without_silence_of_its_own_takes_it_where_the_model_can_learn_it() -> None:
    tiny, toy = (_Sized(millions, has_decoder=True) for millions in (39, 7))
    chosen: list[Any] = [tiny, toy]
    for one in chosen:
        one.capabilities = Capabilities(decoder=True, silence=True, timestamps=True)
    assert [with_starting_values(recipe(), one).silence.share for one in chosen] == [SILENCE, 0.0]
    assert with_starting_values(recipe(silence={"share": 0}), chosen[0]).silence.share == 0
    assert [with_starting_values(recipe(), one).decoder.timestamps_share for one in chosen] == [0.5, 0.0]
    changed = recipe(augment={"speed": {}})  # which would shift them
    assert with_starting_values(changed, chosen[0]).decoder.timestamps_share == 0


def test_without_guard_and_replay_a_share_of_what_was_learnt_is_kept() -> None:
    tiny, toy = (_Sized(millions, has_decoder=True) for millions in (39, 7))
    chosen: list[Any] = [tiny, toy]
    assert [with_starting_values(recipe(), one).retention.share for one in chosen] == [0.5, None]
    for told in (
        {"guard": "g.jsonl"},
        {"replay": {"manifest": "r.jsonl"}},
        {"strategy": "lora"},
        {"decoder": {"language": "sw"}},
    ):
        assert with_starting_values(recipe(**told), chosen[0]).retention.share is None, told
    assert with_starting_values(recipe(retention={"share": 1}), chosen[0]).retention.share == 1
    with pytest.raises(RecipeError, match=r"retention\.share needs vocabulary keep"):
        recipe(retention={"share": 0.5}, vocabulary="extend")


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_every_field_that_may_be_chosen_is_listed(device: str) -> None:
    tiny: Any = _Sized(39, has_decoder=True)
    tiny.capabilities = Capabilities(decoder=True, silence=True, timestamps=True)
    tiny.device = torch.device(device)
    for given in (recipe(), recipe(guard="g.jsonl")):
        found = plain(with_starting_values(given, tiny))
        assert changed(found, plain(given), ()) and changed(found, plain(given), CHOSEN) == []
