"""Every command that writes: never onto what it reads, never over others' files, refused before the work."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from asr_adapt.cli.app import run
from asr_adapt.destinations import (
    MARKER,
    is_ours,
    mark_folder,
    require_file,
    require_folder,
    require_new_names,
)
from asr_adapt.errors import UsageError
from asr_adapt.locks import alone


def call(*arguments: object) -> int:
    return run([str(argument) for argument in arguments])


def state(folder: Path) -> dict[str, str]:
    """Every file below a folder with a digest of what it holds."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


@pytest.fixture
def place(speak: Callable[..., Path], tone_model: Path, tmp_path: Path) -> Path:
    """A working folder with everything that commands read."""
    rows = []
    for number, words in enumerate(("bad cafe", "dab", "face a")):
        speak(f"sounds/{number}.wav", words)
        rows.append(
            {
                "audio_filepath": f"sounds/{number}.wav",
                "duration": 1.0,
                "text": words,
                "speaker": f"s{number}",
            }
        )
    predicted = [row | {"pred_text": row["text"], "id": str(n)} for n, row in enumerate(rows)]
    for name, lines in (("rows", rows), ("predicted", predicted), ("other", predicted)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in lines))
    (tmp_path / "list.txt").write_text("sounds/0.wav\n")
    (tmp_path / "sentences.txt").write_text("bad cafe\n" * 20)
    (tmp_path / "rules.yaml").write_text("rise: 5%\n")
    (tmp_path / "metrics.jsonl").write_text('{"kind": "step", "step": 1, "loss": 1.0}\n')
    shutil.copytree(tone_model, tmp_path / "model")
    return tmp_path


ONTO_INPUTS = {
    "evaluate": "evaluate rows.jsonl --model model -o rows.jsonl",
    "evaluate a sound": "evaluate rows.jsonl --model model -o sounds/1.wav",
    "evaluate the model": "evaluate rows.jsonl --model model -o model/config.json",
    "evaluate a repeat": "evaluate base.jsonl --model model -o base.jsonl --repeat 2",
    "evaluate a link": "evaluate link.jsonl --model model -o rows.jsonl",
    "transcribe a manifest": "transcribe rows.jsonl --model model -o rows.jsonl",
    "transcribe a list": "transcribe list.txt --model model -o list.txt",
    "transcribe over a list": "transcribe sounds/0.txt --model model -o sounds --overwrite",
    "calibrate": "calibrate rows.jsonl --model model -o rows.jsonl",
    "calibrate the model": "calibrate rows.jsonl --model model -o model/model.safetensors",
    "report": "report predicted.jsonl -o predicted.jsonl",
    "report metrics": "report predicted.jsonl --metrics metrics.jsonl -o metrics.jsonl",
    "gate": "gate predicted.jsonl --baseline predicted.jsonl --update",
    "gate a repeat": "gate predicted.jsonl --repeat other.jsonl --baseline other.jsonl --update",
    "gate junit": "gate predicted.jsonl --baseline baseline.json --junit predicted.jsonl",
    "gate rules": "gate predicted.jsonl --baseline baseline.json --rules rules.yaml --markdown rules.yaml",
    "gate baseline": "gate predicted.jsonl --baseline baseline.json --junit baseline.json",
    "lm build": "lm build sentences.txt -o sentences.txt",
    "lm build of a glob": "lm build sent*.txt -o sentences.txt",
    "manifest build": "manifest build rows.jsonl -o rows.jsonl",
    "manifest build of a folder": "manifest build corpus -o corpus/metadata.csv",
    "manifest check": "manifest check rows.jsonl --no-cache --fix rows.jsonl",
    "manifest export": "manifest export rows.jsonl --to nemo -o rows.jsonl",
    "export": "export model -o model",
    "blend": "blend model model --target rows.jsonl --guard rows.jsonl -o model",
    "train": "train recipe.yaml -o model",
    "train --overwrite": "train recipe.yaml -o model --overwrite",
    "train --curve": "train recipe.yaml -o model --curve 0.5,1.0",
}


