"""The commands and their exit status, for every outcome."""

import json
import shutil
import subprocess
import sys

import pytest

from asr_adapt.cli.app import run
from tests.scoring.conftest import spoil, write_rows


@pytest.fixture
def baseline(tmp_path, predictions):
    path = tmp_path / "baseline.json"
    assert run(["gate", str(predictions), "--baseline", str(path), "--update"]) == 0
    return path


def test_score(predictions, capsys):
    assert run(["score", str(predictions), "--by", "accent", "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert 0 < value["groups"]["accent"]["us"]["wer"] < value["wer"]
    assert run(["score", str(predictions), "--by", "accent", "--by", "gender"]) == 0
    out = capsys.readouterr().out
    assert f"WER {100 * value['wer']:.2f} %" in out
    assert max(map(len, out.splitlines())) <= 80
    assert "\x1b" not in out


def test_score_exports(predictions, tmp_path, capsys):
    assert run(["score", str(predictions), "--export", "trn", "-o", str(tmp_path / "trn")]) == 0
    assert (tmp_path / "trn" / "hyp.trn").is_file()


def test_score_reads_standard_input(predictions):
    command = [sys.executable, "-m", "asr_adapt", "score", "-", "--json"]
    done = subprocess.run(command, stdin=predictions.open("rb"), capture_output=True, check=True)
    assert json.loads(done.stdout)["rows"] == 240


def test_compare(predictions, rows, tmp_path, capsys):
    other = write_rows(tmp_path / "b.jsonl", spoil(rows, "us", 0.2))
    assert run(["compare", str(predictions), str(other), "--by", "accent"]) == 0
    out = capsys.readouterr().out
    assert "worse" in out
    assert max(map(len, out.splitlines())) <= 80
    assert run(["compare", str(predictions), str(other), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["verdict"] == "worse"


def test_compare_of_other_rows_exits_4(predictions, rows, tmp_path, capsys):
    other = write_rows(tmp_path / "b.jsonl", rows[1:])
    assert run(["compare", str(predictions), str(other)]) == 4
    assert "scottish-0" in capsys.readouterr().err


def test_gate_passes_with_0(predictions, baseline, capsys):
    assert run(["gate", str(predictions), "--baseline", str(baseline), "--by", "accent"]) == 0
    assert "gate passed: 0 of 3 checks failed" in capsys.readouterr().out


def test_gate_fails_with_1_and_writes_reports(rows, baseline, tmp_path, capsys):
    worse = write_rows(tmp_path / "worse.jsonl", spoil(rows, "us", 0.2))
    junit, markdown = tmp_path / "gate.xml", tmp_path / "gate.md"
    arguments = ["gate", str(worse), "--baseline", str(baseline), "--by", "accent"]
    assert run([*arguments, "--junit", str(junit), "--markdown", str(markdown)]) == 1
    out = capsys.readouterr().out
    assert "gate failed" in out
    assert max(map(len, out.splitlines())) <= 80
    assert junit.is_file()
    assert markdown.is_file()
    assert run([*arguments, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["passed"] is False
    assert run([*arguments, "--rise", "0.5"]) == 0
    assert run([*arguments, "--rise", "0.5", "--ceiling", "0.01"]) == 1
    rules = tmp_path / "gate.yaml"
    rules.write_text("rise: 0.5\n")
    assert run([*arguments, "--rules", str(rules)]) == 0


def test_gate_of_unlike_runs_exits_4_until_accepted(rows, baseline, tmp_path, capsys):
    fewer = write_rows(tmp_path / "fewer.jsonl", rows[1:])
    arguments = ["gate", str(fewer), "--baseline", str(baseline)]
    assert run(arguments) == 4
    assert "[rows]" in capsys.readouterr().err
    assert run([*arguments, "--accept", "rows"]) == 0


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["score", "missing.jsonl"], 3, "missing.jsonl"),
        (["score", "{predictions}", "--by", "dialect"], 2, "no field 'dialect'"),
        (["score", "{predictions}", "--normalise", "fancy"], 2, "unknown normalisation profile"),
        (["score", "{predictions}", "--export", "html"], 2, "unknown layout"),
        (["gate", "{predictions}", "--baseline", "none.json"], 3, "there is no baseline"),
        (["gate", "{predictions}", "--baseline", "{baseline}", "--rise", "much"], 2, "is not a rise"),
        (
            ["gate", "{predictions}", "--baseline", "{baseline}", "--rules", "none.yaml"],
            3,
            "cannot be opened",
        ),
        (["gate", "{predictions}"], 2, "--baseline"),
        (["report", "missing.jsonl"], 3, "missing.jsonl"),
    ],
)
def test_wrong_use_and_bad_data(
    arguments, status, message, predictions, baseline, capsys, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    places = {"predictions": predictions, "baseline": baseline}
    assert run([argument.format(**places) for argument in arguments]) == status
    assert message in capsys.readouterr().err


@pytest.mark.skipif(shutil.which("head") is None, reason="needs head")
def test_a_closed_pipe_leaves_no_traceback(predictions):
    command = f"{sys.executable} -m asr_adapt score {predictions} --json | head -n 1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("{\n", "")
