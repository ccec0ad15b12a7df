"""LoRA and bottleneck adapters in whole runs: what is saved, what reloads, what a resumed run ends with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCTC, AutoProcessor, Wav2Vec2Config, Wav2Vec2ForCTC

from asr_adapt import evaluate
from asr_adapt.errors import ModelError, RecipeError
from asr_adapt.manifest import Manifest
from asr_adapt.models import load_recogniser
from asr_adapt.training import adapt, build_recipe

from .conftest import interrupted, unequal_weights

LORA = {"name": "lora", "lora": {"rank": 2, "alpha": 4.0, "dropout": 0.1}}


def heard(model: Path, corpus: Path) -> list[str]:
    recogniser = load_recogniser(model, device="cpu")
    return evaluate(Manifest.open(corpus / "dev.jsonl"), model=recogniser).hypotheses


@pytest.fixture
def quick(tree: dict[str, Any]) -> dict[str, Any]:
    return tree | {"schedule": {"steps": 40, "kind": "constant"}, "evaluation": {"every": 20}}


def test_lora_is_saved_as_adapter_and_merged_and_both_hear_the_same(
    quick: dict[str, Any], muddled_model: Path, corpus: Path, tmp_path: Path
) -> None:
    adapt(build_recipe(quick | {"strategy": LORA}), tmp_path / "out", quiet=True)
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["target"]["after"] < summary["target"]["before"]
    texts = heard(tmp_path / "out", corpus)
    assert texts == heard(tmp_path / "out" / "adapter", corpus) != heard(muddled_model, corpus)
    base, merged = (load_file(f / "model.safetensors") for f in (muddled_model, tmp_path / "out"))
    assert base.keys() == merged.keys()
    changed = {name for name in base if not torch.equal(base[name], merged[name])}
    assert "lm_head.weight" in changed
    kinds = ("proj.weight", "dense.weight", "lm_head.weight", "lm_head.bias")
    assert all(name.endswith(kinds) for name in changed), changed
    stored = load_file(tmp_path / "out" / "adapter" / "adapter_model.safetensors")
    assert summary["trainable_parameters"] == sum(t.numel() for t in stored.values())


def test_an_adapter_is_replaced_with_its_run_and_goes_where_the_next_one_has_none(
    quick: dict[str, Any], tmp_path: Path
) -> None:
    short, folder = quick | {"schedule": {"steps": 2}, "evaluation": {"every": 2}}, tmp_path / "out"
    adapters = []
    for seed in (0, 1):
        adapt(build_recipe(short | {"strategy": LORA, "seed": seed}), folder, quiet=True, overwrite=True)
        adapters.append((folder / "adapter" / "adapter_model.safetensors").read_bytes())
    assert adapters[0] != adapters[1]
    (folder / "summary.json").unlink()  # as if killed before the end, the adapter being there already
    adapt(build_recipe(short | {"strategy": LORA, "seed": 1}), folder, quiet=True, resume=True)
    assert (folder / "adapter" / "adapter_model.safetensors").read_bytes() == adapters[1]
    adapt(build_recipe(short), folder, quiet=True, overwrite=True)
    assert (folder / "model.safetensors").is_file() and not (folder / "adapter").exists()


def test_without_the_head_only_the_layers_change(quick: dict[str, Any], tmp_path: Path) -> None:
    strategy = {"name": "lora", "lora": LORA["lora"] | {"head": False, "targets": ["q_proj"]}}
    optimiser = quick["optimiser"] | {"learning_rate": 1e-2}
    recipe = build_recipe(quick | {"strategy": strategy, "optimiser": optimiser, "checkpoint_every": 4})
    with interrupted(5):
        adapt(recipe, tmp_path / "out", quiet=True)
    stored = load_file(tmp_path / "out" / "checkpoints" / "step_000004" / "trainable.safetensors")
    assert len(stored) == 2 and all(".q_proj.lora_" in name for name in stored)
    with pytest.raises(RecipeError, match=r"needs strategy\.lora\.head"):
        build_recipe(quick | {"strategy": strategy, "vocabulary": "from_manifest"})


def test_an_adapter_brings_its_vocabulary(quick: dict[str, Any], corpus: Path, tmp_path: Path) -> None:
    adapt(
        build_recipe(quick | {"strategy": LORA, "vocabulary": "from_manifest"}), tmp_path / "out", quiet=True
    )
    alone = load_recogniser(tmp_path / "out" / "adapter", device="cpu")
    assert alone.limits().vocabulary == frozenset("abcdefg")
    assert heard(tmp_path / "out", corpus) == heard(tmp_path / "out" / "adapter", corpus)


@pytest.mark.parametrize("strategy", [LORA, {"name": "adapters"}], ids=lambda s: s["name"])
def test_a_resumed_run_ends_bit_for_bit(
    quick: dict[str, Any], bottlenecked: Path, tmp_path: Path, strategy: dict[str, Any]
) -> None:
    recipe = build_recipe(
        quick | {"strategy": strategy, "model": str(bottlenecked), "averaging": {"ema": 0.9}}
    )
    adapt(recipe, tmp_path / "whole", quiet=True)
    with interrupted(11):
        adapt(recipe, tmp_path / "killed", quiet=True)
    adapt(recipe, tmp_path / "killed", resume=True, quiet=True)
    assert unequal_weights(tmp_path / "whole", tmp_path / "killed") == []
    whole, killed = (json.loads((tmp_path / n / "summary.json").read_text()) for n in ("whole", "killed"))
    assert killed["target"] == whole["target"] and killed["best_step"] == whole["best_step"]


@pytest.fixture(scope="session")
def bottlenecked(muddled_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The muddled recogniser with MMS's adapters, which need the normalise-first layers."""
    folder = tmp_path_factory.mktemp("bottleneck") / "model"
    old = AutoModelForCTC.from_pretrained(muddled_model)
    torch.manual_seed(0)
    values = old.config.to_dict() | {"do_stable_layer_norm": True, "adapter_attn_dim": 4}
    model = Wav2Vec2ForCTC(Wav2Vec2Config(**values))
    model.load_state_dict(old.state_dict(), strict=False)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "adapter_layer.linear_2" in name:
                parameter.zero_()
    model.save_pretrained(folder)
    AutoProcessor.from_pretrained(muddled_model).save_pretrained(folder)
    return folder


