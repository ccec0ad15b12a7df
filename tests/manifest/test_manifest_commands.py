"""The manifest commands end to end: what goes to standard output, to files, and as exit status."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
from corpora import SPOKEN, commonvoice, sidecar

from asr_adapt.cli.app import run
from asr_adapt.manifest import Manifest


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    target = tmp_path / "m.jsonl"
    assert run(["manifest", "build", str(sidecar(tmp_path / "corpus")), "-o", str(target)]) == 0
    return target


def test_build_says_what_it_recognised_and_writes_to_standard_output(tmp_path: Path, capsys) -> None:
    source = str(commonvoice(tmp_path / "corpus"))
    assert run(["manifest", "build", source, "-o", "-", "--set", "lang=ha"]) == 0
    printed = capsys.readouterr()
    rows = [json.loads(line) for line in printed.out.splitlines()]
    assert [row["text"] for row in rows] == [spoken.text for spoken in SPOKEN]
    assert all(row["lang"] == "ha" and row["duration"] > 0 for row in rows)
    assert "as commonvoice: its header has the Common Voice columns path and sentence" in printed.err
    assert "Wrote 3 rows" in printed.err


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["nowhere", "-o", "x.jsonl"], 3, "does not exist"),
        ([".", "-o", "x.jsonl", "--format", "kladi"], 2, "not one of auto"),
        ([".", "-o", "x.jsonl", "--column", "text"], 2, "must read NAME=VALUE"),
        ([".", "-o", "x.jsonl", "--map", "text=zero"], 2, "must read OLD:NEW"),
        (["."], 2, "--output"),
    ],
)
def test_wrong_calls_end_in_one_sentence(
    tmp_path: Path, monkeypatch, capsys, arguments: list[str], status: int, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["manifest", "build", *arguments]) == status
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_rows_left_out_are_listed_and_change_the_exit_status(tmp_path: Path, capsys) -> None:
    source = sidecar(tmp_path / "corpus")
    next(source.rglob("*.wav")).write_bytes(b"")
    command = ["manifest", "build", str(source), "-o", str(tmp_path / "m.jsonl")]
    assert run(command) == 3
    assert "is empty (0 bytes)" in capsys.readouterr().err
    assert run([*command, "--skip_unreadable"]) == 1
    assert "left out: " in capsys.readouterr().err
    assert len(Manifest.open(tmp_path / "m.jsonl")) == 2


def test_stats_from_standard_input(manifest: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(manifest.read_bytes())))
    assert run(["manifest", "stats", "-", "--json"]) == 0
    stats = json.loads(capsys.readouterr().out)
    assert stats["rows"] == 3
    assert stats["hours"] == pytest.approx(sum(spoken.seconds for spoken in SPOKEN) / 3600, abs=1e-4)
    assert stats["seconds"]["max"] == 0.8
    assert run(["manifest", "stats", str(manifest)]) == 0
    assert "3 rows, 0.00 hours" in capsys.readouterr().out


def test_check_fails_on_errors_and_repairs_a_copy(manifest: Path, tmp_path: Path, capsys) -> None:
    assert run(["manifest", "check", str(manifest), "--no-cache"]) == 0
    with manifest.open("a") as handle:
        handle.write('{"audio_filepath": "gone.wav", "duration": 1, "text": "gone"}\n{"text": 1}\n')
    before = manifest.read_bytes()
    fixed = tmp_path / "fixed.jsonl"
    capsys.readouterr()
    assert run(["manifest", "check", str(manifest), "--no-cache", "--fix", str(fixed)]) == 3
    printed = capsys.readouterr().out
    assert f"error: {manifest}:4: missing-audio: gone.wav is not there" in printed
    assert f"error: {manifest}:5: bad-row: audio_filepath: the field is missing" in printed
    assert max(map(len, printed.split("\n\n")[1].splitlines())) <= 80
    assert manifest.read_bytes() == before
    assert len(Manifest.open(fixed)) == 3
    changes = (tmp_path / "fixed.jsonl.changes.txt").read_text()
    assert changes.startswith("line 4: drop: the audio file is not there (gone)\nline 5: drop: ")
    assert run(["manifest", "check", str(fixed), "--no-cache"]) == 0


def test_check_as_json(manifest: Path, capsys) -> None:
    manifest.write_text(manifest.read_text().replace("GO DO YOU HEAR", "<unk> GO"))
    capsys.readouterr()
    assert run(["manifest", "check", str(manifest), "--no-cache", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["rows"], report["errors"]) == (3, 0)
    assert report["codes"]["markup"] | {"meaning": ""} == {"severity": "warning", "rows": 1, "meaning": ""}
    finding = next(finding for finding in report["findings"] if finding["code"] == "markup")
    assert (finding["path"], finding["line"]) == (str(manifest), 2)


def test_export(manifest: Path, tmp_path: Path) -> None:
    assert run(["manifest", "export", str(manifest), "--to", "kaldi", "-o", str(tmp_path / "data")]) == 0
    assert len((tmp_path / "data" / "wav.scp").read_text().splitlines()) == 3
    assert run(["manifest", "export", str(manifest), "--to", "nemo", "-o", str(tmp_path / "n.jsonl")]) == 0
    assert len(Manifest.open(tmp_path / "n.jsonl")) == 3
