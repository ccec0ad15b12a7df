"""Damaged and hostile model files: one named error, whatever the bytes say, and no code of theirs runs."""

from __future__ import annotations

import os
import pickle
import random
import re
import resource
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from asr_adapt.cli.app import run
from asr_adapt.errors import ModelError
from asr_adapt.models import load_recogniser
from asr_adapt.models.importing import read_foreign, write_whisper
from asr_adapt.transcription.runtimes.ctranslate2_export import export_ctranslate2

from .foreign_models import openai_weights, save_ggml, save_openai
from .test_importing import vocabulary_of
from .whisper_models import save_tiny_whisper

pytest.importorskip("ctranslate2")
KINDS = ("ctranslate2", "ggml", "openai")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The file with the weights, of each kind, and the model that it was made from."""
    root = tmp_path_factory.mktemp("damaged")
    base = save_tiny_whisper(root / "tiny.en", multilingual=False, most=8)
    export_ctranslate2(load_recogniser(base, device="cpu"), root / "ct2", quantisation="float16")
    found = {"base": base, "ctranslate2": root / "ct2/model.bin"}
    found["ggml"] = save_ggml(base, root / "ggml-tiny.en.bin")
    found["openai"] = save_openai(base, root / "tiny.en.pt")
    return found


def with_bytes(whole: dict[str, Path], kind: str, data: bytes, folder: Path) -> Path:
    """A model of that kind whose weights file holds ``data``."""
    folder.mkdir(exist_ok=True)
    if kind != "ctranslate2":
        path = folder / whole[kind].name
        path.write_bytes(data)
        return path
    for name in ("config.json", "tokenizer.json", "vocabulary.json"):
        (folder / name).write_bytes(whole[kind].with_name(name).read_bytes())
    (folder / "model.bin").write_bytes(data)
    return folder


def convert(path: Path, base: Path, target: Path) -> None:
    """Read and write; a reader that has read must not leave a half-good model either."""
    target.mkdir(exist_ok=True)
    write_whisper(read_foreign(path, lambda size: vocabulary_of(base)), target)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_cut_anywhere_is_named(whole: dict[str, Path], tmp_path: Path, kind: str) -> None:
    data = whole[kind].read_bytes()
    for cut in sorted(
        {0, 1, 3, 4, 5, 12, 40, 100, 900, *(len(data) * k // 17 for k in range(1, 17)), len(data) - 1}
    ):
        path = with_bytes(whole, kind, data[:cut], tmp_path / "cut")
        with pytest.raises(ModelError, match=str(tmp_path)) as caught:
            convert(path, whole["base"], tmp_path / "out")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
def test_changed_bytes_are_an_error_or_other_weights(
    whole: dict[str, Path], tmp_path: Path, kind: str
) -> None:
    """Lengths, types and shapes that lie: never another exception, and memory in the order of the file."""
    data = whole[kind].read_bytes()
    draw = random.Random(7)
    refused = 0
    heads = [match.start() for match in re.finditer(rb"(en|de)coder[./]|PK|data.pkl", data)]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(40):
        changed = bytearray(data)
        for _ in range(3):
            place = max(0, min(len(data) - 4, draw.choice([*heads, 24]) + draw.randrange(-24, 48)))
            changed[place : place + 4] = struct.pack(
                "<I", draw.choice([0, 2**31 - 1, 2**32 - 1, draw.getrandbits(32)])
            )
        path = with_bytes(whole, kind, bytes(changed), tmp_path / "changed")
        try:
            convert(path, whole["base"], tmp_path / "out")
        except ModelError:
            refused += 1
    assert refused > 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kilobytes


class Attack:
    """A pickle that would make a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def test_no_pickled_code_runs(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    torch.save({"dims": {}, "model_state_dict": Attack(tmp_path / "owned")}, tmp_path / "evil.pt")
    assert run(["models", "import", str(tmp_path / "evil.pt"), str(tmp_path / "out")]) == 3
    error = capfd.readouterr().err
    assert error.count("\n") == 1 and "evil.pt" in error and "Traceback" not in error
    assert not (tmp_path / "owned").exists() and not (tmp_path / "out").exists()
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Attack(tmp_path / "owned")))
    assert run(["models", "import", str(tmp_path / "plain.pt"), str(tmp_path / "out")]) == 3
    assert not (tmp_path / "owned").exists()


