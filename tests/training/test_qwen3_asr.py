"""Qwen3-ASR adapted end to end: the decoder, LoRA on whole weights and on 4 bits, the cached encoder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file

from asr_adapt import evaluate
from asr_adapt.manifest import Manifest
from asr_adapt.models import load_recogniser
from asr_adapt.training import adapt, build_recipe
from tests.models.plain_models import save_tiny_qwen3_asr
from tests.training.conftest import quick_tree


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_qwen3_asr(tmp_path_factory.mktemp("qwen") / "tiny")


def losses(folder: Path) -> list[float]:
    lines = (json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines())
    return [line["loss"] for line in lines if "loss" in line]


def heard(model: Path, corpus: Path) -> list[str]:
    return evaluate(
        Manifest.open(corpus / "dev.jsonl"), model=load_recogniser(model, device="cpu")
    ).hypotheses


def test_the_decoder_learns_from_a_kept_encoder_and_saves_a_plain_model(
    corpus: Path, base: Path, tmp_path: Path
) -> None:
    tree = quick_tree(corpus, base, evaluation={"every": 8, "rows": 2})
    for mode in ("off", "on"):
        recipe = build_recipe(tree | {"cache": {"mode": mode, "folder": str(tmp_path / "store")}})
        adapt(recipe, tmp_path / mode, quiet=True)
    found = losses(tmp_path / "on")
    assert found[-1] < found[0]
    np.testing.assert_allclose(found, losses(tmp_path / "off"), rtol=2e-4)
    summary = json.loads((tmp_path / "on" / "summary.json").read_text())
    assert summary["prefix_cache"][0]["boundary"] == 4  # the whole encoder, projected
    own = load_recogniser(tmp_path / "on", device="cpu").model.state_dict()
    plain = transformers.Qwen3ASRForConditionalGeneration.from_pretrained(tmp_path / "on").state_dict()
    assert own.keys() == plain.keys() and all(torch.equal(own[name], plain[name]) for name in own)
    before = load_recogniser(base, device="cpu").model.state_dict()
    changed = {name for name in own if not torch.equal(own[name], before[name])}
    assert all("language_model" in name or name == "lm_head.weight" for name in changed)


@pytest.mark.parametrize("quantise", [None, "4bit"])
def test_lora_learns_and_loads_alone_and_merged(
    corpus: Path, base: Path, tmp_path: Path, quantise: str | None
) -> None:
    pytest.importorskip("bitsandbytes" if quantise else "peft")
    more: dict[str, Any] = {
        "strategy": {"name": "lora", "quantise": quantise},
        "optimiser": {"learning_rate": 1e-2},
        "gradient_checkpointing": quantise is not None,
    }
    adapt(build_recipe(quick_tree(corpus, base, **more)), tmp_path / "out", quiet=True)
    found = losses(tmp_path / "out")
    assert found[-1] < found[0]
    assert heard(tmp_path / "out", corpus) == heard(tmp_path / "out" / "adapter", corpus)
    stored = load_file(tmp_path / "out" / "adapter" / "adapter_model.safetensors")
    for name in ("language_model.layers.0.mlp.gate_proj", "audio_tower.layers.0.fc1"):
        assert f"base_model.model.model.{name}.lora_A.weight" in stored
