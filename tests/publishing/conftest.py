"""A result of real training on spoken tones, with a LoRA adapter in it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from asr_adapt.cli.app import run
from tests.training.conftest import corpus, muddled_model  # noqa: F401 - fixtures


@pytest.fixture(scope="session")
def result(corpus: Path, muddled_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: F811
    pytest.importorskip("peft")
    folder = tmp_path_factory.mktemp("home of Ann") / "run"
    tree = {
        "model": str(muddled_model),
        "train": str(corpus / "train.jsonl"),
        "dev": str(corpus / "dev.jsonl"),
        "guard": str(corpus / "guard.jsonl"),
        "strategy": {"name": "lora", "lora": {"rank": 2, "alpha": 4.0}},
        "optimiser": {"learning_rate": 1e-3, "head_learning_rate": 0.1},
        "schedule": {"steps": 20, "kind": "constant"},
        "batch": {"seconds": 20.0},
        "evaluation": {"every": 10},
        "precision": "float32",
        "device": "cpu",
    }
    recipe = folder.parent / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(tree))
    assert run(["train", str(recipe), "-o", str(folder), "-q"]) == 0
    return folder
