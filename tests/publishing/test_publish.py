"""``asr-adapt publish``: what the folder holds and does not hold, forms that are read back, and the hub."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest
import yaml
from huggingface_hub import ModelCard

import asr_adapt
from asr_adapt.cli.app import run
from asr_adapt.models import load_recogniser
from asr_adapt.publishing import variants
from asr_adapt.publishing.contents import last_part, without_places
from asr_adapt.transcription.runtimes.onnx_runtime import OnnxRecogniser
from tests.publishing.hub_stand_in import TOKEN, hub_stand_in


@pytest.fixture(scope="module")
def published(result, tmp_path_factory):
    """The result published with every form that it has."""
    folder = tmp_path_factory.mktemp("published") / "tones"
    texts = ["--data", "Six synthetic speakers, free to use.", "--language", "en", "--dataset", "Tones 1"]
    call = ["publish", str(result), "-o", str(folder), "--licence", "apache-2.0", "--variant", "all"]
    assert run([*call, *texts, "--title", "tones-adapted"]) == 0
    return folder


def test_the_card_has_the_figures_in_the_hubs_own_form(published, result):
    summary = json.loads((result / "summary.json").read_text())
    card = ModelCard.load(published / "README.md")
    assert (card.data.license, card.data.language, card.data.library_name) == (
        "apache-2.0",
        ["en"],
        "transformers",
    )
    assert card.data.base_model is None, "the base is on no hub"
    found = {(one.dataset_name, one.metric_type): one for one in card.data.eval_results}
    assert set(found) == {
        (f"Tones 1 ({name})", kind) for name in ("target", "guard") for kind in ("wer", "cer")
    }
    wer = found["Tones 1 (target)", "wer"]
    assert wer.metric_value == round(100 * summary["target"]["after"], 2)
    bounds = summary["target"]["after_interval"]
    assert wer.metric_args["interval_low"] == round(100 * bounds["low"], 2)
    assert wer.metric_args["interval_high"] == round(100 * bounds["high"], 2)
    assert wer.metric_args["before_adaptation"] == round(100 * summary["target"]["before"], 2)
    assert "Six synthetic speakers, free to use." in card.text and "24 utterances" in card.text
    assert "paired difference" in card.text and "3 speakers" in card.text


def test_nothing_of_the_house_leaves(published, result, corpus):
    places = [str(result), str(corpus), str(result.parent), corpus.name, str(Path.home()), "home of Ann"]
    names = sorted(path.relative_to(published).as_posix() for path in published.rglob("*") if path.is_file())
    assert not [name for name in names if name.endswith((".wav", ".flac", ".ogg", ".mp3", "labels.jsonl"))]
    assert {
        "README.md",
        "config.json",
        "model.safetensors",
        "recipe.yaml",
        "results.json",
        "report.html",
    } <= set(names)
    for path in published.rglob("*"):
        if path.is_file() and path.suffix not in (".safetensors", ".onnx"):
            text = path.read_text(encoding="utf-8")
            assert not [place for place in places if place in text], path.name
    page = (published / "report.html").read_text()
    assert "data:audio" not in page and "dev-0" not in page, "no sound, no names of rows"
    assert yaml.safe_load((published / "recipe.yaml").read_text())["train"] == ["train.jsonl"]


def test_every_form_hears_what_the_result_hears(published, result, corpus, say):
    wave = say("bad cafe face")
    ours = load_recogniser(str(result)).transcribe([wave])[0].text
    assert load_recogniser(str(published)).transcribe([wave])[0].text == ours
    assert OnnxRecogniser(published / "onnx").transcribe([wave])[0].text == ours
    assert (published / "adapter/adapter_config.json").is_file()


def test_a_form_that_is_another_model_is_refused_and_nothing_is_left(result, tmp_path, capfd, monkeypatch):
    real = variants._onnx

    def damaged(recogniser):
        one = real(recogniser)
        return variants.Variant("onnx", one.write, lambda folder: load_recogniser("nano-en"), one.tolerance)

    monkeypatch.setattr(variants, "_onnx", damaged)
    call = ["publish", str(result), "-o", str(tmp_path / "p"), "--licence", "mit", "--variant", "onnx"]
    assert run(call) == 3
    assert "onnx: NOT THE SAME MODEL" in capfd.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_dry_run_shows_the_card_and_writes_nothing(result, tmp_path, capfd, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    call = ["publish", str(result), "-o", "p", "--licence", "mit", "--push", "ann/tones", "--dry-run"]
    assert run([*call, "--variant", "onnx,adapter"]) == 0
    said = capfd.readouterr()
    assert "model-index:" in said.out and 'model="ann/tones"' in said.out
    assert (
        "would write p: transformers, onnx, adapter" in said.err and "would send it to ann/tones" in said.err
    )
    assert run([*call, "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["forms"] == ["transformers"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("more", "status", "sentence"),
    [
        ([], 2, "is not known (its folder has no card that says so): give --licence"),
        (["--licence", "mit", "--variant", "ggml"], 2, "has no ggml variant (only Whisper models do"),
        (["--licence", "mit", "--variant", "tflite"], 2, "--variant 'tflite' is unknown"),
        (["--licence", "mit", "--check", "none.jsonl"], 3, "none.jsonl"),
    ],
)
def test_what_cannot_be_published_is_said_first(result, tmp_path, capfd, monkeypatch, more, status, sentence):
    monkeypatch.chdir(tmp_path)
    assert run(["publish", str(result), "-o", "p", *more]) == status
    assert sentence in capfd.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_other_folders_and_unfinished_runs(result, tmp_path, capfd):
    assert run(["publish", str(tmp_path), "--licence", "mit"]) == 2
    assert "no result folder" in capfd.readouterr().err
    (tmp_path / "p").mkdir()
    (tmp_path / "p/mine.txt").write_text("mine")
    assert run(["publish", str(result), "-o", str(tmp_path / "p"), "--licence", "mit", "--overwrite"]) == 2
    assert (tmp_path / "p/mine.txt").read_text() == "mine"
    assert run(["publish", str(result), "-o", str(result), "--licence", "mit"]) == 2
    unfinished = tmp_path / "run"
    unfinished.mkdir()
    for name in ("recipe.yaml", "metrics.jsonl"):
        (unfinished / name).write_bytes((result / name).read_bytes())
    assert run(["publish", str(unfinished), "--licence", "mit"]) == 2
    assert "holds an unfinished run" in capfd.readouterr().err


@pytest.mark.pretrained
@pytest.mark.slow
def test_a_real_whisper_in_every_form(whisper_tiny_en, tmp_path, capfd):
    """A step of training on four recordings of the package, then every form beside transformers."""
    pytest.importorskip("ctranslate2")
    speech = Path(asr_adapt.__file__).parent / "assets/demo-speech"
    rows = next(speech.glob("*test*.jsonl")).read_text().splitlines()[:4]
    values = [json.loads(row) for row in rows]
    for value in values:
        value["audio_filepath"] = str(speech / value["audio_filepath"])
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(value) + "\n" for value in values))
    manifest = str(tmp_path / "rows.jsonl")
    tree = {
        "model": "whisper-tiny.en",
        "train": manifest,
        "dev": manifest,
        "strategy": {"name": "head"},
        "schedule": {"steps": 1},
        "device": "cpu",
    }
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(tree))
    assert run(["train", str(tmp_path / "recipe.yaml"), "-o", str(tmp_path / "run"), "-q"]) == 0
    capfd.readouterr()
    call = ["publish", str(tmp_path / "run"), "-o", str(tmp_path / "p"), "--variant", "all", "--rows", "2"]
    assert run([*call, "--json", "-q"]) == 0
    told = json.loads(capfd.readouterr().out)
    assert {check["name"] for check in told["checks"]} == {"transformers", "ctranslate2", "onnx", "ggml"}
    assert all(check["fits"] for check in told["checks"])
    card = ModelCard.load(tmp_path / "p/README.md")
    assert (card.data.base_model, card.data.license) == ("openai/whisper-tiny.en", "mit")
    assert (tmp_path / "p/ggml/ggml-tiny.en-adapted.bin").is_file()


def test_places_are_cut_and_names_stay():
    for text, cut in (
        ("/home/ann/corpus/train.jsonl", "train.jsonl"),
        ("corpus/train.jsonl", "train.jsonl"),
        ("C:\\Users\\ann\\train.jsonl", "train.jsonl"),
        ("openai/whisper-tiny.en", "openai/whisper-tiny.en"),
        ("on dev, 3/4 of the rows", "on dev, 3/4 of the rows"),
    ):
        assert last_part(text) == cut
    assert without_places({"a": ["/x/y", 3]}) == {"a": ["y", 3]}


def _cli(hub, *words, **environment):
    """The command in a process of its own, whose hub is the stand-in."""
    places = {"HF_ENDPOINT": hub.address, "HF_HUB_DISABLE_XET": "1", "HF_TOKEN": TOKEN, "HF_HUB_OFFLINE": "0"}
    everything = {
        **os.environ,
        **places,
        **environment,
        "PYTHONPATH": str(Path(asr_adapt.__file__).parents[1]),
    }
    return subprocess.run(
        [sys.executable, "-m", "asr_adapt", "publish", *map(str, words)],
        capture_output=True, text=True, env=everything, check=False,
    )  # fmt: skip


def test_push_sends_every_file_in_one_commit_and_overwrites_nothing(published):
    with hub_stand_in() as hub:
        sent = _cli(hub, published, "--push", "ann/tones")
        assert sent.returncode == 0, sent.stderr
        assert sent.stdout.strip().startswith(f"{hub.address}/ann/tones/commit/")
        files = hub.repositories["ann/tones"]["main"]
        ours = {p.relative_to(published).as_posix(): p for p in published.rglob("*") if p.is_file()}
        ours = {name: path for name, path in ours.items() if not name.rsplit("/", 1)[-1].startswith(".")}
        assert files.keys() - {".gitattributes"} == ours.keys()
        assert all(files[name] == path.read_bytes() for name, path in ours.items())
        assert hub.private["ann/tones"] and hub.asked.count("POST /api/models/ann/tones/commit/main") == 1
        again = _cli(hub, published, "--push", "ann/tones")
        assert again.returncode == 2 and "holds files already" in again.stderr
        proposed = _cli(hub, published, "--push", "ann/tones", "--pull-request")
        assert proposed.returncode == 0 and proposed.stdout.strip().endswith("/ann/tones/discussions/1")
        assert hub.repositories["ann/tones"]["main"] == files, "the main branch is as it was"


def test_large_files_go_by_xet_as_the_client_prefers(published):
    pytest.importorskip("hf_xet")
    weights = published / "model.safetensors"
    with hub_stand_in() as hub:
        sent = _cli(hub, published, "--push", "ann/tones", HF_HUB_DISABLE_XET="0")
        assert sent.returncode == 0, sent.stderr
        assert hub.packed and not hub.blobs, "nothing went by LFS"
        assert hub.sums["model.safetensors"] == sha256(weights.read_bytes()).hexdigest()
        assert len(hub.repositories["ann/tones"]["main"]["model.safetensors"]) == weights.stat().st_size
        hub.takes_xet = False
        refused = _cli(hub, published, "--push", "ann/other", HF_HUB_DISABLE_XET="0")
        assert refused.returncode == 3 and "the hub did not take it" in refused.stderr
        assert "Traceback" not in refused.stderr


def test_what_the_hub_refuses_or_loses_is_said(published, tmp_path):
    with hub_stand_in() as hub:
        hub.losing = 10
        lost = _cli(hub, published, "--push", "ann/tones", "--public")
        assert lost.returncode == 3 and "as it was sent" in lost.stderr
        assert not hub.private["ann/tones"]
        refused = _cli(hub, published, "--push", "ann/other", HF_TOKEN="hf_wrong")
        assert refused.returncode == 3 and "the token may not write there" in refused.stderr
        wrong = _cli(hub, published, "--push", "not a name!")
        assert wrong.returncode == 2 and "is no name of a repository" in wrong.stderr
        home = {"HF_TOKEN": "", "HF_HOME": str(tmp_path)}
        untold = _cli(hub, published, "--push", "ann/other", **home)
        assert untold.returncode == 2 and "needs a token" in untold.stderr
        dry = _cli(hub, published, "--push", "ann/third", "--dry-run", **home)
        assert dry.returncode == 0 and "would send" in dry.stdout
        assert "ann/third" not in hub.repositories
    gone = _cli(hub, published, "--push", "ann/tones")
    assert gone.returncode == 3 and "the hub did not take it" in gone.stderr
