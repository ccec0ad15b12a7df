"""Sets that share a manifest are remarked, and nothing else is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from asr_adapt.training import build_recipe
from asr_adapt.training.recipe.remarks import remarks


@pytest.mark.parametrize(
    ("sets", "words"),
    [
        ({"dev": "train"}, ["dev holds train.jsonl"]),
        ({"test": "train"}, ["test holds train.jsonl"]),
        ({"guard": "dev"}, ["guard holds dev.jsonl"]),
        ({"guard": "guard", "guard_test": "train"}, ["guard_test holds train.jsonl"]),
        ({"guard": "guard", "test": "test"}, []),
    ],
)
def test_shared_manifests(tmp_path: Path, sets: dict[str, str], words: list[str]) -> None:
    for name in ("train", "dev", "test", "guard"):
        (tmp_path / f"{name}.jsonl").write_text("{}\n", encoding="utf-8")
    chosen: dict[str, Any] = {"train": "train", "dev": "dev"} | sets
    recipe = build_recipe({name: str(tmp_path / f"{file}.jsonl") for name, file in chosen.items()})
    found = list(remarks(recipe))
    assert len(found) == len(words)
    assert all(word in sentence for word, sentence in zip(words, found, strict=True))
