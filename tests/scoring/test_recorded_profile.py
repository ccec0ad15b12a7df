"""Scores take the profile that evaluate used, unless told otherwise; unlike profiles are never mixed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from asr_adapt.cli.app import run
from asr_adapt.scoring.predictions import settings_path
from tests.scoring.conftest import write_rows

SAID = [("call five five five one two", "Call 555-12"), ("the colour of it", "the color of it")]
#: Errors of these rows under each profile.
ERRORS = {"basic": 5 + 1, "alnum-en": 1, "spelled-en": 1, "whisper-en": 2}


@pytest.fixture
def evaluated(tmp_path: Path) -> Any:
    """``evaluated(name, profile)``: a predictions file evaluated under a profile, or under none."""

    def write(name: str, profile: str | None, version: str = "1") -> str:
        rows = [
            {"audio_filepath": f"{n}.wav", "id": str(n), "text": text, "pred_text": heard, "duration": 1.0}
            for n, (text, heard) in enumerate(SAID)
        ]
        path = write_rows(tmp_path / f"{name}.jsonl", rows)
        settings: dict[str, Any] = {"model": name, "decoding": "greedy"}
        if profile:
            settings["normaliser"] = {"name": profile, "version": version}
        settings_path(path).write_text(json.dumps(settings))
        return str(path)

    return write


def out(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("profile", ["basic", "alnum-en", "spelled-en", None])
def test_score_takes_the_recorded_profile(evaluated: Any, capsys: Any, profile: str | None) -> None:
    path = evaluated("a", profile)
    assert run(["score", path, "--json"]) == 0
    value = out(capsys)
    assert (value["normaliser"]["name"], value["errors"]) == (profile or "basic", ERRORS[profile or "basic"])
    assert run(["score", path, "--json", "--normalise", "whisper-en"]) == 0
    assert out(capsys)["normaliser"]["name"] == "whisper-en"


def test_another_version_of_the_profile_is_said(evaluated: Any, capsys: Any) -> None:
    assert run(["score", evaluated("a", "basic", version="0"), "--json"]) == 0
    assert out(capsys)["notes"][0].startswith("Evaluated under basic@0, scored under basic@2")


def test_a_profile_of_another_version_of_the_package_is_named(evaluated: Any, capsys: Any) -> None:
    path = evaluated("a", "klingon")
    assert run(["score", path]) == 3
    message = capsys.readouterr().err
    assert (
        "a.settings.json: normaliser: names a profile that this version does not know ('klingon')" in message
    )
    assert run(["score", path, "--normalise", "basic"]) == 0


@pytest.mark.parametrize("command", ["compare", "report"])
def test_files_of_two_profiles_are_refused_in_one_sentence(
    evaluated: Any, tmp_path: Path, capsys: Any, command: str
) -> None:
    paths = [evaluated("a", "basic"), evaluated("b", "alnum-en")]
    target = [] if command == "compare" else ["-o", str(tmp_path / "r.html")]
    assert run([command, *paths, *target]) == 4
    message = capsys.readouterr().err
    assert (
        message.count("\n") == 1 and "a.jsonl under basic" in message and "b.jsonl under alnum-en" in message
    )
    assert "--normalise" in message
    assert run([command, *paths, *target, "--normalise", "alnum-en"]) == 0


@pytest.mark.parametrize("recorded", [("alnum-en", "alnum-en"), ("alnum-en", None), (None, "alnum-en")])
def test_compare_and_report_take_the_recorded_profile(
    evaluated: Any, tmp_path: Path, capsys: Any, recorded: tuple[str | None, str | None]
) -> None:
    paths = [evaluated("a", recorded[0]), evaluated("b", recorded[1])]
    assert run(["compare", *paths, "--json"]) == 0
    assert out(capsys)["normaliser"]["name"] == "alnum-en"
    assert run(["report", *paths, "-o", str(tmp_path / "r.html")]) == 0
    assert "Normaliser alnum-en@1" in (tmp_path / "r.html").read_text()


def test_gate_takes_the_recorded_profile_then_the_baselines(
    evaluated: Any, tmp_path: Path, capsys: Any
) -> None:
    baseline = str(tmp_path / "baseline.json")
    assert run(["gate", evaluated("a", "alnum-en"), "--baseline", baseline, "--update"]) == 0
    assert json.loads(Path(baseline).read_text())["normaliser"]["name"] == "alnum-en"
    assert run(["gate", evaluated("b", "alnum-en"), "--baseline", baseline]) == 0
    assert run(["gate", evaluated("b", None), "--baseline", baseline]) == 0
    capsys.readouterr()
    assert run(["gate", evaluated("b", "basic"), "--baseline", baseline]) == 4
    assert "normaliser was alnum-en@1, is basic@2" in capsys.readouterr().err
    assert run(["gate", evaluated("b", "basic"), "--baseline", baseline, "--normalise", "alnum-en"]) == 0


def test_predictions_without_decoding_settings_pass_the_gate(evaluated: Any, tmp_path: Path) -> None:
    """A training run's predictions know their profile and model, and nothing of how they were decoded."""
    baseline = str(tmp_path / "baseline.json")
    assert run(["gate", evaluated("a", "basic"), "--baseline", baseline, "--update"]) == 0
    trained = evaluated("b", "basic")
    settings_path(trained).write_text(json.dumps({"model": "b", "normaliser": {"name": "basic"}}))
    assert run(["gate", trained, "--baseline", baseline]) == 0
