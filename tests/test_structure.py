"""The house's figures in docs/design.md: nothing has got worse since they were written."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import asr_adapt

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def written() -> dict[str, str]:
    """The last column of the table, by the beginning of its rows."""
    page = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    table = page.split("| | before | folders | now |\n|---|---|---|---|\n")[1].split("\n\n")[0]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    return {name: now for name, *_, now in cells}


def number(cell: str) -> int:
    found = re.match(r"\d+", cell)
    assert found is not None, cell
    return int(found.group())


def test_files_depth_and_circles_are_no_worse_than_the_design_says(written: dict[str, str]) -> None:
    command = [sys.executable, "scripts/measure_structure.py", "--json"]
    found = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout)
    assert found["longest_file"] <= number(written["longest file, lines"])
    assert found["depth"]["train"] <= number(
        written["steps of the longest chain of imports from `train` to torch"]
    )
    assert written["circles of imports in the package, files in them"] == "none"
    assert found["circles"] == []


def test_the_design_counts_the_public_names(written: dict[str, str]) -> None:
    told = number(written["names of the public interface (`asr_adapt.__all__`)"])
    assert len(asr_adapt.__all__) == told
