"""``asr-adapt evaluate``: predictions in order, their score, and what happens to bad rows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from asr_adapt import Decoding, evaluate
from asr_adapt.cli.app import run


@pytest.fixture
def manifest(speak, tmp_path) -> Path:
    rows = []
    for number, (said, text) in enumerate([("bad cafe", "bad cafe"), ("gag", "gab"), ("a b c d", "a b c d")]):
        speak(f"audio/{number}.wav", said)
        row = {"audio_filepath": f"audio/{number}.wav", "text": text}
        rows.append(row | {"accent": "xy"[number % 2], "take": 7})
    path = tmp_path / "m.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_scores_and_writes_predictions(manifest, tone_model, tmp_path, capfd):
    output = tmp_path / "elsewhere/p.jsonl"
    options = ["-o", str(output), "--json", "--by", "accent"]
    status = run(["evaluate", str(manifest), "--model", str(tone_model), *options])
    score = json.loads(capfd.readouterr().out)
    assert status == 0
    assert score["wer"] == pytest.approx(1 / 7)
    assert score["groups"]["accent"]["y"]["wer"] == 1.0
    rows = [json.loads(line) for line in output.read_text().splitlines()]
    assert [row["pred_text"] for row in rows] == ["bad cafe", "gag", "a b c d"]
    assert all(row["take"] == 7 and 0 < row["confidence"] <= 1 and row["time"] > 0 for row in rows)
    assert all((output.parent / row["audio_filepath"]).is_file() for row in rows)
    assert run(["score", str(output), "--json"]) == 0
    again = json.loads(capfd.readouterr().out)
    assert again["wer"] == score["wer"]
    assert again["settings"]["model"] == str(tone_model)
    assert again["settings"]["normaliser"]["name"] == "basic"


def test_the_profile_is_kept_for_later_scores(manifest, tone_model, tmp_path, capfd):
    output = tmp_path / "p.jsonl"
    options = ["-o", str(output), "--json", "--normalise", "spelled-en"]
    assert run(["evaluate", str(manifest), "--model", str(tone_model), *options]) == 0
    score = json.loads(capfd.readouterr().out)
    assert run(["score", str(output), "--json"]) == 0
    again = json.loads(capfd.readouterr().out)
    assert again["normaliser"] == score["normaliser"] == {"name": "spelled-en", "version": "1"}
    assert again["wer"] == score["wer"] == pytest.approx(1 / 14)
    assert run(["evaluate", str(manifest), "--model", str(tone_model), "--normalise", "klingon"]) == 2


def test_table_is_readable_at_80_columns(manifest, tone_model, capfd):
    assert run(["evaluate", str(manifest), "--model", str(tone_model), "--by", "accent"]) == 0
    out = capfd.readouterr().out
    assert "WER 14.29 %" in out
    assert max(map(len, out.splitlines())) <= 80


def test_bad_row_is_named_and_the_others_scored(manifest, tone_model, capfd):
    with manifest.open("a") as handle:
        handle.write('{"audio_filepath": "audio/gone.wav", "text": "a"}\n')
    status = run(["evaluate", str(manifest), "--model", str(tone_model), "--json"])
    out, err = capfd.readouterr()
    assert status == 1 and "gone.wav" in err
    score = json.loads(out)
    assert score["failed_rows"] == 1 and score["rows"] == 3


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"audio_filepath": "audio/0.wav"}', ":4: text: missing"),
        ('{"audio_filepath": ', ":4: the line is not valid"),
    ],
)
def test_invalid_rows_are_status_3_before_any_work(manifest, capfd, line, message):
    with manifest.open("a") as handle:
        handle.write(line + "\n")
    assert run(["evaluate", str(manifest), "--model", "no-such-model"]) == 3
    err = capfd.readouterr().err
    assert message in err and len(err.strip().splitlines()) == 1


def test_missing_and_empty_manifest(tmp_path, capfd):
    assert run(["evaluate", str(tmp_path / "none.jsonl")]) == 3
    (tmp_path / "empty.jsonl").write_text("")
    assert run(["evaluate", str(tmp_path / "empty.jsonl")]) == 3
    assert "Traceback" not in capfd.readouterr().err


def test_python_api_takes_a_recogniser_and_rows(manifest, tone_recogniser):
    from asr_adapt.manifest import Manifest

    whole = evaluate(manifest, model=tone_recogniser)
    rows = evaluate(list(Manifest.open(manifest)), model=tone_recogniser, decoding=Decoding(batch_size=1))
    assert whole.hypotheses == rows.hypotheses == ["bad cafe", "gag", "a b c d"]
    assert whole.references == ["bad cafe", "gab", "a b c d"]
    assert whole.audio_seconds > 1 and whole.real_time_factor > 0


def test_repeated_runs_are_kept_and_feed_the_gate(manifest, tone_model, tmp_path, capfd):
    output, baseline = tmp_path / "p.jsonl", tmp_path / "baseline.json"
    call = ["evaluate", str(manifest), "--model", str(tone_model)]
    assert run([*call, "-o", str(output), "--repeat", "3"]) == 0
    assert "noise floor of 3 runs: WER 14.29% to 14.29%" in capfd.readouterr().err
    again = [tmp_path / f"p.repeat{number}.jsonl" for number in (2, 3)]
    assert all(path.is_file() for path in again)
    repeats = [part for path in again for part in ("--repeat", str(path))]
    assert run(["gate", str(output), "--baseline", str(baseline), "--update", *repeats]) == 0
    assert run(["gate", str(again[0]), "--baseline", str(baseline)]) == 0
    capfd.readouterr()
    assert run([*call, "--repeat", "2"]) == 2
    assert "--repeat needs --output" in capfd.readouterr().err
