"""Searching folders for sound: one list of endings for every room, and no folder vanishes without a word."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr_adapt.audio.augment import audio_files
from asr_adapt.cli.app import run
from asr_adapt.errors import DataError
from asr_adapt.manifest import Manifest
from asr_adapt.transcription.inputs import expand

ENDINGS = (".wav", ".mkv", ".mov", ".sph", ".w64", ".M4B")


@pytest.fixture
def locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A corpus in the layout of one text a file, whose folder ``locked`` may not be read; root reads any."""
    corpus = tmp_path / "corpus"
    for name in ("open/one", "locked/two"):
        path = corpus / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.sin(np.arange(8000) / 9) * 0.3, 16_000)
        path.with_suffix(".txt").write_text("good morning")
    scandir = os.scandir

    def refusing(path: int | str | Path = "."):
        if not isinstance(path, int) and Path(path).name == "locked":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    return corpus


def test_an_unreadable_folder_fails_by_name_and_the_others_are_transcribed(
    locked: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = locked.parent / "out"
    assert run(["transcribe", str(locked), "-o", str(output)]) == 1
    assert (output / "open" / "one.txt").is_file()
    said = capsys.readouterr().err
    assert f"{locked / 'locked'}: this folder cannot be read (Permission denied)" in said


def test_a_manifest_is_not_built_of_a_part(locked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = locked.parent / "all.jsonl"
    assert run(["manifest", "build", str(locked), "-o", str(output)]) == 3
    assert (
        "locked: this folder cannot be read (Permission denied): make it readable" in capsys.readouterr().err
    )
    assert not output.exists()


def test_noise_is_not_drawn_from_a_part_of_its_folder(locked: Path) -> None:
    with pytest.raises(DataError, match="locked: this folder cannot be read"):
        audio_files(locked)


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_room_looks_for_the_same_endings(
    tmp_path: Path, ending: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "sounds"
    folder.mkdir()
    soundfile.write(folder / "a.wav", np.sin(np.arange(8000) / 9) * 0.3, 16_000)
    path = (folder / "a.wav").rename(folder / f"a{ending}")
    path.with_suffix(".txt").write_text("good evening")
    assert [source.path for source in expand([str(folder)], spool=tmp_path).sources] == [path]
    assert audio_files(folder) == (path,)
    assert run(["manifest", "build", str(folder), "-o", str(tmp_path / "all.jsonl")]) == 0
    assert [row.audio_path for row in Manifest.open(tmp_path / "all.jsonl")] == [path]