@pytest.mark.parametrize("command", ONTO_INPUTS.values(), ids=list(ONTO_INPUTS))
def test_no_command_writes_onto_what_it_reads(
    place: Path, command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    (place / "link.jsonl").symlink_to("rows.jsonl")
    (place / "sounds" / "0.txt").write_text("0.wav\n")
    (place / "corpus").mkdir()
    shutil.copytree(place / "sounds", place / "corpus" / "sounds")
    lines = [f"sounds/{n}.wav,words" for n in range(3)]
    (place / "corpus" / "metadata.csv").write_text("\n".join(["file_name,transcription", *lines]) + "\n")
    shutil.copy(place / "rows.jsonl", place / "base.jsonl")
    (place / "recipe.yaml").write_text(
        json.dumps({"model": "model", "train": "rows.jsonl", "dev": "rows.jsonl"})
    )
    call("gate", "other.jsonl", "--baseline", "baseline.json", "--update")
    before = state(place)
    capsys.readouterr()
    assert call(*command.split()) in (2, 3)
    assert state(place) == before
    message = capsys.readouterr().err
    assert "input" in message or "is not empty" in message or "already exists" in message


INTO_FULL_FOLDERS = {
    "train": "train recipe.yaml -o thesis",
    "train --overwrite": "train recipe.yaml -o thesis --overwrite",
    "train --resume": "train recipe.yaml -o thesis --resume",
    "train --curve": "train recipe.yaml -o thesis --curve 0.5,1.0",
    "models import": "models import foreign thesis",
    "export": "export model -o thesis",
    "blend": "blend model model --target rows.jsonl --guard rows.jsonl -o thesis",
    "probe": "probe rows.jsonl --label text --model model -o thesis",
    "demo": "demo -o thesis",
    "manifest export": "manifest export rows.jsonl --to kaldi -o thesis",
}


@pytest.mark.parametrize("command", INTO_FULL_FOLDERS.values(), ids=list(INTO_FULL_FOLDERS))
def test_a_folder_with_others_files_is_never_taken(
    place: Path, command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    (place / "recipe.yaml").write_text(
        json.dumps({"model": "model", "train": "rows.jsonl", "dev": "rows.jsonl"})
    )
    (place / "thesis").mkdir()
    (place / "thesis" / "chapter.txt").write_text("years of work")
    before = state(place)
    assert call(*command.split()) in (2, 3)
    assert state(place) == before
    assert "chapter.txt" in capsys.readouterr().err


DERIVED = {
    "transcribe": ("transcribe sounds --model model -o sounds", "sounds/1.txt"),
    "split": ("manifest split rows.jsonl --parts one=0.5,two=0.5 --no-audio", "rows.two.jsonl"),
    "score": ("score predicted.jsonl --export trn", "ref.trn"),
    "report": ("report predicted.jsonl -o page.html --plots figures", "figures/predicted-duration.svg"),
}


@pytest.mark.parametrize(("command", "taken"), DERIVED.values(), ids=list(DERIVED))
def test_a_name_that_was_not_typed_replaces_nothing_unasked(
    place: Path, command: str, taken: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    (place / taken).parent.mkdir(exist_ok=True)
    (place / taken).write_text("typed by hand")
    before = state(place)
    assert call(*command.split()) == 2
    assert state(place) == before
    message = capsys.readouterr().err
    assert taken in message and "--overwrite" in message
    assert call(*command.split(), "--overwrite") == 0
    assert (place / taken).read_bytes() != b"typed by hand"


def test_what_a_command_made_it_may_make_again(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    for _ in range(2):
        assert call("transcribe", "sounds", "--model", "model", "-o", "texts") == 0
        assert call("manifest", "export", "rows.jsonl", "--to", "kaldi", "-o", "kaldi") == 0
        assert call("score", "predicted.jsonl", "--export", "trn", "-o", "texts") == 0
    (place / "kaldi" / "notes").write_text("mine")
    assert call("manifest", "export", "rows.jsonl", "--to", "kaldi", "-o", "kaldi") == 2
    assert (place / "kaldi" / "notes").read_text() == "mine"


def test_a_repair_that_leaves_nothing_writes_nothing(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    (place / "sounds").rename(place / "elsewhere")
    assert call("manifest", "check", "rows.jsonl", "--no-cache", "--fix", "fixed.jsonl") == 3
    assert not (place / "fixed.jsonl").exists() and "no row" in capsys.readouterr().err


def test_a_baseline_replaces_only_a_baseline(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    assert call("gate", "predicted.jsonl", "--baseline", "rules.yaml", "--update") == 2
    assert (place / "rules.yaml").read_text() == "rise: 5%\n"
    for _ in range(2):
        assert call("gate", "predicted.jsonl", "--baseline", "new.json", "--update") == 0


@pytest.mark.parametrize(
    "command", ["evaluate rows.jsonl --model model -o out.jsonl", "export model -o made"]
)
def test_two_at_once_in_one_place(
    place: Path, command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    with alone(command.split()[-1]):
        assert call(*command.split()) == 2
        assert "in use by another run" in capsys.readouterr().err
    assert not list(place.glob(".*.lock"))


def test_outputs_that_cannot_be_written_are_refused_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for name, word in (("file/x.json", "is a file"), ("", "is a folder"), ("n" * 300, "longer than")):
        with pytest.raises(UsageError, match=word):
            require_file(tmp_path / name)
    require_file("-")
    require_file(os.devnull, [os.devnull])
    require_file(tmp_path / "deep" / "new.json", [tmp_path / "file"])
    assert not (tmp_path / "deep").exists()


def test_the_mark_tells_whose_a_folder_is(tmp_path: Path) -> None:
    folder = tmp_path / "made"
    require_folder(folder, "blend")
    mark_folder(folder, "blend")
    (folder / "weights").write_text("")
    with pytest.raises(UsageError, match="weights"):
        require_folder(folder, "blend", overwrite=True)
    mark_folder(folder, "blend")
    with pytest.raises(UsageError, match="--overwrite"):
        require_folder(folder, "blend")
    require_folder(folder, "blend", overwrite=True)
    with pytest.raises(UsageError, match="not empty"):
        require_folder(folder, "probe", overwrite=True)
    with pytest.raises(UsageError, match="holds the input"):
        require_folder(folder, "blend", [folder / "weights"], overwrite=True)
    require_new_names([folder / "weights"], folder=folder, overwrite=False)
    for damaged in ("", "[]", '{"made_by": "someone"}', "{"):
        (folder / MARKER).write_text(damaged)
        assert not is_ours(folder)


def test_one_name_for_two_outputs(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.chdir(place)
    assert call("gate", "predicted.jsonl", "--baseline", "new.json", "--update") == 0
    same = ("--junit", "out.xml", "--markdown", "./out.xml")
    assert call("gate", "predicted.jsonl", "--baseline", "new.json", *same) == 2
    assert "written twice" in capsys.readouterr().err
