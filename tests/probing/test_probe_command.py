"""``asr-adapt probe`` end to end: sweep, saved classifier, use, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from asr_adapt.cli.app import run
from asr_adapt.manifest import Manifest, write_manifest
from tests.probing.conftest import KEYWORDS


def call(*arguments: object) -> int:
    return run(["probe", *map(str, arguments)])


@pytest.fixture(scope="module")
def saved(keywords: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("probe") / "out"
    assert call(keywords, "--label", "text", "--model", tiny_model, "--folds", 3, "-o", folder) == 0
    return folder


def test_keywords_of_unheard_voices_are_told_apart(saved: Path) -> None:
    sweep = json.loads((saved / "sweep.json").read_text(encoding="utf-8"))
    assert set(sweep["classes"]) == set(KEYWORDS)
    assert sweep["classes"]["two"] == {"rows": 12, "groups": 6}
    assert sweep["left_out_rows"] == {"": 1}
    assert sweep["majority"] == {"accuracy": pytest.approx(1 / 3), "balanced": pytest.approx(1 / 3)}
    layers = {entry["layer"] for entry in sweep["layers"]}
    assert layers == {"feature_encoder", "embedding", "layer_0", "layer_1", "layer_2", "final_norm"}
    chosen = sweep["chosen"]
    assert chosen["balanced"]["value"] == max(entry["balanced"]["value"] for entry in sweep["layers"])
    assert chosen["balanced"]["value"] > 0.7
    assert chosen["balanced"]["low"] <= chosen["balanced"]["value"] <= chosen["balanced"]["high"]
    assert {p.name for p in saved.iterdir()} == {
        ".asr-adapt.json", "probe.json", "classifier.safetensors", "sweep.json", "layers.svg", "layers.png",
    }  # fmt: skip


def test_the_saved_classifier_answers_for_files_and_manifests(
    saved: Path, keywords: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(keywords, "--apply", saved, "--json") == 0
    records = [r for r in json.loads(capsys.readouterr().out) if r["true"] is not None]
    assert len(records) == 36
    assert sum(r["label"] == r["true"] for r in records) > 30
    wave = keywords.parent / Path(records[0]["audio_filepath"]).name
    assert call(wave, "--apply", saved) == 0
    assert capsys.readouterr().out.split()[0] == records[0]["label"]


def test_an_input_that_is_not_there_is_named_and_the_others_are_done(
    saved: Path, keywords: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wave = next(keywords.parent.glob("*two*.wav"))
    assert call(wave, "nowhere.wav", "--apply", saved) == 1
    done = capsys.readouterr()
    assert wave.name in done.out and "nowhere.wav" in done.err


def test_another_models_weights_are_not_comparable(
    saved: Path, keywords: Path, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from asr_adapt.models import load_recogniser

    other = load_recogniser(tiny_model, device="cpu", compute_type="float32")
    with torch.no_grad():
        next(iter(other.stack.parameters_of(0)))[1].add_(0.5)
    other.save(tmp_path / "other")
    wave = next(keywords.parent.glob("*two*.wav"))
    assert call(wave, "--apply", saved, "--model", tmp_path / "other") == 4
    assert "not those that the probe was trained on" in capsys.readouterr().err


def test_the_table_shows_majority_and_the_corrected_choice(
    keywords: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = (keywords, "--label", "text", "--model", tiny_model, "--layers", "1", "--pool", "mean_std")
    assert call(*arguments) == 0
    out = capsys.readouterr().out
    assert "majority" in out and "33.3%" in out and "on speakers that did not choose it" in out
    assert "no speaker in two" in out


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--label", "accent"], 3, "fewer than two values have two or more speakers"),
        (["--label", "text", "--group", "session"], 3, "keywords.jsonl:1: session: no 'session'"),
        (["--label", "text", "--layers", "9"], 2, "there is no layer '9'"),
        (["--label", "text", "--pool", "max"], 2, "pooling 'max' is unknown"),
        ([], 2, "--label FIELD"),
        (["--apply", "nowhere"], 3, "name the --output folder of asr-adapt probe"),
    ],
)
def test_refusals_are_one_sentence(
    arguments: list[str], status: int, message: str, keywords: Path, tiny_model: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert call(keywords, "--model", tiny_model, *arguments) == status
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_a_label_of_one_speaker_is_left_out(
    keywords: Path, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [r.replace(accent="rare" if r.speaker == "Andy" else r.text) for r in Manifest.open(keywords)]
    write_manifest(tmp_path / "rare.jsonl", rows)
    arguments = (
        tmp_path / "rare.jsonl",
        "--label",
        "accent",
        "--model",
        tiny_model,
        "--layers",
        "0",
        "--json",
    )
    assert call(*arguments) == 0
    sweep = json.loads(capsys.readouterr().out)
    assert sweep["left_out_rows"]["rare"] == 6 and "rare" not in sweep["classes"]


def test_a_full_folder_is_not_overwritten(
    saved: Path, keywords: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(keywords, "--label", "text", "--model", tiny_model, "-o", saved) == 2
    assert "not empty" in capsys.readouterr().err
