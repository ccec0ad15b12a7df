"""The bundled Whisper: it travels with the package, recognises the demonstration's speech, and is plain."""

from __future__ import annotations

import pytest
from transformers import pipeline

from asr_adapt.audio import read_audio
from asr_adapt.demo.corpus import SpokenSet, speak
from asr_adapt.demo.synthesis import held_out_variants
from asr_adapt.manifest import Manifest
from asr_adapt.models import bundled_models, load_recogniser
from asr_adapt.scoring import word_errors

CLIPS = 6


@pytest.fixture(scope="module")
def spoken(tmp_path_factory):
    """Sentences and voices that the model was not trained on."""
    folder = tmp_path_factory.mktemp("spoken")
    rows = Manifest.open(
        speak(SpokenSet("home", "us", "test", held_out_variants(), CLIPS, "home"), folder, 7)
    )
    return [(row.text or "", read_audio(row.audio_path, sample_rate=16_000)) for row in rows]


@pytest.fixture(scope="module")
def heard(spoken):
    recogniser = load_recogniser("nano-whisper", device="cpu", compute_type="float32")
    return [found.text for found in recogniser.transcribe([wave for _, wave in spoken])]


def test_it_is_small_and_found_by_name():
    folder = bundled_models()["nano-whisper"]
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 20e6
    assert "home domain" in (folder / "README.md").read_text(encoding="utf-8")


def test_it_recognises_voice_commands(spoken, heard):
    counts = word_errors([text for text, _ in spoken], heard, "basic")
    assert counts.wer < 0.5


def test_a_plain_pipeline_hears_the_same(spoken, heard):
    plain = pipeline(
        "automatic-speech-recognition", model=str(bundled_models()["nano-whisper"]), dtype="float32"
    )
    greedy = {"num_beams": 1}  # a pipeline left alone takes five beams
    inputs = [{"raw": wave, "sampling_rate": 16_000} for _, wave in spoken]
    found = plain(inputs, batch_size=4, generate_kwargs=greedy)
    assert [row["text"].strip() for row in found] == heard
