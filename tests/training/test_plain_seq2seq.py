"""Moonshine and Speech2Text adapted end to end: the one loop, every strategy, the cached encoder."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from asr_adapt.models import load_recogniser
from asr_adapt.training import adapt, build_recipe
from asr_adapt.training.learning.strategies import trainable_stages
from asr_adapt.training.recipe.schema import Strategy
from tests.models.plain_models import save_tiny_moonshine, save_tiny_speech2text
from tests.models.tiny_moonshine_streaming import save_tiny_moonshine_streaming
from tests.training.conftest import quick_tree


@pytest.fixture(
    scope="module", params=[save_tiny_moonshine, save_tiny_moonshine_streaming, save_tiny_speech2text]
)
def base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    save: Callable[[Path], Path] = request.param
    return save(tmp_path_factory.mktemp("plain") / "tiny")


@pytest.fixture
def plain_tree(corpus: Path, base: Path) -> dict[str, Any]:
    return quick_tree(corpus, base, evaluation={"every": 8, "rows": 2})


def losses(folder: Path) -> list[float]:
    lines = (json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines())
    return [line["loss"] for line in lines if "loss" in line]


def test_train_save_reload_transcribe_and_plain_pipeline(
    plain_tree: dict[str, Any], base: Path, tmp_path: Path
) -> None:
    for mode in ("off", "on"):
        recipe = build_recipe(plain_tree | {"cache": {"mode": mode, "folder": str(tmp_path / "store")}})
        adapt(recipe, tmp_path / mode, quiet=True)
    found = losses(tmp_path / "on")
    assert found[-1] < found[0]
    np.testing.assert_allclose(found, losses(tmp_path / "off"), rtol=2e-4)
    summary = json.loads((tmp_path / "on" / "summary.json").read_text())
    assert summary["prefix_cache"][0]["boundary"] == 4  # the whole encoder
    again = load_recogniser(tmp_path / "on", device="cpu")
    before = load_recogniser(base, device="cpu").model.state_dict()
    changed = {name for name, weights in again.model.state_dict().items() if not weights.equal(before[name])}
    assert all("decoder" in name or name in ("lm_head.weight", "proj_out.weight") for name in changed)
    wave = torch.randn(16_000, generator=torch.Generator().manual_seed(0)).numpy()
    pipe = transformers.pipeline("automatic-speech-recognition", model=str(tmp_path / "on"), device="cpu")
    plain = pipe(wave.copy(), generate_kwargs={"num_beams": 1, "max_new_tokens": 11})["text"].strip()
    assert again.transcribe([wave])[0].text == plain


def test_every_strategy_learns_what_it_names(plain_tree: dict[str, Any], base: Path, tmp_path: Path) -> None:
    stack = load_recogniser(base, device="cpu").stack

    def stages(**settings: Any) -> list[str]:
        return [stack.stages[i].name for i in trainable_stages(stack, Strategy(**settings))]

    assert stages() == ["decoder_0", "decoder_1", "decoder_norm", "head"]
    assert stages(top_layers=3)[:2] == ["encoder_1", "encoder_norm"]
    assert stages(name="head") == ["head"]
    assert len(stages(name="full", feature_encoder=True)) == len(stack)
    plain_tree["strategy"] = {"name": "full", "feature_encoder": True}
    adapt(build_recipe(plain_tree), tmp_path / "full", quiet=True)
    assert losses(tmp_path / "full")[-1] < losses(tmp_path / "full")[0]


def test_lora_loads_alone_and_merged_in_plain_transformers(
    plain_tree: dict[str, Any], tmp_path: Path
) -> None:
    pytest.importorskip("peft")
    plain_tree["strategy"] = {"name": "lora"}
    plain_tree["optimiser"] = {"learning_rate": 1e-2}
    adapt(build_recipe(plain_tree), tmp_path / "lora", quiet=True)
    assert losses(tmp_path / "lora")[-1] < losses(tmp_path / "lora")[0]
    wave = torch.randn(16_000, generator=torch.Generator().manual_seed(0)).numpy()
    text = load_recogniser(tmp_path / "lora", device="cpu").transcribe([wave])[0].text
    alone = load_recogniser(tmp_path / "lora" / "adapter", device="cpu")
    assert alone.transcribe([wave])[0].text == text
    pipe = transformers.pipeline("automatic-speech-recognition", model=str(tmp_path / "lora"), device="cpu")
    plain = pipe(wave.copy(), generate_kwargs={"num_beams": 1, "max_new_tokens": 11})["text"].strip()
    assert text == plain
