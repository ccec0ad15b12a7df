"""``doctor``, ``models`` and the application itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from typer.main import get_command

from asr_adapt.cli.app import build_app, run
from asr_adapt.cli.doctor import Diagnosis, examine


def test_doctor_prints_a_line_a_check(capfd):
    run(["doctor"])
    lines = capfd.readouterr().out.splitlines()
    assert len(lines) >= 10
    assert all(line[:4] in ("ok  ", "note", "BAD ") for line in lines)
    assert all("Fix: " in line for line in lines if not line.startswith("ok"))
    for subject in (
        "Python",
        "torch",
        "torchaudio",
        "libsndfile",
        "hub cache",
        "fetched models",
        "working folder",
    ):
        assert any(line[5:].startswith(subject) for line in lines), subject


def test_doctor_json_and_status(capfd):
    status = run(["doctor", "--json"])
    findings = json.loads(capfd.readouterr().out)
    assert status == int(any(finding["state"] == "broken" for finding in findings))
    assert all(finding["fix"] for finding in findings if finding["state"] != "good")


def test_doctor_sees_a_torchaudio_that_does_not_load(tmp_path):
    """A real broken package on the path, as a build for other CUDA libraries is."""
    (tmp_path / "torchaudio").mkdir()
    (tmp_path / "torchaudio/__init__.py").write_text("raise OSError('libc10_cuda.so: no such file')")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    child = subprocess.run(
        [sys.executable, "-m", "asr_adapt", "doctor", "--json"],
        capture_output=True, text=True, env=environment, check=False,
    )  # fmt: skip
    (finding,) = [f for f in json.loads(child.stdout) if f["subject"] == "torchaudio"]
    assert child.returncode == 1
    assert finding["state"] == "broken" and "libc10_cuda.so" in finding["seen"]
    assert "pip uninstall torchaudio" in finding["fix"]


def test_doctor_sees_a_folder_that_cannot_be_written(monkeypatch, tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(gone / "deeper"))
    broken = [finding for finding in examine() if finding.state == "broken"]
    assert any(finding.subject == "temporary folder" and finding.fix for finding in broken)


def test_finding_reads_as_one_line():
    line = Diagnosis("torch", "broken", "it multiplies wrongly", "reinstall torch").line()
    assert line == "BAD  torch: it multiplies wrongly Fix: reinstall torch"


def test_models_lists_what_travels_with_the_package(capfd):
    assert run(["models"]) == 0
    assert "hub id" in capfd.readouterr().out
    assert run(["models", "--json"]) == 0
    for row in json.loads(capfd.readouterr().out):
        assert {"name", "architecture", "megabytes", "licence"} <= row.keys()


def test_unknown_command_is_usage(capfd):
    assert run(["transcrybe"]) == 2
    assert "transcrybe" in capfd.readouterr().err


def test_unexpected_error_is_one_sentence_and_a_traceback_only_under_debug(tmp_path):
    """A folder given where a manifest file belongs."""
    for extra, traceback in (([], False), (["--debug"], True)):
        command = [sys.executable, "-m", "asr_adapt", "evaluate", str(tmp_path), *extra]
        child = subprocess.run(command, capture_output=True, text=True, check=False)
        assert child.returncode != 0
        assert ("Traceback" in child.stderr) == traceback
        assert str(tmp_path) in child.stderr


def test_broken_pipe_is_quiet():
    command = f"{sys.executable} -m asr_adapt doctor --json | head -n 1"
    child = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert child.stdout.strip() == "["
    assert "Error" not in child.stderr


def test_shared_options_are_the_same_everywhere():
    """What transcribe and evaluate both take means the same, and calibrate fits for the same decoding."""
    tables = {}
    for name in ("transcribe", "evaluate", "calibrate"):
        command = get_command(build_app()).commands[name]
        options = [p for p in command.params if p.param_type_name == "option"]
        tables[name] = {p.name: (p.opts, p.help, p.default) for p in options}
    own = {"output", "word_timestamps"}
    shared = tables["transcribe"].keys() & tables["evaluate"].keys() - own
    decoding = {"lm", "hotwords", "prompt", "fallback", "no_hallucination_checks", "lm_weight", "beam_width"}
    assert shared >= decoding | {"model", "language", "runtime", "device", "compute_type", "calibration"}
    same = shared - {"compute_type"}
    assert all(tables["evaluate"][name] == tables["transcribe"][name] for name in same)
    defaults = [tables[name]["compute_type"][2] for name in ("transcribe", "evaluate")]
    assert defaults == ["fast", "auto"], "measuring is the same on every machine, transcribing is quick"
    common = tables["calibrate"].keys() & tables["evaluate"].keys() - own
    assert common >= decoding | {"normalise", "as_json"}
    assert all(tables["calibrate"][name] == tables["evaluate"][name] for name in common)


def test_doctor_says_what_a_gpu_of_that_size_trains_on_at_once(capfd):
    counts = {}
    for gigabytes in (1, 8, 80):
        assert run(["doctor", "--memory", str(gigabytes), "--json"]) == 0
        counts[gigabytes] = json.loads(capfd.readouterr().out)["whisper-tiny"]
    assert counts[1]["full"] == 0 < counts[8]["full"] < counts[80]["full"]
    assert counts[8]["full, checkpointing"] > counts[8]["full"]
    few = [counts[8][f"LoRA, checkpointing{bits}"] for bits in ("", ", 8 bits", ", 4 bits")]
    assert few == sorted(few)
    assert run(["doctor", "--memory", "1"]) == 0
    assert "whisper-tiny: full none" in capfd.readouterr().out
