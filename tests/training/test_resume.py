"""SIGKILL at any moment, then ``--resume``: the same weights, bit for bit, as a run that was never killed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors.torch import load_file

from asr_adapt.training import adapt, load_recipe


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def losses(folder: Path) -> list[tuple[int, float]]:
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [(m["step"], m["loss"]) for m in map(json.loads, lines) if m["kind"] == "step"]


def kill_after(step: int, command: list[str], metrics: Path) -> None:
    """Start ``command`` and kill it once ``metrics`` holds ``step``."""
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if metrics.exists() and f'"step": {step}, "epoch"' in metrics.read_text(encoding="utf-8"):
            process.send_signal(signal.SIGKILL)
        time.sleep(0.005)
    process.wait(timeout=10)
    assert process.returncode == -signal.SIGKILL, process.stderr.read().decode() if process.stderr else ""


def test_a_killed_run_ends_like_one_that_never_was(tree: dict[str, Any], tmp_path: Path) -> None:
    tree |= {
        "strategy": "full",
        "schedule": {"steps": 400},
        "evaluation": {"every": 200},
        "checkpoint_every": 20,
        "batch": {"seconds": 8.0},
        "replay": {"manifest": tree["guard"], "share": 0.25},
        "regularisation": {"hidden_dropout": 0.1, "layer_drop": 0.2},
    }
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(tree), encoding="utf-8")
    adapt(load_recipe(path), tmp_path / "whole", quiet=True)
    command = [
        sys.executable,
        "-m",
        "asr_adapt",
        "train",
        str(path),
        "--quiet",
        "--output",
        str(tmp_path / "killed"),
    ]
    kill_after(50, command, tmp_path / "killed" / "metrics.jsonl")
    assert not (tmp_path / "killed" / "summary.json").exists()
    kill_after(230, [*command, "--resume"], tmp_path / "killed" / "metrics.jsonl")
    adapt(load_recipe(path), tmp_path / "killed", resume=True, quiet=True)
    assert losses(tmp_path / "killed") == losses(tmp_path / "whole")
    before, after = weights(tmp_path / "whole"), weights(tmp_path / "killed")
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_resuming_a_finished_run_changes_nothing(tree: dict[str, Any], tmp_path: Path) -> None:
    from asr_adapt.training import build_recipe

    tree |= {"schedule": {"steps": 6}, "evaluation": {"every": 3}}
    recipe = build_recipe(tree)
    adapt(recipe, tmp_path / "out", quiet=True)
    first = weights(tmp_path / "out")
    adapt(recipe, tmp_path / "out", quiet=True, resume=True)
    again = weights(tmp_path / "out")
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_half_written_checkpoints_are_ignored(tmp_path: Path) -> None:
    from asr_adapt.training.learning.checkpoints import newest_checkpoint

    (tmp_path / ".step_000007.abc.tmp").mkdir()
    (tmp_path / "step_000005").mkdir()
    whole = tmp_path / "step_000003"
    whole.mkdir()
    (whole / "progress.json").write_text("{}", encoding="utf-8")
    assert newest_checkpoint(tmp_path) == whole
