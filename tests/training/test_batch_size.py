"""``batch.seconds: auto``: found by real steps once, remembered, obeyed, and kept by a resumed run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from asr_adapt.errors import RecipeError
from asr_adapt.training import adapt, build_recipe
from asr_adapt.training.device import batch_size
from asr_adapt.training.device.batch_size import largest
from asr_adapt.training.device.memory import DeviceMemory, watched
from tests.training.conftest import interrupted, unequal_weights

MIB = 1 << 20
LITTLE = 14 * MIB


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's cache folder, empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "asr-adapt" / "batch-size"


@pytest.fixture
def auto(tree: dict[str, Any]) -> dict[str, Any]:
    """Full training of the tiny model with an automatic batch."""
    return tree | {
        "strategy": "full",
        "optimiser": {"learning_rate": 1e-4},
        "schedule": {"steps": 4},
        "batch": {"seconds": "auto"},
        "evaluation": {"every": 4},
        "checkpoint_every": 1,
        "regularisation": {"hidden_dropout": 0.1},
    }


def limited(tree: dict[str, Any], output: Path, limit: int, *, resume: bool = False) -> dict[str, Any]:
    """Adapt on a CPU with ``limit`` bytes for a step; what ``summary.json`` says of the batch."""
    memory = DeviceMemory(torch.device("cpu"), limit)
    adapt(build_recipe(tree), output, quiet=True, resume=resume, memory=memory)
    found: dict[str, Any] = json.loads((output / "summary.json").read_text())["batch_size"]
    return found


def steps(output: Path) -> list[dict[str, Any]]:
    lines = map(json.loads, (output / "metrics.jsonl").read_text().splitlines())
    return [line for line in lines if line["kind"] == "step"]


def test_bisection_finds_the_edge_from_below() -> None:
    tried: list[float] = []

    def holds(seconds: float) -> bool:
        tried.append(seconds)
        return seconds <= 137.0

    found = largest(holds, 5.0, 600.0)
    assert found is not None
    assert 137.0 / batch_size.PRECISION <= found <= 137.0
    assert max(tried) <= 2 * 137.0
    assert largest(holds, 140.0, 600.0) is None
    assert largest(holds, 5.0, 100.0) == 100.0


def test_resident_memory_is_watched() -> None:
    with watched() as growth:
        block = torch.ones(64 * MIB // 4)
        block.sum()
        for _ in range(20):
            block.mul_(1.0)
    assert 60 * MIB < growth() < 120 * MIB


def test_a_cpu_holds_what_stays_below_its_limit() -> None:
    memory = DeviceMemory(torch.device("cpu"), 100 * MIB)
    for mebibytes, fits in ((200, False), (50, True), (200, False)):

        def fill(count: int = mebibytes * MIB // 4) -> None:
            block = torch.ones(count)
            for _ in range(10):
                block.mul_(1.0)

        assert memory.holds(fill) is fits


def test_found_once_remembered_obeyed_and_resumed(
    auto: dict[str, Any], own_cache: Path, tmp_path: Path
) -> None:
    first = limited(auto, tmp_path / "first", 1 << 40)
    assert first["origin"] == "trials"
    assert first["trials"] > 1
    saved = yaml.safe_load((tmp_path / "first" / "recipe.yaml").read_text())
    assert saved["batch"]["seconds"] == first["seconds"]
    assert all(step["audio_seconds"] <= first["seconds"] for step in steps(tmp_path / "first"))
    with interrupted(2):
        limited(auto, tmp_path / "killed", 0)  # nothing would fit: it is remembered, not tried
    (remembered,) = own_cache.iterdir()
    remembered.unlink()
    resumed = limited(auto, tmp_path / "killed", 0, resume=True)
    assert resumed["seconds"] == first["seconds"]
    assert not list(own_cache.iterdir())
    # The search has left no trace either.
    assert unequal_weights(tmp_path / "first", tmp_path / "killed") == []


@pytest.mark.parametrize("content", ["{", '{"seconds": "many"}', '{"seconds": -3}', "[]"])
def test_a_damaged_memory_of_the_batch_is_named_and_found_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: str
) -> None:
    path = tmp_path / "one.json"
    path.write_text(content)
    assert batch_size._remembered(path) is None
    assert caplog.messages == [f"{path}: the saved batch size cannot be read; it will be measured again."]
    assert batch_size._remembered(tmp_path / "none.json") is None


def test_a_batch_size_that_cannot_be_remembered_is_used(
    auto: dict[str, Any], own_cache: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    own_cache.parent.mkdir(parents=True)
    own_cache.write_text("a file where the folder should be")
    found = limited(auto | {"schedule": {"steps": 1}}, tmp_path / "run", 1 << 40)
    assert found["origin"] == "trials" and (tmp_path / "run" / "summary.json").is_file()
    assert any("the batch size cannot be saved for the next run" in said for said in caplog.messages)


def test_less_memory_gives_smaller_batches(auto: dict[str, Any], tmp_path: Path) -> None:
    little = limited(auto | {"schedule": {"steps": 2}}, tmp_path / "little", LITTLE)
    assert little["origin"] == "trials"
    assert little["seconds"] < 40.0  # all rows at once would be 65
    assert max(s["audio_seconds"] for s in steps(tmp_path / "little")) <= little["seconds"]


def test_no_room_for_one_clip_is_said(auto: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="does not fit into the memory"):
        limited(auto, tmp_path / "none", 0)


@pytest.mark.parametrize("value", [0, -1.0, True, "many"])
def test_seconds_are_a_number_or_auto(tree: dict[str, Any], value: Any) -> None:
    with pytest.raises(RecipeError, match=r"batch\.seconds.*or auto"):
        build_recipe(tree | {"batch": {"seconds": value}})
