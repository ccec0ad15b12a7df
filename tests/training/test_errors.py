"""What can be wrong with a recipe or its data: one sentence, exit status 3, before any training."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import yaml

from asr_adapt import evaluate
from asr_adapt.cli.app import run
from asr_adapt.errors import DataError, RecipeError
from asr_adapt.manifest import Manifest, read_waveform
from asr_adapt.training import load_recipe

Spoil = Callable[[dict[str, Any], list[dict[str, Any]]], None]


def _set(field: str, value: Any) -> Spoil:
    return lambda tree, rows: rows[2].__setitem__(field, value)


def _drop(field: str) -> Spoil:
    return lambda tree, rows: rows[2].pop(field) and None


ROWS: dict[str, tuple[Spoil, list[str]]] = {
    "missing text": (_drop("text"), ["train.jsonl:3", "text", "transcript is missing"]),
    "missing duration": (_drop("duration"), ["train.jsonl:3", "duration", "manifest build"]),
    "moved audio": (_set("audio_filepath", "gone.wav"), ["train.jsonl:3", "gone.wav", "moved"]),
    "unknown character": (_set("text", "cafe ñ"), ["train.jsonl:3", "'ñ'", "extend"]),
    "too long": (_set("text", "cab " * 60), ["train.jsonl:3", "needs", "frames", "invalid_rows"]),
    "only punctuation": (_set("text", "…!"), ["train.jsonl:3", "empty after normalisation"]),
}


@pytest.fixture
def spoilt(tree: dict[str, Any], corpus: Path, tmp_path: Path) -> Callable[[Spoil], Path]:
    """Write a recipe whose training manifest had one row spoilt."""

    def write(spoil: Spoil) -> Path:
        rows = [
            json.loads(line) for line in (corpus / "train.jsonl").read_text(encoding="utf-8").splitlines()
        ]
        for row in rows:
            row["audio_filepath"] = str(corpus / row["audio_filepath"])
        spoil(tree, rows)
        (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n", encoding="utf-8")
        tree["train"] = "train.jsonl"
        path = tmp_path / "recipe.yaml"
        path.write_text(yaml.safe_dump(tree), encoding="utf-8")
        return path

    return write


def fails(arguments: list[str], capsys: pytest.CaptureFixture[str], status: int = 3) -> str:
    """The one sentence on stderr of a call that must fail with ``status``."""
    assert run(arguments) == status
    out, err = capsys.readouterr()
    lines = [line for line in err.splitlines() if line.startswith("asr-adapt: ")]
    assert len(lines) == 1 and "Traceback" not in err and out == ""
    return lines[0]


@pytest.mark.parametrize("case", ROWS)
def test_a_row_that_cannot_be_learnt_from_is_named(
    case: str, spoilt: Callable[[Spoil], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil, wanted = ROWS[case]
    sentence = fails(["train", str(spoilt(spoil)), "-o", str(tmp_path / "out"), "-q"], capsys)
    for part in wanted:
        assert part in sentence
    assert not (tmp_path / "out" / "summary.json").exists()


def test_rows_that_are_too_long_can_be_dropped(spoilt: Callable[[Spoil], Path], tmp_path: Path) -> None:
    path = spoilt(_set("text", "cab " * 60))
    out = tmp_path / "out"
    assert run(["train", str(path), "invalid_rows=drop", "schedule.steps=2", "-o", str(out), "-q"]) == 0
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    assert summary["rows"] == 23 and "train.jsonl:3" in summary["dropped_rows"][0]


RECIPES = {
    "unknown field": ("optimizer: {}\n", ["recipe.yaml:1", "optimizer", "did you mean optimiser?"]),
    "unknown nested field": (
        "strategy:\n  name: full\n  layers: 3\n",
        [":3", "strategy.layers", "top_layers"],
    ),
    "wrong value": ("schedule: {steps: -1}\n", ["schedule.steps", "greater than or equal to 1"]),
    "not a choice": ("strategy: everything\n", ["strategy.name", "'head'"]),
    "contradiction": ("strategy: {name: head, feature_encoder: true}\n", ["feature_encoder needs"]),
    "null in a name": ('guard: ["ok.jsonl", "b\\0d.jsonl"]\n', ["recipe.yaml:1: guard", "null character"]),
    "null below": ('replay:\n  manifest: "\\0"\n', ["recipe.yaml:2: replay.manifest", "null character"]),
    "unknown user": ('test: "~nobody-has-this-name/t.jsonl"\n', ["manifest"]),
    "broken yaml": ("model: [nano\n", ["recipe.yaml:"]),
    "no mapping": ("- a\n", ["mapping"]),
}


@pytest.mark.parametrize("case", RECIPES)
def test_a_wrong_recipe_names_line_and_field(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, wanted = RECIPES[case]
    rest = "" if case in ("broken yaml", "no mapping") else "train: a.jsonl\ndev: b.jsonl\n"
    path = tmp_path / "recipe.yaml"
    path.write_text(text + rest, encoding="utf-8")
    sentence = fails(["train", str(path)], capsys)
    for part in wanted:
        assert part in sentence


def test_a_missing_manifest_recipe_and_model_are_named(
    recipe_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ["-o", str(tmp_path / "out"), "-q"]
    assert "nowhere.jsonl" in fails(["train", str(recipe_path), "train=nowhere.jsonl", *out], capsys)
    assert "nothing.yaml" in fails(["train", str(tmp_path / "nothing.yaml"), *out], capsys)
    assert "no-such-model" in fails(["train", str(recipe_path), "model=no-such-model", *out], capsys)
    hub = fails(["train", str(recipe_path), "model=someone/some-model", *out], capsys)
    assert "someone/some-model" in hub and "network" in hub


def test_overrides_reach_nested_fields_and_numbers(recipe_path: Path) -> None:
    recipe = load_recipe(recipe_path, ["optimiser.learning_rate=1e-4", "strategy.name=full", "seed=7"])
    assert recipe.optimiser.learning_rate == 1e-4
    assert recipe.strategy.name == "full" and recipe.seed == 7
    assert recipe.optimiser.head_learning_rate == 0.1, "the file's other fields stay"
    with pytest.raises(RecipeError, match="key=value"):
        load_recipe(recipe_path, ["steps"])


def test_a_row_of_one_channel_is_learnt_from_and_transcribed_alone(
    tone_model: Path, say: Callable[..., np.ndarray], tmp_path: Path
) -> None:
    left, right = say("bad"), say("cafe")
    size = max(len(left), len(right))
    both = np.stack([np.pad(wave, (0, size - len(wave))) for wave in (left, right)], axis=1)
    soundfile.write(tmp_path / "two.wav", both, 16_000)
    rows = [
        {"audio_filepath": "two.wav", "id": text, "duration": size / 16_000, "text": text, "channel": channel}
        for channel, text in enumerate(("bad", "cafe"))
    ]
    manifest = tmp_path / "two.jsonl"
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    heard = [row.extra["pred_text"] for row in evaluate(Manifest.open(manifest), model=str(tone_model)).rows]
    assert heard == ["bad", "cafe"]
    read = [read_waveform(row, 16_000) for row in Manifest.open(manifest)]
    assert np.abs(read[0] - both[:, 0]).max() < 1e-3 and np.abs(read[1] - both[:, 1]).max() < 1e-3
    manifest.write_text(json.dumps(rows[0] | {"channel": "left"}) + "\n")
    with pytest.raises(DataError, match=r"two\.jsonl.*1.*channel.*counted from 0"):
        read_waveform(Manifest.open(manifest)[0], 16_000)


def test_a_mistake_in_a_recipe_is_named_without_torch(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text("train: a.jsonl\ndev: b.jsonl\nscheduel: {steps: 2}\n")
    program = (
        "import sys; from asr_adapt.cli.app import run; "
        "status = run(['train', 'recipe.yaml', '-o', 'out']); print(status, 'torch' in sys.modules)"
    )
    command = [sys.executable, "-c", program]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["3", "False"]
    assert "recipe.yaml:3" in found.stderr and "schedule" in found.stderr
