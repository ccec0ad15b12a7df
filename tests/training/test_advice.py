"""``strategy: auto``: the choice as a table, and in a whole run with its reason in the summary."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import transformers
import yaml

from asr_adapt.models import load_recogniser, set_vocabulary
from asr_adapt.training import adapt, build_recipe
from asr_adapt.training.recipe.advice import Situation, advise, advised


@pytest.mark.parametrize(
    "hours, layers, tuned, name, top",
    [
        (0.05, 12, True, "top_layers", 4),
        (0.5, 12, True, "top_layers", 4),
        (0.5, 1, True, "top_layers", 1),
        (3.0, 12, True, "top_layers", 6),
        (20.0, 12, True, "full", None),
        (0.05, 12, False, "gradual", None),
        (20.0, 24, False, "gradual", None),
    ],
)
def test_more_speech_lets_more_layers_learn(
    hours: float, layers: int, tuned: bool, name: str, top: int | None
) -> None:
    found = advise(Situation(hours, layers, tuned), 90)
    assert (found.strategy.name, found.strategy.top_layers) == (name, top)
    assert found.sentence().startswith(f"strategy auto chose {name}") and "because" in found.sentence()
    if not tuned:
        assert (found.strategy.gradual.every, found.strategy.gradual.layers) == (30, layers)


@pytest.mark.parametrize(
    "hours, lora, name",
    [(0.5, True, "lora"), (0.5, False, "top_layers"), (3.0, True, "top_layers"), (9.0, True, "full")],
)
def test_an_encoder_decoder_model_learns_by_lora_first(hours: float, lora: bool, name: str) -> None:
    assert advise(Situation(hours, 8, True, decoder=True, lora=lora), 90).strategy.name == name


def test_a_small_encoder_learns_too() -> None:
    found = advise(Situation(0.5, 8, True, decoder=True, small=True), 90)
    assert found.strategy.name == "full" and "acoustic" in found.sentence()


def test_the_summary_says_what_was_chosen_and_the_recipe_holds_it(
    tree: dict[str, Any], tmp_path: Path
) -> None:
    tree |= {"strategy": "auto", "schedule": {"steps": 4}, "evaluation": {"every": 4}}
    adapt(build_recipe(tree), tmp_path / "out", quiet=True)
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["strategy"]["name"] == "top_layers"
    assert "chose top_layers: 1, because 1 minutes of speech" in summary["strategy_advice"]
    stored = yaml.safe_load((tmp_path / "out" / "recipe.yaml").read_text())
    assert stored["strategy"]["name"] == "top_layers"
    plain = build_recipe(tree | {"strategy": "head"})
    assert advised(plain, load_recogniser(tree["model"], device="cpu"), 1.0) == (plain, None)


def test_a_self_supervised_checkpoint_gets_its_head_first(
    tree: dict[str, Any], muddled_model: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "pretrained"
    transformers.Wav2Vec2Model.from_pretrained(muddled_model).save_pretrained(folder)
    transformers.AutoFeatureExtractor.from_pretrained(muddled_model).save_pretrained(folder)
    vocabulary = {"model": str(folder), "strategy": "auto", "vocabulary": "from_manifest"}
    recipe = build_recipe(tree | vocabulary | {"optimiser": {"learning_rate": 1e-4}})
    recogniser = set_vocabulary(load_recogniser(folder, device="cpu", new_vocabulary=True), "abc", "replace")
    chosen, why = advised(recipe, recogniser, 0.5)
    assert chosen.strategy.name == "gradual" and "head is new" in str(why)
    assert chosen.optimiser.head_learning_rate == pytest.approx(1e-3)
    assert chosen.optimiser.layer_decay == 0.9
