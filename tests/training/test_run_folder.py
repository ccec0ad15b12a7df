"""A result folder: one run at a time, resumed by its own recipe alone, from the newest whole checkpoint."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from asr_adapt.cli.app import run
from asr_adapt.errors import DataError, RecipeError, UsageError
from asr_adapt.locks import alone
from asr_adapt.training import adapt, build_recipe
from asr_adapt.training.learning.checkpoints import newest_checkpoint, set_damaged_aside
from asr_adapt.training.learning.kept_weights import best_path, keep_weights, kept_weights
from asr_adapt.training.run_folder import finished_summary
from tests.training.conftest import interrupted, unequal_weights

QUICK = {"schedule": {"steps": 12, "kind": "constant"}, "evaluation": {"every": 6}, "checkpoint_every": 3}


@pytest.fixture(scope="module")
def killed(
    tmp_path_factory: pytest.TempPathFactory, corpus: Path, muddled_model: Path
) -> tuple[Path, dict[str, Any]]:
    """A run that died at step 8, with checkpoints of steps 3 and 6, and its recipe."""
    folder = tmp_path_factory.mktemp("killed")
    tree = {
        "model": str(muddled_model), "train": str(corpus / "train.jsonl"), "dev": str(corpus / "dev.jsonl"),
        "strategy": {"name": "head"}, "optimiser": {"learning_rate": 1e-3}, "batch": {"seconds": 20.0},
        "precision": "float32", "device": "cpu", **QUICK,
    }  # fmt: skip
    with interrupted(8):
        adapt(build_recipe(tree), folder / "run", quiet=True)
    return folder / "run", tree


@pytest.fixture
def copy(killed: tuple[Path, dict[str, Any]], tmp_path: Path) -> Path:
    shutil.copytree(killed[0], tmp_path / "run")
    return tmp_path / "run"


def test_another_recipe_or_other_rows_are_not_resumed(
    copy: Path, killed: tuple[Path, dict[str, Any]], tmp_path: Path, corpus: Path, muddled_model: Path
) -> None:
    tree = killed[1]
    lines = (corpus / "train.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    for row in rows:
        row["audio_filepath"] = str(corpus / row["audio_filepath"])
    (tmp_path / "fewer.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows[:-1]))
    other = tmp_path / "other"
    shutil.copytree(muddled_model, other)
    weights = {name: 1.01 * tensor for name, tensor in load_file(other / "model.safetensors").items()}
    save_file(weights, other / "model.safetensors", metadata={"format": "pt"})
    for change, words in (
        ({"model": str(other)}, "other base weights"),
        ({"train": str(tmp_path / "fewer.jsonl")}, "other training rows"),
        ({"dev": str(corpus / "guard.jsonl")}, "other dev rows"),
        ({"optimiser": {"learning_rate": 0.5}}, r"optimiser.learning_rate 0.5 instead of 0.001"),
        ({"seed": 9}, "seed 9 instead of 0"),
        ({"batch": {"seconds": 20.0, "accumulate": 2}}, "2 micro-batches a step instead of 1"),
    ):
        with pytest.raises(RecipeError, match=words):
            adapt(build_recipe(tree | change), copy, resume=True, quiet=True)
    assert newest_checkpoint(copy / "checkpoints") == copy / "checkpoints" / "step_000006"


@pytest.mark.parametrize("file", ["trainable.safetensors", "optimizer.pt", "progress.json", "checksums.json"])
@pytest.mark.parametrize("harm", ["cut", "flipped"])
def test_the_newest_whole_checkpoint_is_resumed(copy: Path, file: str, harm: str) -> None:
    newest = copy / "checkpoints" / "step_000006"
    path = next(newest.glob(file))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(bytes(data) if harm == "flipped" else bytes(data[:7]))
    set_damaged_aside(copy / "checkpoints")
    assert newest_checkpoint(copy / "checkpoints") == copy / "checkpoints" / "step_000003"
    assert (copy / "checkpoints" / "step_000006.damaged").is_dir()


@pytest.mark.parametrize("harm", ["cut", "flipped", "gone"])
def test_best_weights_that_are_not_as_they_were_kept_are_named_and_not_used(
    tmp_path: Path, harm: str
) -> None:
    path = best_path(tmp_path, 40)
    state = {"head.weight": torch.randn(6, 5), "scale": torch.tensor(2.0)}
    keep_weights(path, state)
    assert {n: t.tolist() for n, t in kept_weights(path).items()} == {n: t.tolist() for n, t in state.items()}
    data = bytearray(path.read_bytes())
    data[-3] ^= 16
    path.write_bytes(bytes(data) if harm == "flipped" else bytes(data[:90]))
    if harm == "gone":
        path.unlink()
    with pytest.raises(
        DataError, match=r"step_000040\.safetensors: the weights that this run kept .*start again"
    ):
        kept_weights(path)


def test_a_checkpoint_without_its_best_weights_is_not_resumed(copy: Path, killed: Any) -> None:
    """The older one serves where the best up to it is whole; where none is, the run says so at once."""
    steps = [copy / "checkpoints" / f"step_{step:06d}" for step in (3, 6)]
    best = [json.loads((step / "progress.json").read_text())["best_step"] for step in steps]
    best_path(copy / "checkpoints", best[1]).write_bytes(b"half")
    if best[0] != best[1]:
        set_damaged_aside(copy / "checkpoints")
        assert newest_checkpoint(copy / "checkpoints") == steps[0]
        best_path(copy / "checkpoints", best[0]).write_bytes(b"half")
    with pytest.raises(DataError, match="no checkpoint is intact: start again with --overwrite"):
        adapt(build_recipe(killed[1]), copy, resume=True, quiet=True)


def test_a_run_that_lost_its_newest_checkpoint_ends_like_one_that_did_not(
    copy: Path, killed: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    recipe = build_recipe(killed[1])
    adapt(recipe, tmp_path / "whole", quiet=True)
    (copy / "checkpoints" / "step_000006" / "optimizer.pt").write_bytes(b"")
    assert adapt(recipe, copy, resume=True, quiet=True).progress.step == 12
    assert unequal_weights(tmp_path / "whole", copy) == []


def test_a_run_without_a_whole_checkpoint_does_not_begin_anew_unasked(copy: Path, killed: Any) -> None:
    for path in (copy / "checkpoints").glob("step_*/optimizer.pt"):
        path.write_bytes(b"")
    with pytest.raises(DataError, match="no checkpoint is intact"):
        adapt(build_recipe(killed[1]), copy, resume=True, quiet=True)


def test_one_run_at_a_time(copy: Path, killed: Any) -> None:
    with alone(copy, inside=True), pytest.raises(UsageError, match="in use by another run"):
        adapt(build_recipe(killed[1]), copy, resume=True, quiet=True)


def test_a_finished_run_is_left_alone_and_replaced_on_request(
    copy: Path, killed: Any, caplog: pytest.LogCaptureFixture
) -> None:
    tree = killed[1]
    adapt(build_recipe(tree), copy, resume=True, quiet=True)
    before = (copy / "model.safetensors").read_bytes()
    again = adapt(build_recipe(tree), copy, resume=True, quiet=True)
    assert again.summary() == json.loads((copy / "summary.json").read_text(encoding="utf-8"))
    assert "nothing to resume" in caplog.text
    with pytest.raises(RecipeError, match="seed 5 instead of 0"):
        adapt(build_recipe(tree | {"seed": 5}), copy, resume=True, quiet=True)
    with pytest.raises(RecipeError, match="--overwrite"):
        adapt(build_recipe(tree), copy, quiet=True)
    assert (copy / "model.safetensors").read_bytes() == before
    (copy / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"notes\.txt"):
        adapt(build_recipe(tree), copy, overwrite=True, quiet=True)
    (copy / "notes.txt").unlink()
    changed = build_recipe(tree | {"seed": 5, "optimiser": {"learning_rate": 0.01}})
    metrics = (copy / "metrics.jsonl").read_text(encoding="utf-8")
    adapt(changed, copy, overwrite=True, quiet=True)
    assert (copy / "metrics.jsonl").read_text(encoding="utf-8") != metrics
    assert finished_summary(copy, changed) is not None


def test_a_refused_run_leaves_no_folder(tree: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(RecipeError):
        adapt(build_recipe(tree | {"train": "nowhere.jsonl"}), tmp_path / "out", quiet=True)
    assert not (tmp_path / "out").exists()


def test_a_full_disk_is_one_sentence(
    tree: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object, **__: object) -> None:
        raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 7943040 vs 7942932")

    monkeypatch.setattr(torch, "save", full)
    path = tmp_path / "recipe.yaml"
    path.write_text(json.dumps(tree | QUICK))
    assert run(["train", str(path), "-o", str(tmp_path / "out"), "-q"]) == 3
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert "step_000003" in message and "No space left" in message and "unexpected" not in message


def test_the_recipe_of_a_result_can_be_carried_out_again(
    killed: tuple[Path, dict[str, Any]],
    corpus: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(corpus)
    tree = killed[1] | {"train": "train.jsonl", "dev": ["dev.jsonl"], "schedule": {"steps": 1}}
    tree["model"] = os.path.relpath(tree["model"], corpus)
    adapt(build_recipe(tree), tmp_path / "result", quiet=True)
    monkeypatch.chdir(tmp_path)
    again = tmp_path / "result" / "recipe.yaml"
    assert run(["train", str(again), "-o", str(tmp_path / "again"), "--dry-run"]) == 0
    assert run(["train", str(again), "-o", str(tmp_path / "again"), "--quiet"]) == 0
    first, second = (load_file(tmp_path / name / "model.safetensors") for name in ("result", "again"))
    assert first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)
    capsys.readouterr()
    monkeypatch.chdir(corpus)
    adapt(build_recipe(tree), tmp_path / "result", resume=True, quiet=True)
