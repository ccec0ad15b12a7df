"""Adaptation end to end on a tiny real model: it learns, what is frozen stays, results are whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import soundfile
import torch
from safetensors.torch import load_file
from transformers import pipeline

from asr_adapt.models import Recogniser, load_recogniser
from asr_adapt.training import adapt, build_recipe
from asr_adapt.training.learning.strategies import trainable_stages

STRATEGIES: list[dict[str, Any]] = [
    {"name": "head"},
    {"name": "top_layers", "top_layers": 1},
    {"name": "full"},
    {"name": "full", "feature_encoder": True},
]


def run(tree: dict[str, Any], folder: Path, **keywords: Any) -> dict[str, Any]:
    adapt(build_recipe(tree), folder, quiet=True, **keywords)
    return json.loads((folder / "summary.json").read_text(encoding="utf-8"))


def test_the_muddled_recogniser_learns_its_letters_again(tree: dict[str, Any], tmp_path: Path) -> None:
    summary = run(tree, tmp_path / "out")
    assert summary["target"]["before"] > 0.9
    assert summary["target"]["after"] < 0.1
    assert summary["guard"]["after"] < summary["guard"]["before"]
    assert summary["steps"] == 60 and summary["best_step"] in (20, 40, 60)
    low, high = (summary["target"]["after_interval"][k] for k in ("low", "high"))
    assert low <= summary["target"]["after"] <= high


def test_the_result_is_a_plain_transformers_directory_with_its_proof(
    tree: dict[str, Any], corpus: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    run(tree, folder)
    present = {p.name for p in folder.iterdir()}
    assert {
        "model.safetensors",
        "config.json",
        "recipe.yaml",
        "metrics.jsonl",
        "summary.json",
        "README.md",
    } <= present
    assert not [name for name in present if name.endswith(".tmp")]
    clip = str(corpus / "dev-00.wav")
    samples = soundfile.read(clip, dtype="float32")[0]
    text = pipeline("automatic-speech-recognition", model=str(folder), device="cpu")(samples)["text"]
    import asr_adapt

    assert text == asr_adapt.transcribe(clip, model=str(folder)).text != ""
    predictions = (folder / "predictions" / "target.after.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(predictions) == 6 and "pred_text" in json.loads(predictions[0])
    metrics = [
        json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    assert [m["step"] for m in metrics if m["kind"] == "step"] == list(range(1, 61))
    assert [m["step"] for m in metrics if m["kind"] == "evaluation"] == [0, 20, 40, 60]


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda s: "-".join(map(str, s.values())))
def test_frozen_means_bit_identical(
    tree: dict[str, Any], strategy: dict[str, Any], muddled_model: Path, tmp_path: Path
) -> None:
    tree |= {"strategy": strategy, "schedule": {"steps": 120, "kind": "constant"}}
    recipe = build_recipe(tree)
    base = load_recogniser(muddled_model, device="cpu")
    stages = trainable_stages(base.stack, recipe.strategy)
    learning = {name for i in stages for name, _ in base.stack.parameters_of(i)}
    before = load_file(muddled_model / "model.safetensors")
    summary = run(tree, tmp_path / "out")
    assert summary["best_step"] > 0, "the test needs a changed model"
    after = load_file(tmp_path / "out" / "model.safetensors")
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed <= learning
    assert "lm_head.weight" in changed
    assert (learning - changed) <= {"wav2vec2.masked_spec_embed", *_silent(base)}


def _silent(base: Recogniser) -> set[str]:
    """Parameters that get no gradient because the tone model's layer is switched off by zeros."""
    return {n for n, _ in base.model.named_parameters() if "encoder" in n or "feature_" in n}


def test_a_worse_model_is_never_called_best(tree: dict[str, Any], tone_model: Path, tmp_path: Path) -> None:
    tree |= {"model": str(tone_model), "optimiser": {"learning_rate": 5.0, "gradient_clip": 0.0}}
    summary = run(tree, tmp_path / "out")
    assert summary["best_step"] == 0
    assert summary["target"]["after"] == summary["target"]["before"] == 0.0
    assert "no step was better" in summary["hints"][-1]
    before, after = (load_file(f / "model.safetensors") for f in (tone_model, tmp_path / "out"))
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_early_stopping_counts_evaluations_without_gain(
    tree: dict[str, Any], tone_model: Path, tmp_path: Path
) -> None:
    tree |= {"model": str(tone_model), "schedule": {"steps": 50}, "evaluation": {"every": 2, "patience": 2}}
    assert run(tree, tmp_path / "out")["steps"] == 4


def test_a_replacement_vocabulary_keeps_shared_rows_and_learns_the_rest(
    tree: dict[str, Any], tmp_path: Path
) -> None:
    tree |= {"vocabulary": "from_manifest", "schedule": {"steps": 120}}
    summary = run(tree, tmp_path / "out")
    vocabulary = json.loads((tmp_path / "out" / "vocab.json").read_text(encoding="utf-8"))
    assert set(vocabulary) == {"<pad>", "<unk>", "|", *"abcdefg"}
    assert summary["target"]["after"] < 0.1


def test_two_micro_batches_are_one_large_batch(tree: dict[str, Any], tmp_path: Path) -> None:
    """The loss is nats per label of the whole step, so accumulation changes nothing but the grouping."""
    tree |= {
        "schedule": {"steps": 3},
        "regularisation": {"spec_augment": {"time_share": 0, "feature_share": 0}},
    }
    losses = []
    for name, batch in (
        ("one", {"seconds": 200.0}),
        ("two", {"seconds": 200.0, "rows": 12, "accumulate": 2}),
    ):
        run({**tree, "batch": batch}, tmp_path / name)
        lines = (tmp_path / name / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        losses.append([m["loss"] for m in map(json.loads, lines) if m["kind"] == "step"])
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_an_output_that_holds_a_run_is_not_overwritten(tree: dict[str, Any], tmp_path: Path) -> None:
    from asr_adapt.errors import RecipeError

    run(tree, tmp_path / "out")
    with pytest.raises(RecipeError, match="holds an earlier run"):
        run(tree, tmp_path / "out")


def test_a_second_run_in_the_same_process_may_have_another_precision(
    tree: dict[str, Any], tmp_path: Path
) -> None:
    tree |= {"schedule": {"steps": 2}, "evaluation": {"every": 2}}
    for precision in ("float32", "bfloat16", "float32"):
        name = f"{precision}-{len(list(tmp_path.iterdir()))}"
        assert run({**tree, "precision": precision}, tmp_path / name)["steps"] == 2
