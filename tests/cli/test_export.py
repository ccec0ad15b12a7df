"""``export --to onnx`` and ``--runtime onnx``: the same transcripts as torch."""

from __future__ import annotations

import json

import pytest
import torch
from transformers import Wav2Vec2Config, Wav2Vec2ForCTC

from asr_adapt.cli.app import run
from asr_adapt.models import load_recogniser
from asr_adapt.scoring import compare
from asr_adapt.transcription.runtimes import onnx_export
from asr_adapt.transcription.runtimes.onnx_export import export_onnx
from asr_adapt.transcription.runtimes.onnx_runtime import OnnxRecogniser
from asr_adapt.transcription.runtimes.verify import Verified

pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def exported(tone_model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("onnx") / "tones"
    assert run(["export", str(tone_model), "-o", str(folder), "--int8", "--json"]) == 0
    return folder


def test_folder_holds_graphs_and_no_weights(exported):
    names = {path.name for path in exported.iterdir()}
    assert {"model.onnx", "model.int8.onnx", "config.json", "vocab.json"} <= names
    assert not any(name.endswith(".safetensors") for name in names)


@pytest.mark.parametrize("runtime", ["onnx", "onnx-int8"])
def test_transcripts_words_and_subtitles(exported, speak, capfd, runtime):
    paths = [str(speak("a.wav", "bad cafe")), str(speak("long.wav", "gag egg " * 40))]
    assert (
        run(["transcribe", *paths, "--model", str(exported), "--runtime", runtime, "-f", "json", "-q"]) == 0
    )
    first, second = (json.loads(line) for line in capfd.readouterr().out.splitlines())
    assert first["text"] == "bad cafe"
    assert second["text"] == " ".join(["gag egg"] * 40)
    assert len(second["segments"][0]["words"]) > 1


def test_random_network_agrees_on_every_length(tone_recogniser, tmp_path):
    """A network with live convolutions, attention and group norm, unlike the tone recogniser's."""
    torch.manual_seed(0)
    config = Wav2Vec2Config(
        vocab_size=10, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
        conv_dim=(16, 16), conv_kernel=(10, 8), conv_stride=(5, 64), num_feat_extract_layers=2,
        num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=4, pad_token_id=0,
    )  # fmt: skip
    Wav2Vec2ForCTC(config).save_pretrained(tmp_path / "random")
    tone_recogniser.processor.save_pretrained(tmp_path / "random")
    (check,) = export_onnx(load_recogniser(str(tmp_path / "random")), tmp_path / "onnx")
    assert check.same_text == check.clips == 4
    assert check.largest_difference < 1e-3


def test_language_model_over_onnx(exported, speak, tmp_path, capfd):
    (tmp_path / "t.txt").write_text("bad cafe\n" * 5)
    run(["lm", "build", str(tmp_path / "t.txt"), "-o", str(tmp_path / "x.arpa")])
    call = ["transcribe", str(speak("a.wav", "bad cafe")), "--model", str(exported), "--runtime", "onnx"]
    assert run([*call, "--lm", str(tmp_path / "x.arpa"), "-q"]) == 0
    assert capfd.readouterr().out == "bad cafe\n"


def test_what_cannot_be_done_is_named(tone_model, speak, tmp_path, capfd):
    path = str(speak("a.wav", "bad"))
    assert run(["transcribe", path, "--model", str(tone_model), "--runtime", "onnx"]) == 3
    assert "holds no model.onnx" in capfd.readouterr().err
    assert run(["transcribe", path, "--model", "x", "--runtime", "onnx", "--device", "cuda"]) == 2
    (tmp_path / "broken").mkdir()
    for name in ("config.json", "vocab.json", "tokenizer_config.json", "processor_config.json"):
        if (tone_model / name).exists():
            (tmp_path / "broken" / name).write_bytes((tone_model / name).read_bytes())
    (tmp_path / "broken/model.onnx").write_bytes(b"not a graph")
    assert run(["transcribe", path, "--model", str(tmp_path / "broken"), "--runtime", "onnx"]) == 3
    assert "onnxruntime cannot load it" in capfd.readouterr().err


def test_exported_recogniser_reports_its_runtime(exported):
    assert OnnxRecogniser(exported, int8=True).description == "greedy, onnxruntime int8"


def _rows(tmp_path, speak, texts):
    rows = [
        {"audio_filepath": str(speak(f"{number}.wav", said)), "text": text}
        for number, (said, text) in enumerate(texts)
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(tmp_path / "rows.jsonl")


def test_an_export_is_verified_on_real_rows(tone_model, speak, tmp_path, capfd):
    rows = _rows(tmp_path, speak, [("bad cafe", "bad cafe"), ("gag egg", "gag egg"), ("bee", "bad")])
    call = ["export", str(tone_model), "-o", str(tmp_path / "out"), "--int8", "--verify", rows]
    assert run(call) == 0
    out = capfd.readouterr().out
    assert "model.onnx: verified on 3 rows: WER 20.00 → 20.00 %" in out and "model.int8.onnx: verified" in out
    (tmp_path / "untold.jsonl").write_text(json.dumps({"audio_filepath": str(tmp_path / "0.wav")}) + "\n")
    assert run([*call[:-1], str(tmp_path / "untold.jsonl")]) == 3
    assert "reference transcript" in capfd.readouterr().err


def test_an_export_that_is_worse_fails(tone_model, tone_recogniser, speak, tmp_path, capfd, monkeypatch):
    rows = _rows(tmp_path, speak, [("bad cafe", "bad cafe"), ("gag egg", "gag egg")])
    real = onnx_export._write_graph

    def damaged(recogniser, folder):
        with torch.no_grad():
            recogniser.model.lm_head.weight.mul_(-1)
        real(recogniser, folder)

    monkeypatch.setattr(onnx_export, "_write_graph", damaged)
    monkeypatch.setattr(onnx_export, "TOLERANCE", float("inf"))
    assert run(["export", str(tone_model), "-o", str(tmp_path / "out"), "--verify", rows, "--json"]) == 1
    (found,) = json.loads(capfd.readouterr().out)
    assert found["worse"] is True and found["rows"] == 2


@pytest.mark.parametrize(("wrong", "uncertain"), [(1, True), (12, False)])
def test_few_rows_that_are_worse_may_be_chance(wrong, uncertain, tmp_path):
    for name, errors in (("torch", 0), ("export", wrong)):
        rows = [
            {"audio_filepath": f"{n}.wav", "id": str(n), "text": "bad cafe egg", "speaker": str(n)}
            | {"pred_text": "bad cafe" if n < errors else "bad cafe egg"}
            for n in range(12)
        ]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = Verified("g", compare(tmp_path / "torch.jsonl", tmp_path / "export.jsonl"), 0.5)
    assert found.worse and found.to_json()["uncertain"] is uncertain
    assert ("verify on more rows" in found.sentence) is uncertain
