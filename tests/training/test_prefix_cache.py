"""The frozen prefix computed once: same losses, no autograd below the boundary, safe on disk."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
import yaml

from asr_adapt.errors import DataError
from asr_adapt.models import load_recogniser, prefix_fingerprint
from asr_adapt.training import adapt, build_recipe, load_recipe
from asr_adapt.training.prefix.store import PrefixStore

#: float32 losses of cached and uncached steps may differ by this share: other batch shapes, other roundings.
TOLERANCE = 2e-4

STRATEGIES: dict[str, dict[str, Any]] = {
    "head": {"strategy": "head"},
    "top_layers": {"strategy": {"name": "top_layers", "top_layers": 1}},
    "gradual": {"strategy": {"name": "gradual", "gradual": {"every": 4}}},
    "full": {"strategy": "full"},
    "layer decay, EMA, pull": {
        "strategy": {"name": "top_layers", "top_layers": 1},
        "optimiser": {"layer_decay": 0.5},
        "averaging": {"ema": 0.9},
        "regularisation": {"pull": 0.1},
    },
    "lora": {"strategy": "lora"},
    "muon": {"strategy": {"name": "top_layers", "top_layers": 1}, "optimiser": {"kind": "muon"}},
}


def losses(folder: Path) -> list[float]:
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [row["loss"] for row in rows if row["kind"] == "step"]


def predicted(folder: Path, when: str) -> list[str]:
    """The text of every measured row."""
    files = sorted((folder / "predictions").glob(f"*.{when}.jsonl"))
    rows = [json.loads(line) for path in files for line in path.read_text().splitlines()]
    return [row["pred_text"] for row in rows]


def run(tree: dict[str, Any], folder: Path, mode: str, **cache: Any) -> dict[str, Any]:
    settings = {"mode": mode, "folder": str(folder.parent / "store"), **cache}
    recipe = build_recipe(tree | {"cache": settings, "schedule": {"steps": 12, "kind": "constant"}})
    return adapt(recipe, folder, quiet=True).summary()


@pytest.mark.parametrize("name", STRATEGIES)
def test_cached_and_uncached_runs_have_the_same_losses(
    tree: dict[str, Any], tmp_path: Path, name: str
) -> None:
    chosen = STRATEGIES[name]
    changed = tree | chosen | {"optimiser": {"learning_rate": 1e-3} | chosen.get("optimiser", {})}
    plain = run(changed, tmp_path / "plain", "off")
    cached = run(changed, tmp_path / "cached", "on")
    assert plain["prefix_cache"] == []
    assert cached["prefix_cache"][0]["pays"]
    assert list((tmp_path / "store").rglob("*.safetensors"))
    assert cached["evaluations"][0] == plain["evaluations"][0]
    assert predicted(tmp_path / "cached", "before") == predicted(tmp_path / "plain", "before")
    np.testing.assert_allclose(losses(tmp_path / "cached"), losses(tmp_path / "plain"), rtol=TOLERANCE)


def test_a_second_run_reads_what_the_first_one_kept(tree: dict[str, Any], tmp_path: Path) -> None:
    run(tree, tmp_path / "one", "on")
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "store").rglob("*.safetensors")}
    run(tree, tmp_path / "two", "on")
    again = {path: path.stat().st_mtime_ns for path in (tmp_path / "store").rglob("*.safetensors")}
    assert kept == again
    assert losses(tmp_path / "one") == losses(tmp_path / "two")


def test_augmented_rows_are_kept_in_several_versions(tree: dict[str, Any], tmp_path: Path) -> None:
    augmented = tree | {"augment": {"gain": {"decibels": [-6.0, 6.0], "probability": 1.0}}}
    run(augmented, tmp_path / "two", "on", copies=2)
    run(tree, tmp_path / "one", "on", copies=2)
    sizes = sorted(len(list(folder.glob("*.safetensors"))) for folder in (tmp_path / "store").iterdir())
    assert sum(sizes) == 5, "one version of plain rows, two of augmented ones, dev and guard once"


def shards(tmp_path: Path) -> set[str]:
    return {str(path.relative_to(tmp_path)) for path in (tmp_path / "store").rglob("*.safetensors")}


def test_a_single_augmented_copy_is_not_taken_for_the_plain_rows(
    tree: dict[str, Any], tmp_path: Path
) -> None:
    run(tree | {"augment": {"gain": {"probability": 1.0}}}, tmp_path / "gain", "on", copies=1)
    augmented = shards(tmp_path)
    run(tree, tmp_path / "plain", "on", copies=1)
    run(tree, tmp_path / "off", "off")
    assert len(shards(tmp_path)) == len(augmented) + 1 == 4, "train twice, dev and guard"
    np.testing.assert_allclose(losses(tmp_path / "plain"), losses(tmp_path / "off"), rtol=TOLERANCE)


def test_another_noise_under_the_same_name_is_another_key(tree: dict[str, Any], tmp_path: Path) -> None:
    noises = tmp_path / "noises"
    noises.mkdir()
    random = np.random.default_rng(0)
    noisy = tree | {"augment": {"noise": {"folder": str(noises), "probability": 1.0}}}
    counts = []
    for name, seconds in (("one", 1), ("two", 2)):
        soundfile.write(noises / "hum.wav", 0.1 * random.standard_normal(16_000 * seconds), 16_000)
        run(noisy, tmp_path / name, "on", copies=1)
        counts.append(len(shards(tmp_path)))
    assert counts == [3, 4], "train once for each noise, dev and guard"


@pytest.mark.parametrize(
    ("written", "mode"), [("off", "off"), ("on", "on"), ("auto", "auto"), ("'on'", "on")]
)
def test_the_mode_is_read_as_it_is_written_and_the_folder_from_the_recipe_s(
    tmp_path: Path, written: str, mode: str
) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(f"train: a.jsonl\ndev: b.jsonl\ncache:\n  mode: {written}\n  folder: store\n")
    recipe = load_recipe(path)
    assert recipe.cache.mode == mode and recipe.cache.folder == str(tmp_path / "store")
    assert load_recipe(path, ["cache.mode=off"]).cache.mode == "off"


def test_a_cap_that_is_too_small_is_obeyed_and_said(tree: dict[str, Any], tmp_path: Path) -> None:
    summary = run(tree, tmp_path / "run", "on", gigabytes=1e-6)
    assert not summary["prefix_cache"][0]["pays"]
    assert "the cap is" in summary["prefix_cache"][0]["reason"]
    assert not list(tmp_path.rglob("store/**/*.safetensors"))


def test_autograd_never_enters_the_prefix(tone_model: Path) -> None:
    recogniser = load_recogniser(tone_model, device="cpu", compute_type="float32")
    stack = recogniser.stack
    stack.freeze_except([len(stack) - 1])
    with torch.no_grad():
        hidden = recogniser.encode(recogniser.inputs([np.zeros(16_000, np.float32)]), stack.boundary)
    assert not hidden.states.requires_grad and hidden.states.grad_fn is None
    loss = recogniser.losses(hidden, stack.boundary, recogniser.labels(["ab"])).sum()
    leaves, waiting, seen = set(), [loss.grad_fn], set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            leaves.add(id(node.variable))
        waiting += [parent for parent, _ in node.next_functions]
    head = {id(p) for _, p in stack.parameters_of(len(stack) - 1)}
    assert leaves == head


def test_the_key_follows_the_prefix_and_nothing_else(tone_model: Path) -> None:
    recogniser = load_recogniser(tone_model, device="cpu", compute_type="float32")
    boundary = recogniser.stack.layers[-1]
    before = prefix_fingerprint(recogniser, boundary)
    _, above = next(recogniser.stack.parameters_of(boundary))
    _, below = next(recogniser.stack.parameters_of(0))
    with torch.no_grad():
        above.add_(1.0)
        assert prefix_fingerprint(recogniser, boundary) == before
        below.add_(1e-3)
        assert prefix_fingerprint(recogniser, boundary) != before
    assert prefix_fingerprint(recogniser, boundary - 1) != prefix_fingerprint(recogniser, boundary)


def test_the_least_recently_used_key_goes_first_and_a_held_one_never(tmp_path: Path) -> None:
    for age, key in enumerate(("old", "held", "new")):
        store = PrefixStore(tmp_path, key, cap=10_000)
        store.write("shard", {"0": torch.zeros(500)})
        store.close()
        os.utime(tmp_path / key, (age, age))
    holder = PrefixStore(tmp_path, "held", cap=10_000)
    os.utime(tmp_path / "held", (-1, -1))
    asking = PrefixStore(tmp_path, "mine", cap=7_000)
    assert asking.make_room(2_500)
    assert not (tmp_path / "old").exists()
    assert holder.read("shard", "0") is not None and (tmp_path / "new").exists()
    assert not asking.make_room(7_001)


def test_an_unusable_folder_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"prefix cache cannot be used .* set cache\.folder"):
        PrefixStore(tmp_path / "file", "key", cap=1)


def test_a_run_killed_while_it_writes_the_cache_is_taken_up(tree: dict[str, Any], tmp_path: Path) -> None:
    store = tmp_path / "store"
    many = tree | {
        "cache": {"mode": "on", "folder": str(store)},
        "schedule": {"steps": 12, "kind": "constant"},
        "train": [tree["train"]],
    }
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(many))
    command = [sys.executable, "-m", "asr_adapt", "train", str(recipe), "-o", str(tmp_path / "killed")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    while process.poll() is None and not list(store.rglob("*")):
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    for part in store.rglob("*.safetensors"):  # what a writer left half-way has no shard's name
        assert not part.name.startswith(".") or part.suffix != ".safetensors"
    resumed = adapt(build_recipe(many), tmp_path / "killed", resume=True, quiet=True)
    calm = adapt(build_recipe(many | {"cache": {"mode": "on", "folder": str(tmp_path / "other")}}),
                 tmp_path / "calm", quiet=True)  # fmt: skip
    assert resumed.progress.step == calm.progress.step == 12
    assert losses(tmp_path / "killed") == losses(tmp_path / "calm")
