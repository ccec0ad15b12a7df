"""The corpora in ../shared/data, each imported in its native form by one command."""

from __future__ import annotations

from pathlib import Path

import pytest

from asr_adapt.cli.app import build_app
from asr_adapt.manifest import Manifest

pytestmark = pytest.mark.realdata
DIGITS = "text=0:zero,1:one,2:two,3:three,4:four,5:five,6:six,7:seven,8:eight,9:nine"


def build(tmp_path: Path, *arguments: str | Path) -> Manifest:
    import typer

    target = tmp_path / "m.jsonl"
    command = typer.main.get_command(build_app(("asr_adapt.cli.manifest",)))
    status = command(
        args=["manifest", "build", *map(str, arguments), "-o", str(target)], standalone_mode=False
    )
    assert not status
    manifest = Manifest.open(target)
    assert all(row.audio_path.is_file() and row.duration for row in manifest)
    return manifest


def test_speechocean762(real_data: Path, tmp_path: Path) -> None:
    manifest = build(tmp_path, real_data / "speechocean762" / "train")
    assert len(manifest) == 2500
    assert len({row.speaker for row in manifest}) == 125
    assert {row.accent for row in manifest} == {"mild", "medium", "heavy"}
    assert {row.gender for row in manifest} == {"m", "f"}
    assert all(0 <= row.extra["score"] <= 10 and int(row.age) > 4 for row in manifest)
    first = manifest[0]
    assert (first.id, first.text, first.extra["score"]) == ("000010011", "WE CALL IT BEAR", 8.45)


def test_fsdd(real_data: Path, tmp_path: Path) -> None:
    manifest = build(
        tmp_path, real_data / "fsdd", "--name-pattern", "{text}_{speaker}_{index}", "--map", DIGITS
    )
    assert len(manifest) == 2000
    assert {row.speaker for row in manifest} == {"jackson", "theo", "nicolas", "yweweler"}
    assert len({row.text for row in manifest}) == 10
    assert {row.extra["index"] for row in manifest} == {str(number) for number in range(50)}


def test_hausa(real_data: Path, tmp_path: Path) -> None:
    woman = build(tmp_path, real_data / "hausa_commonvoice" / "female.tsv")
    assert len(woman) == 1000
    man = build(
        tmp_path,
        real_data / "hausa_commonvoice" / "male.tsv",
        "--column",
        "utterance=text",
        "--set",
        "lang=ha",
    )
    assert len(man) == 259
    assert {row.lang for row in man} == {"ha"}
    assert all(row.text for row in man)
