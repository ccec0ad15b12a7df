"""``export --to ggml``: whisper.cpp hears the same with it, and our own reader gets the weights back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import asr_adapt
from asr_adapt.audio import read_audio
from asr_adapt.cli.app import run
from asr_adapt.errors import MissingExtraError, ModelError
from asr_adapt.manifest import Manifest
from asr_adapt.models import WhisperRecogniser, load_recogniser
from asr_adapt.models.importing import read_foreign
from asr_adapt.transcription.runtimes import ggml_export, ggml_runtime
from asr_adapt.transcription.runtimes.ggml_export import q8_0
from asr_adapt.transcription.runtimes.ggml_runtime import open_ggml
from tests.models.whisper_models import save_tiny_whisper


def test_blocks_of_eight_bits_hold_the_weights_within_half_a_step() -> None:
    values = np.random.default_rng(0).normal(size=(4, 64)).astype(np.float32)
    values[0, :32] = 0.0
    raw = np.frombuffer(q8_0(values), dtype=[("scale", "<f2"), ("steps", "i1", (32,))])
    back = (raw["scale"][:, None].astype(np.float32) * raw["steps"]).reshape(values.shape)
    largest = np.abs(values.reshape(-1, 32)).max(1) / 127
    assert np.all(np.abs(back - values).reshape(-1, 32).max(1) <= 0.51 * largest + 0.001 * 127 * largest)
    assert not back[0, :32].any()


def test_a_vocabulary_that_whisper_cpp_does_not_know_is_refused(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    base = str(save_tiny_whisper(tmp_path / "tiny"))
    assert run(["export", base, "--to", "ggml", "-o", str(tmp_path / "out")]) == 3
    assert "export to ctranslate2 instead" in capfd.readouterr().err
    assert not (tmp_path / "out").exists()
    wrong = ["--quantisation", "int8"]
    assert run(["export", base, "--to", "ggml", "-o", str(tmp_path / "out"), *wrong]) == 2


@pytest.fixture(scope="module")
def real_rows(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two real rows as a manifest; the second one is longer than one window."""
    rows = list(Manifest.open(real_data / "librispeech_other" / "manifest.jsonl"))[:48:12]
    clips = [read_audio(row.audio_path, offset=row.offset, duration=row.duration) for row in rows]
    folder = tmp_path_factory.mktemp("rows")
    parts = [(clips[:1], rows[:1]), (clips[1:], rows[1:])]
    lines = []
    for number, (heard, said) in enumerate(parts):
        soundfile.write(folder / f"{number}.flac", np.concatenate(heard), 16_000)
        text = " ".join(str(row.text) for row in said)
        lines.append(json.dumps({"audio_filepath": f"{number}.flac", "text": text}) + "\n")
    assert sum(map(len, clips[1:])) > 31 * 16_000
    (folder / "rows.jsonl").write_text("".join(lines))
    return folder / "rows.jsonl"


@pytest.mark.pretrained
@pytest.mark.realdata
@pytest.mark.parametrize(
    ("kind", "name"), [("float16", "ggml-tiny.en.bin"), ("q8_0", "ggml-tiny.en-q8_0.bin")]
)
def test_an_export_is_verified_by_whisper_cpp(
    whisper_tiny_en: Path,
    real_rows: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    kind: str,
    name: str,
) -> None:
    pytest.importorskip("_pywhispercpp")
    call = ["export", str(whisper_tiny_en), "--to", "ggml", "-o", str(tmp_path / "out"), "--json"]
    assert run([*call, "--quantisation", kind, "--verify", str(real_rows), "--tolerance", "5"]) == 0
    shown = capfd.readouterr()
    (found,) = json.loads(shown.out)
    assert (found["graph"], found["weights"], found["rows"], found["worse"]) == (name, 167, 2, False)
    assert found["wer_b"] < 0.3 and "whisper_" not in shown.err
    if kind == "float16":
        back = read_foreign(tmp_path / "out" / name, lambda size: pytest.fail("has its own"))
        recogniser = load_recogniser(whisper_tiny_en, device="cpu", compute_type="float32")
        for key, tensor in recogniser.model.state_dict().items():
            if key != "proj_out.weight":
                assert torch.allclose(back.tensors[key].float(), tensor, atol=2e-3), key


@pytest.mark.pretrained
@pytest.mark.realdata
def test_a_damaged_export_fails_in_whisper_cpp(
    whisper_tiny_en: Path,
    real_rows: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("_pywhispercpp")
    pieces = ggml_export._pieces  # a vocabulary that is off by one: as fast, and every word is another
    monkeypatch.setattr(ggml_export, "_pieces", lambda model: [*pieces(model)[1:], b"x"])
    call = ["export", str(whisper_tiny_en), "--to", "ggml", "-o", str(tmp_path / "out")]
    assert run([*call, "--quantisation", "q8_0", "--verify", str(real_rows)]) == 1
    assert "ggml-tiny.en-q8_0.bin: WORSE than torch on 2 rows" in capfd.readouterr().out
    file = tmp_path / "out" / "ggml-tiny.en-q8_0.bin"
    file.write_bytes(file.read_bytes()[:1_000_000])
    source = load_recogniser(whisper_tiny_en, device="cpu", compute_type="float32")
    assert isinstance(source, WhisperRecogniser)
    with pytest.raises(ModelError, match=r"whisper\.cpp cannot load it .*not all tensors loaded"):
        open_ggml(file, source)


def test_without_whisper_cpp_one_sentence_says_what_to_install(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ggml_runtime, "find_spec", lambda name: None)
    call = ["export", "no-such-model", "--to", "ggml", "-o", str(tmp_path / "out")]
    for option in ("--check", "--verify"):
        assert run([*call, option, "rows.jsonl"]) == 2
        assert "run pip install 'asr-adapt[ggml]'." in capfd.readouterr().err
    with pytest.raises(MissingExtraError, match=r"asr-adapt\[ggml\]"):
        asr_adapt.export("no-such-model", tmp_path / "out", to="ggml", check="rows.jsonl")
