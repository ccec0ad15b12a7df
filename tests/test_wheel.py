"""The wheel, installed in a fresh environment outside the repository, as a user would have it."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

import installed_wheel  # noqa: E402


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return installed_wheel.build(tmp_path_factory.mktemp("source") / "copy")


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """Runs a command in a new environment that has the wheel; the dependencies are those of this one."""
    folder = tmp_path_factory.mktemp("elsewhere")
    programs = installed_wheel.install(wheel, folder / "env")
    hidden = ("PYTHONPATH", "VIRTUAL_ENV")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}

    def run(*command: str):
        program, *rest = command
        called = [str(programs / program), *rest]
        return subprocess.run(called, cwd=folder, env=environment, capture_output=True, text=True)

    run.folder = folder
    return run


def test_wheel_holds_what_the_repository_holds(wheel):
    """No file is forgotten (recordings, page templates, schemas), none of the tests gets in."""
    listed = subprocess.run(["git", "ls-files", "asr_adapt"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    tracked = {name for name in listed.stdout.splitlines() if (ROOT / name).is_file()}
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert tracked - held == set()
    assert {name for name in held if not name.startswith("asr_adapt/")} == set()


def test_metadata_names_no_machine(wheel):
    """Readme and licence are there; no path or host of the machine that built it, no placeholder."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        text = archive.read(name).decode()
    urls = [line for line in text.splitlines() if line.startswith("Project-URL: ")]
    assert not [url for url in urls if "OWNER" in url or ", https://" not in url], (
        "no address that leads nowhere"
    )
    assert "License-Expression: Apache-2.0" in text and "file://" not in text and str(ROOT) not in text


def test_the_command_works_elsewhere(installed):
    """Help, the packaged recordings and a transcript, all from the wheel's own files."""
    where = installed("python", "-c", "import asr_adapt; print(asr_adapt.__file__)")
    assert str(installed.folder) in where.stdout, where.stderr
    assert "adapt" in installed("asr-adapt", "--help").stdout
    assert installed("asr-adapt", "demo", "--recordings", "speech").returncode == 0
    clip = next((installed.folder / "speech" / "audio").glob("arctic*.ogg"))
    heard = installed(
        "asr-adapt", "transcribe", str(clip), "--model", "nano-whisper", "-f", "json", "-o", "out"
    )
    assert heard.returncode == 0, heard.stderr
    assert (installed.folder / "out" / f"{clip.stem}.json").is_file()


@pytest.mark.slow
def test_it_adapts_elsewhere(installed):
    """Two steps of the bundled Whisper on packaged recordings: plan, training, WER before and after."""
    assert installed("asr-adapt", "demo", "--recordings", "recordings").returncode == 0
    sample = ("manifest", "sample", "recordings/train.jsonl", "-n", "8", "-o", "recordings/few.jsonl")
    few = installed("asr-adapt", *sample)
    assert few.returncode == 0, few.stderr
    told = installed(
        *("asr-adapt", "adapt", "recordings/few.jsonl", "--model", "nano-whisper", "--yes", "-o", "mine"),
        *("--set", "schedule.steps=2"),
    )
    assert told.returncode == 0, told.stderr
    assert (installed.folder / "mine" / "model" / "model.safetensors").is_file()
    assert "WER" in told.stdout
