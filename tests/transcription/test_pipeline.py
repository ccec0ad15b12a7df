"""A model directory means the same to transformers' own pipeline as to us."""

from __future__ import annotations

from transformers import pipeline

from asr_adapt import transcribe
from asr_adapt.audio import read_audio


def test_transformers_pipeline_gives_the_same_text(tone_model, tone_recogniser, speak, tmp_path):
    directory = tmp_path / "saved"
    tone_recogniser.save(directory)
    theirs = pipeline("automatic-speech-recognition", model=str(directory), device="cpu")
    for name, said in (("a.wav", "bad cafe"), ("b.wav", "gag a b egg"), ("c.wav", "")):
        path = speak(name, said, lead=0.5)
        expected = theirs(read_audio(path))["text"]
        assert transcribe(path, model=str(directory)).text == expected == said