def test_bottleneck_adapters_learn_alone_and_load_by_language(
    quick: dict[str, Any], bottlenecked: Path, corpus: Path, tmp_path: Path
) -> None:
    quick |= {"model": str(bottlenecked), "strategy": {"name": "adapters", "adapters": {"language": "xyz"}}}
    adapt(build_recipe(quick), tmp_path / "out", quiet=True)
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["target"]["after"] < summary["target"]["before"]
    base, after = (load_file(f / "model.safetensors") for f in (bottlenecked, tmp_path / "out"))
    changed = {name for name in base if not torch.equal(base[name], after[name])}
    assert {"lm_head.weight", "wav2vec2.encoder.layers.0.adapter_layer.linear_2.weight"} <= changed
    assert all("adapter_layer" in name or name.startswith("lm_head") for name in changed)
    (tmp_path / "out" / "adapter.xyz.safetensors").rename(bottlenecked / "adapter.xyz.safetensors")
    theirs = AutoModelForCTC.from_pretrained(bottlenecked)
    theirs.load_adapter("xyz")
    assert all(torch.equal(value, after[name]) for name, value in theirs.state_dict().items())


def test_a_model_without_adapters_is_told_so(quick: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"has no bottleneck adapters .* use strategy lora\.$"):
        adapt(build_recipe(quick | {"strategy": "adapters"}), tmp_path / "out", quiet=True)
