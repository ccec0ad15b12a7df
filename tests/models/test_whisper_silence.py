"""``context: silence``: a window whose silence was computed once gives nearly what the whole one gives."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from asr_adapt.audio import read_audio
from asr_adapt.cli.app import run
from asr_adapt.errors import UsageError
from asr_adapt.manifest import Manifest
from asr_adapt.models import DecoderSettings, WhisperRecogniser, load_recogniser
from asr_adapt.scoring import word_errors
from tests.models.whisper_models import save_tiny_whisper

DEMO = Path(__file__).resolve().parents[2] / "asr_adapt" / "assets" / "demo-speech"


def noise(*seconds: float) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [(0.1 * random.standard_normal(round(16_000 * s))).astype(np.float32) for s in seconds]


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> WhisperRecogniser:
    folder = save_tiny_whisper(tmp_path_factory.mktemp("whisper") / "tiny")
    found = load_recogniser(folder, device="cpu")
    assert isinstance(found, WhisperRecogniser)
    found.model.eval()
    return found


@torch.inference_mode()
def states(own: WhisperRecogniser, clips: list[np.ndarray], context: str) -> torch.Tensor:
    own.use_context(context)
    found = own.heard(clips)
    assert found.lengths.tolist() == [1500] * len(clips)
    return found.states


def test_a_row_does_not_depend_on_its_batch_and_a_full_window_is_the_plain_network(
    ours: WhisperRecogniser,
) -> None:
    clips = noise(1.0, 7.3, 1.2, 28.0)
    together = states(ours, clips, "silence")
    for clip, row in zip(clips, together, strict=True):
        torch.testing.assert_close(states(ours, [clip], "silence")[0], row, rtol=1e-3, atol=1e-4)
    whole = states(ours, clips[-1:], "full")[0]
    torch.testing.assert_close(together[-1], whole, rtol=1e-3, atol=1e-4)


def test_the_silence_follows_the_weights(ours: WhisperRecogniser) -> None:
    clip = noise(1.0)
    before = states(ours, clip, "silence")
    with torch.no_grad():
        ours.network.encoder.layers[0].fc2.weight.mul_(1.5)
    changed = states(ours, clip, "silence")
    fresh = WhisperRecogniser(ours.model, ours.processor, "fresh")
    torch.testing.assert_close(states(fresh, clip, "silence"), changed)
    assert not torch.allclose(before[0, -1], changed[0, -1]), "the last frame of the silence is another"
    with torch.no_grad():
        ours.network.encoder.layers[0].fc2.weight.div_(1.5)


def test_it_is_no_context_that_a_model_learns(ours: WhisperRecogniser, tmp_path: Path) -> None:
    ours.configure(DecoderSettings(context="silence"))
    assert ours.capabilities.contexts == () and ours.description.endswith("silence context")
    ours.save(tmp_path / "saved")
    assert load_recogniser(tmp_path / "saved", device="cpu").settings.context == "full"
    with pytest.raises(UsageError, match="has not learnt"):
        ours.use_context("dynamic")
    ours.configure(DecoderSettings())


@pytest.mark.pretrained
def test_a_real_whisper_writes_no_worse_for_a_third_of_the_arithmetic(
    whisper_tiny_en: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    own = load_recogniser(whisper_tiny_en, device="cpu", compute_type="float32")
    assert isinstance(own, WhisperRecogniser)
    rows = list(Manifest.open(DEMO / "guard_test.jsonl"))[:8]
    clips = [read_audio(row.audio_path) for row in rows]
    states(own, clips, "silence")  # the silence is there from now on
    flops = {}
    for context in ("full", "silence"):
        with FlopCounterMode(display=False) as counter:
            states(own, clips, context)
        flops[context] = counter.get_total_flops()
    assert flops["silence"] < flops["full"] / 3
    manifest = tmp_path / "rows.jsonl"
    lines = [row.to_row() | {"audio_filepath": str(row.audio_path)} for row in rows]
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = {}
    for context in ("full", "silence"):
        call = [
            "evaluate",
            str(manifest),
            "--model",
            str(whisper_tiny_en),
            "--device",
            "cpu",
            "--json",
            "--fresh",
        ]
        output = tmp_path / f"{context}.jsonl"
        asked = ["--context", context] if context == "silence" else []
        assert run([*call, *asked, "-o", str(output)]) == 0
        capfd.readouterr()
        found[context] = [str(row.extra["pred_text"]) for row in Manifest.open(output)]
    wers = {
        name: word_errors([r.text or "" for r in rows], said, "basic").wer for name, said in found.items()
    }
    assert wers["silence"] <= wers["full"] + 0.03 and wers["silence"] < 0.2, (wers, found)
    settings = json.loads((tmp_path / "silence.settings.json").read_text())
    assert "silence context" in settings["decoding"]
