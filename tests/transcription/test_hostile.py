"""Two hundred hostile inputs in one call: each named or transcribed, the good ones right, no traceback."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


def hostile_inputs():
    """The script beside this file, as a module."""
    path = Path(__file__).with_name("hostile_inputs.py")
    spec = importlib.util.spec_from_file_location("hostile_inputs", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_each_is_named_or_transcribed(tone_model, say, tmp_path):
    good, other = hostile_inputs().write_all(tmp_path / "in", say("bad cafe gag"))
    assert len(other) >= 200
    command = [
        sys.executable,
        "-m",
        "asr_adapt",
        "transcribe",
        "-f",
        "jsonl",
        "--model",
        str(tone_model),
        "--",
    ]
    child = subprocess.run(
        [*command, *other[:100], *good, *other[100:]], capture_output=True, timeout=300, check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    errors = child.stderr.decode("utf-8", "replace")
    assert child.returncode == 1, errors[-2000:]
    assert "Traceback" not in errors and "unexpected" not in errors
    rows = [json.loads(line) for line in child.stdout.decode().splitlines()]
    heard = {row["audio_filepath"]: row["pred_text"] for row in rows}
    assert {heard.get(path) for path in good} == {"bad cafe gag"}
    unnamed = [path for path in other if path not in heard and path not in errors]
    assert unnamed == []
    assert not (tmp_path / "outside.txt").exists()
