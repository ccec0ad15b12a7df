"""What the base wrote is kept from run to run; phases are timed and told; a run can be estimated."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import pytest

from asr_adapt.cli.app import main
from asr_adapt.decoding import Decoding
from asr_adapt.models import load_recogniser, weights_fingerprint
from asr_adapt.training import adapt, build_recipe
from asr_adapt.transcription import evaluate_rows
from asr_adapt.transcription.known_states import KnownRows

KEPT = "transcripts of an earlier run"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_another_rate_finds_the_base_s_figures_and_fresh_does_without(
    tree: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    quick = tree | {"schedule": {"steps": 2}, "evaluation": {"every": 2}}

    def run(name: str, rate: float, *, fresh: bool) -> tuple[str, list[float], dict[str, Any]]:
        caplog.clear()
        with caplog.at_level(logging.INFO):
            changed = {"optimiser": {"learning_rate": rate}, "cache": {"transcripts": not fresh}}
            summary = adapt(build_recipe(quick | changed), tmp_path / name).summary()
        lines = "\n".join(record.getMessage() for record in caplog.records)
        return lines, [summary["target"]["before"], summary["evaluations"][0]["dev"]], summary

    first, figures, _ = run("one", 1e-3, fresh=False)
    second, again, summary = run("two", 1e-4, fresh=False)
    third, anew, _ = run("three", 1e-4, fresh=True)
    assert figures == again == anew
    assert KEPT not in third
    assert f"6 of 6 rows: {KEPT}" in second
    assert summary["best_step"] == 0, "so that the tests behind it are the base's too"
    assert second.count(KEPT) == 3 * 2, "dev and guard, as tests before and after, and before the first step"
    assert first.count(KEPT) < second.count(KEPT)
    assert set(summary["time"]["seconds"]) >= {"other", "prefix", "measuring", "training"}
    assert 0 < summary["time"]["measuring_share"] < 1
    rows = map(json.loads, (tmp_path / "two" / "metrics.jsonl").read_text("utf-8").splitlines())
    phases = [row for row in rows if row["kind"] == "phase"]
    assert [row["label"] for row in phases].count("dev and guard") == 2
    assert {"measuring the base", "measuring the adapted model", "training"} <= {r["label"] for r in phases}
    assert sum(summary["time"]["seconds"].values()) == pytest.approx(
        summary["time"]["whole_seconds"], abs=0.1
    )


def test_other_weights_other_sound_or_other_settings_are_transcribed_anew(
    tree: dict[str, Any], corpus: Path, tmp_path: Path
) -> None:
    shutil.copytree(corpus, tmp_path / "corpus")
    manifest = tmp_path / "corpus" / "dev.jsonl"
    recogniser = load_recogniser(tree["model"], device="cpu")

    def kept(**more: Any) -> int:
        known = KnownRows(weights=weights_fingerprint(recogniser))
        return evaluate_rows(manifest, recogniser, decoding=Decoding(**more), known=known).kept

    assert [kept(), kept()] == [0, 6]
    assert kept(batch_seconds=5.0) == 6, "speed changes no text"
    assert kept(word_timestamps=True) == 0
    first = tmp_path / "corpus" / json.loads(manifest.read_text("utf-8").splitlines()[0])["audio_filepath"]
    first.write_bytes(first.read_bytes() + b"\0\0")
    assert kept() == 5
    recogniser.model.lm_head.bias.data[0] += 1.0
    assert kept() == 0


@pytest.mark.parametrize("content", [b"{", b'["a"]', b'{"a": {"text": "b"}}', b"\xff\xfe"])
def test_damaged_transcripts_of_an_earlier_run_are_named_and_written_anew(
    tree: dict[str, Any], corpus: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    recogniser = load_recogniser(tree["model"], device="cpu")
    known = KnownRows(weights=weights_fingerprint(recogniser))
    first = evaluate_rows(corpus / "dev.jsonl", recogniser, known=known)
    (path,) = (tmp_path / "cache" / "asr-adapt" / "predictions").iterdir()
    path.write_bytes(content)
    again = evaluate_rows(corpus / "dev.jsonl", recogniser, known=known)
    assert (again.kept, again.hypotheses) == (0, first.hypotheses)
    assert any(f"{path}: predictions of an earlier run cannot be read" in said for said in caplog.messages)
    assert evaluate_rows(corpus / "dev.jsonl", recogniser, known=known).kept == 6


def test_a_cache_that_cannot_be_made_costs_nothing_but_time(
    tree: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Sound states, transcripts and all: a file stands where the user's cache folder should be."""
    (tmp_path / "cache").write_text("no folder")
    recipe = build_recipe(tree | {"schedule": {"steps": 2}, "evaluation": {"every": 2}})
    summary = adapt(recipe, tmp_path / "run").summary()
    assert summary["steps"] == 2 and (tmp_path / "run" / "model.safetensors").is_file()
    said = "\n".join(caplog.messages)
    assert "predictions cannot be saved" in said and "prefix cache" in said


def test_evaluate_says_that_it_uses_them(
    tree: dict[str, Any], corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["evaluate", str(corpus / "dev.jsonl"), "--model", tree["model"], "--json"]
    results = []
    for more in ([], [], ["--fresh"]):
        with pytest.raises(SystemExit) as ended:
            main([*command, *more])
        assert ended.value.code == 0
        out, err = capsys.readouterr()
        results.append((json.loads(out), KEPT in err))
    assert [said for _, said in results] == [False, True, False]
    assert [found["kept_rows"] for found, _ in results] == [0, 6, 0]
    assert len({found["overall"]["wer"] if "overall" in found else found["wer"] for found, _ in results}) == 1


def test_a_dry_run_says_what_it_takes_and_leaves_nothing(
    recipe_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path for path in tmp_path.rglob("*") if "cache" not in path.parts}
    command = ["train", str(recipe_path), "--output", str(tmp_path / "out"), "--dry-run"]
    found = []
    for more in ([], ["--json"]):
        with pytest.raises(SystemExit) as ended:
            main([*command, *more])
        assert ended.value.code == 0
        found.append(capsys.readouterr().out)
    planned, estimated = found[0].splitlines()
    assert planned.startswith("plan: strategy ") and " 60 steps; " in planned
    assert estimated.startswith("estimate: 24 training rows; the frozen prefix of 48 rows ")
    values = json.loads(found[1])
    assert values["steps"] == 60 and values["step_seconds"] > 0
    assert values["decoded_rows"] == 12 * 4 + 2 * 12, "four evaluations of dev and guard, the tests twice"
    assert values["seconds"] == pytest.approx(
        values["encoding_seconds"] + values["training_seconds"] + values["decoding_seconds"]
    )
    assert {path for path in tmp_path.rglob("*") if "cache" not in path.parts} == before