def test_an_archive_that_swells_is_refused(whole: dict[str, Path], tmp_path: Path) -> None:
    with (
        zipfile.ZipFile(whole["openai"]) as archive,
        zipfile.ZipFile(tmp_path / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as out,
    ):
        for entry in archive.infolist():
            out.writestr(entry.filename, archive.read(entry))
    with pytest.raises(ModelError, match="compressed"):
        convert(tmp_path / "bomb.pt", whole["base"], tmp_path / "out")


def test_weights_larger_than_their_file_are_refused(whole: dict[str, Path], tmp_path: Path) -> None:
    """A view without strides says that it is huge and stores one number."""
    sizes, weights = openai_weights(whole["base"])
    weights["decoder.token_embedding.weight"] = torch.zeros(1, 1).expand(10**6, 10**6)
    torch.save({"dims": sizes, "model_state_dict": weights}, tmp_path / "huge.pt")
    with pytest.raises(ModelError, match="more than the file has"):
        convert(tmp_path / "huge.pt", whole["base"], tmp_path / "out")


def broken_openai(whole: dict[str, Path], path: Path, change: str) -> Path:
    sizes, weights = openai_weights(whole["base"])
    name = "decoder.blocks.1.mlp.0.weight"
    if change == "missing":
        del weights[name]
    elif change == "other shape":
        weights[name] = weights[name][:, :-1].clone()
    elif change == "unknown":
        weights["decoder.blocks.1.gate.weight"] = weights[name]
    elif change == "sizes":
        sizes["n_text_layer"] = 7
    elif change == "heads":
        sizes["n_text_head"] = 5
    elif change == "whole numbers":
        weights[name] = weights[name].int()
    torch.save({"dims": sizes, "model_state_dict": weights}, path)
    return path


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("missing", "lacks the weight model.decoder.layers.1.fc1.weight"),
        ("other shape", r"model.decoder.layers.1.fc1.weight is \(48, 31\), not \(48, 32\)"),
        ("unknown", "unknown weight 'model.decoder.layers.1.gate.weight'"),
        ("sizes", "n_text_layer is 7, and there are 3 layers"),
        ("heads", "attention heads do not divide a width of 32"),
        ("whole numbers", "decoder.blocks.1.mlp.0.weight' is torch.int32, not floating-point"),
    ],
)
def test_weights_that_make_no_whisper_are_named(
    whole: dict[str, Path], tmp_path: Path, change: str, sentence: str
) -> None:
    with pytest.raises(ModelError, match=sentence):
        convert(broken_openai(whole, tmp_path / "x.pt", change), whole["base"], tmp_path / "out")


def test_kinds_that_cannot_be_adapted_are_named(whole: dict[str, Path], tmp_path: Path) -> None:
    data = bytearray(whole["ggml"].read_bytes())
    data[44:48] = struct.pack("<i", 1002)  # q5_0 with its version
    (tmp_path / "ggml-tiny.en-q5_0.bin").write_bytes(data)
    with pytest.raises(ModelError, match="quantised, and only float32 and float16"):
        convert(tmp_path / "ggml-tiny.en-q5_0.bin", whole["base"], tmp_path / "out")
    data = whole["ctranslate2"].read_bytes()
    alias = b"\x1a\0decoder/projection/weight\0"
    assert alias in data
    others = data[data.rindex(alias) + len(alias) :]
    other_head = data[: data.rindex(alias) + len(alias)] + others.replace(
        b"\x1a\0decoder/embeddings/weight\0", b"\x15\0encoder/conv1/weight\0", 1
    )
    for changed, sentence in (
        (other_head, "the head is not the embeddings"),
        (struct.pack("<I", 5) + data[4:], "version 5 is not known"),
        (data.replace(b"WhisperSpec\0", b"TransfoSpec\0"), "is a TransfoSpec, not a Whisper"),
        (data + b"\0", "1 bytes follow the last weight"),
    ):
        path = with_bytes(whole, "ctranslate2", changed, tmp_path / "other")
        with pytest.raises(ModelError, match=sentence):
            convert(path, whole["base"], tmp_path / "out")


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "vocabulary.json"])
@pytest.mark.parametrize(
    "text", ["", "[" * 100_000, '{"alignment_heads": [[99, 0]], "model": 3}', "\xff", "[1, 2]"]
)
def test_side_files_of_ctranslate2(whole: dict[str, Path], tmp_path: Path, name: str, text: str) -> None:
    path = with_bytes(whole, "ctranslate2", whole["ctranslate2"].read_bytes(), tmp_path / "ct2")
    (path / name).write_bytes(text.encode("latin-1"))
    try:
        convert(path, whole["base"], tmp_path / "out")
    except ModelError as error:
        assert str(path) in str(error)
    else:
        assert name == "vocabulary.json"  # read for the one token that tells multilingual models
