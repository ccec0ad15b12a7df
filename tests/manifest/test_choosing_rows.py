"""Some rows of a manifest, and manifests elsewhere: ``sample``, ``split --where``, ``move``."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr_adapt.cli.app import run
from asr_adapt.errors import DataError, UsageError
from asr_adapt.manifest import Manifest


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Twelve speakers of four rows, every second one heavy; audio lies beside the manifest."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    rng = np.random.default_rng(0)
    lines = []
    for number in range(48):
        name = f"{number:02d}.wav"
        soundfile.write(folder / name, rng.normal(0, 0.1, 1_600).astype(np.float32), 16_000)
        speaker = number // 4
        row = {"audio_filepath": name, "duration": 0.1, "text": f"row {number} {speaker * 'x'}"}
        lines.append(json.dumps(row | {"speaker": f"s{speaker}", "accent": ("mild", "heavy")[speaker % 2]}))
    path = folder / "all.jsonl"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def ids(path: Path) -> set[str]:
    return {row.id for row in Manifest.open(path)}


def command(*arguments: object) -> int:
    return run(["manifest", *map(str, arguments)])


def test_a_larger_sample_holds_the_smaller_one_and_each_value_has_its_share(
    manifest: Path, tmp_path: Path
) -> None:
    few, many, each = tmp_path / "few.jsonl", tmp_path / "many.jsonl", tmp_path / "each.jsonl"
    assert command("sample", manifest, "-o", few, "--rows", 5) == 0
    assert command("sample", manifest, "-o", many, "--rows", 20) == 0
    assert len(ids(few)) == 5 and ids(few) < ids(many)
    assert command("sample", manifest, "-o", each, "-n", 2, "--each", "speaker") == 0
    rows = Manifest.open(each)
    assert len(rows) == 24 and len({row.speaker for row in rows}) == 12
    assert all(row.audio_path.is_file() for row in rows)


def test_what_a_sample_cannot_be_is_refused(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.jsonl"
    assert command("sample", manifest, "-o", out) == 2
    assert command("sample", manifest, "-o", out, "--rows", 2, "--hours", 1) == 2
    assert command("sample", manifest, "-o", out, "--hours", 1, "--each", "speaker") == 2
    assert command("sample", manifest, "-o", manifest, "--rows", 2) == 2
    assert command("sample", manifest, "-o", out, "--rows", 2, "--where", "accent=none") == 3
    assert "accent is heavy, mild" in capsys.readouterr().err
    assert not out.exists() and len(ids(manifest)) == 48


def test_a_split_of_the_rows_with_a_value_holds_no_others(manifest: Path, tmp_path: Path) -> None:
    out = tmp_path / "parts"
    assert command("split", manifest, "-o", out, "--where", "accent=heavy", "--no-cache") == 0
    rows = [row for path in out.glob("*.jsonl") for row in Manifest.open(path)]
    assert len(rows) == 24 and {row.get("accent") for row in rows} == {"heavy"}
    parts = [
        {row.speaker for row in Manifest.open(out / f"{name}.jsonl")} for name in ("train", "dev", "test")
    ]
    assert sum(map(len, parts)) == len(set().union(*parts)) == 6


def test_a_moved_manifest_reaches_its_audio(manifest: Path, tmp_path: Path) -> None:
    target = tmp_path / "far" / "away"
    target.mkdir(parents=True)
    assert command("move", manifest, target) == 0
    assert not manifest.exists()
    rows = Manifest.open(target / "all.jsonl")
    assert len(rows) == 48 and all(row.audio_path.is_file() for row in rows)
    other = target / "other.jsonl"
    other.write_text("theirs", encoding="utf-8")
    assert command("move", target / "all.jsonl", other) == 2
    assert other.read_text(encoding="utf-8") == "theirs" and (target / "all.jsonl").is_file()


def test_the_same_from_python(manifest: Path, tmp_path: Path) -> None:
    rows = Manifest.open(manifest)
    heavy = rows.where("accent=heavy")
    assert len(heavy) == 24
    assert heavy.save(tmp_path / "new" / "heavy.jsonl") == 24
    assert all(row.audio_path.is_file() for row in Manifest.open(tmp_path / "new" / "heavy.jsonl"))
    with pytest.raises(UsageError):
        heavy.save(manifest)
    with pytest.raises(DataError, match="accent is heavy, mild"):
        rows.where("accent=none")
