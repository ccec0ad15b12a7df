"""``export --to ggml``: whisper.cpp hears the same with it, and our own reader gets the weights back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from asr_adapt.cli.app import run
from asr_adapt.models import load_recogniser
from asr_adapt.models.importing import read_foreign
from asr_adapt.transcription.runtimes.ggml_export import q8_0
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
    for wrong in (["--quantisation", "int8"], ["--verify", "x.jsonl"]):
        assert run(["export", base, "--to", "ggml", "-o", str(tmp_path / "out"), *wrong]) == 2


@pytest.mark.pretrained
@pytest.mark.realdata
def test_whisper_cpp_hears_what_torch_hears(whisper_tiny_en: Path, real_data: Path, tmp_path: Path) -> None:
    whispercpp = pytest.importorskip("pywhispercpp.model")
    from asr_adapt.audio import read_audio
    from asr_adapt.manifest import Manifest
    from asr_adapt.scoring import word_errors

    rows = list(Manifest.open(real_data / "kathleen" / "manifest.jsonl"))[:300:75]
    clips = [read_audio(row.audio_path) for row in rows]
    recogniser = load_recogniser(whisper_tiny_en, device="cpu", compute_type="float32")
    expected = [found.text for found in recogniser.transcribe(clips)]
    for kind, name in (("float16", "ggml-tiny.en.bin"), ("q8_0", "ggml-tiny.en-q8_0.bin")):
        out = tmp_path / kind
        call = ["export", str(whisper_tiny_en), "--to", "ggml", "-o", str(out), "--quantisation", kind]
        assert run(call) == 0
        model = whispercpp.Model(str(out / name), n_threads=1, print_progress=False)
        padded = [np.concatenate([clip, np.zeros(16_000, np.float32)]) for clip in clips]
        found = [" ".join(part.text.strip() for part in model.transcribe(clip)) for clip in padded]
        assert word_errors(expected, found, "whisper-en").wer < 0.1, (kind, found)
    back = read_foreign(tmp_path / "float16" / "ggml-tiny.en.bin", lambda size: pytest.fail("has its own"))
    for key, tensor in recogniser.model.state_dict().items():
        if key != "proj_out.weight":
            assert torch.allclose(back.tensors[key].float(), tensor, atol=2e-3), key
