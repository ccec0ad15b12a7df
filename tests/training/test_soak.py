"""The soak test in small: SIGKILLs at random moments, each resumed, and the same end bit for bit."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "soak_resume.py"


def test_runs_killed_at_random_end_like_one_that_never_was(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Page\n", encoding="utf-8")
    command = [
        sys.executable,
        str(SCRIPT),
        "--kills",
        "3",
        "--runs",
        "1",
        "--seed",
        "2",
        "--write",
        str(page),
    ]
    result = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "3 SIGKILLs over 1 runs" in result.stdout
    assert "1 of 1 runs ended with the losses and weights of the undisturbed one" in result.stdout
    assert result.stdout.strip() in page.read_text(encoding="utf-8")
