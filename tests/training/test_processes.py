"""Two real processes train as one does: same losses, same weights, killed or not, on two or on one."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

from asr_adapt.destinations import MARKER
from asr_adapt.training import adapt, load_recipe
from asr_adapt.training.data.batches import deal
from tests.launching import kill, launch, run, start

STEPS = 16
DOCS = Path(__file__).resolve().parents[2] / "docs"


def scaled(tree: dict[str, Any], folder: Path, **batch: Any) -> Path:
    """A recipe with everything random in it, so that a slip in any seed shows."""
    recipe = tree | {
        "strategy": "full",
        "optimiser": {"learning_rate": 1e-3},
        "schedule": {"steps": STEPS},
        "evaluation": {"every": 8},
        "checkpoint_every": 4,
        "batch": {"seconds": 8.0, **batch},
        "replay": {"manifest": tree["guard"], "share": 0.25},
        "regularisation": {"hidden_dropout": 0.1, "layer_drop": 0.3},
    }
    path = folder / f"{len(list(folder.iterdir()))}.yaml"
    path.write_text(yaml.safe_dump(recipe), encoding="utf-8")
    return path


def losses(folder: Path) -> list[float]:
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [m["loss"] for m in map(json.loads, lines) if m["kind"] == "step"]


def assert_alike(one: Path, two: Path) -> None:
    """Equal but for the order in which floats were added."""
    assert len(losses(one)) == STEPS
    assert losses(one) == pytest.approx(losses(two), rel=1e-4)
    first, second = (load_file(folder / "model.safetensors") for folder in (one, two))
    for name, value in first.items():
        torch.testing.assert_close(second[name], value, rtol=1e-3, atol=2e-5, msg=name)
    summaries = [json.loads((folder / "summary.json").read_text(encoding="utf-8")) for folder in (one, two)]
    for name in ("best_step", "steps", "rows"):
        assert summaries[0][name] == summaries[1][name]
    assert summaries[0]["target"]["after"] == pytest.approx(summaries[1]["target"]["after"], abs=0.05)


def test_two_processes_are_one_with_twice_the_batch_also_killed_and_resumed_on_two_or_one(
    tree: dict[str, Any], tmp_path: Path
) -> None:
    whole, pair, moved = tmp_path / "whole", tmp_path / "pair", tmp_path / "moved"
    tree |= {"vocabulary": "from_manifest"}
    alone = load_recipe(scaled(tree, tmp_path, accumulate=2))
    adapt(alone, whole, quiet=True)
    command = ["train", str(scaled(tree, tmp_path, accumulate=1)), "-o", str(pair)]
    kill_at(6, launch(2, *command, "--quiet"), pair)
    shutil.copytree(pair, moved)
    result = run(launch(2, *command, "--resume", "--json"))
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["steps"] == STEPS, "one summary, not two"
    assert result.stderr.count("step 8: dev WER") == 1, "only the main process speaks"
    assert_alike(whole, pair)
    assert [p.name for p in pair.iterdir() if p.name.startswith(".")] == [MARKER], (
        "nothing unfinished is left"
    )
    adapt(alone, moved, resume=True, quiet=True)
    assert_alike(whole, moved)


def test_fsdp_on_two_processes_is_one_killed_and_resumed_too(tree: dict[str, Any], tmp_path: Path) -> None:
    whole, split = tmp_path / "whole", tmp_path / "split"
    adapt(load_recipe(scaled(tree, tmp_path, accumulate=2)), whole, quiet=True)
    command = ["train", str(scaled(tree, tmp_path)), "-o", str(split), "--quiet"]
    configuration = ["--config_file", str(DOCS / "accelerate-fsdp.yaml")]
    kill_at(6, launch(2, *command, launcher=configuration), split)
    result = run(launch(2, *command, "--resume", launcher=configuration))
    assert result.returncode == 0, result.stderr
    assert_alike(whole, split)


def test_an_error_that_one_process_meets_ends_both_with_one_sentence(
    tree: dict[str, Any], corpus: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "corpus"
    broken.mkdir()
    rows = [json.loads(s) for s in (corpus / "train.jsonl").read_text(encoding="utf-8").splitlines()]
    for row in rows:
        row["audio_filepath"] = str(corpus / row["audio_filepath"])
    (broken / "bad.wav").write_bytes(b"RIFF no sound")
    rows[3]["audio_filepath"] = "bad.wav"
    (broken / "train.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n", encoding="utf-8")
    tree |= {"train": str(broken / "train.jsonl")}
    result = run(launch(2, "train", str(scaled(tree, tmp_path)), "-o", str(tmp_path / "out"), "--quiet"))
    assert result.returncode != 0
    told = [line for line in result.stderr.splitlines() if line.startswith("asr-adapt: ")]
    assert len(told) == 1 and "train.jsonl:4" in told[0], result.stderr


def test_a_step_is_dealt_out_evenly() -> None:
    assert deal([9.0, 1.0, 5.0, 5.0], 2) == [[0, 1], [2, 3]]
    assert deal([3.0, 2.0], 1) == [[0, 1]]
    shares = deal([float(i) for i in range(12)], 3)
    assert sorted(place for share in shares for place in share) == list(range(12))


def kill_at(step: int, command: list[str], output: Path) -> None:
    """Start ``command`` and kill all its processes once ``step`` is in the metrics."""
    process = start(command)
    metrics = output / "metrics.jsonl"
    deadline = time.monotonic() + 240
    try:
        while time.monotonic() < deadline and process.poll() is None:
            if metrics.exists() and f'"step": {step}, "epoch"' in metrics.read_text(encoding="utf-8"):
                break
            time.sleep(0.005)
        assert process.poll() is None, process.communicate()[1]
    finally:
        kill(process)
    assert not (output / "summary.json").exists()
