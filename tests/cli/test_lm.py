"""``lm build``, ``lm tune``, and decoding with what they made."""

from __future__ import annotations

import json
import random

import pytest
import soundfile

from asr_adapt.cli.app import run

WORDS = ("cafe", "bad", "egg", "gag", "a", "fade")


@pytest.fixture
def corpus(tmp_path, say):
    """A text, and a mumbled manifest of sentences like it."""
    rng = random.Random(0)
    sentences = [" ".join(rng.choices(WORDS, weights=range(1, 7), k=rng.randint(2, 6))) for _ in range(200)]
    (tmp_path / "text.txt").write_text("\n".join(sentences[20:]).upper() + "\n")
    rows = []
    for number, sentence in enumerate(sentences[:8]):
        soundfile.write(tmp_path / f"{number}.wav", say(sentence, mumbled=0.2), 16_000, subtype="FLOAT")
        rows.append({"audio_filepath": f"{number}.wav", "text": sentence})
    (tmp_path / "dev.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def test_build_tune_and_decode(corpus, tone_model, capfd):
    lm = corpus / "lm.arpa"
    assert run(["lm", "build", str(corpus / "text.txt"), "-o", str(lm), "--order", "2"]) == 0
    assert "of length 2" in capfd.readouterr().err
    model = ["--model", str(tone_model)]
    assert run(["lm", "tune", str(corpus / "dev.jsonl"), "--lm", str(lm), *model, "--json"]) == 0
    tuned = json.loads(capfd.readouterr().out)
    assert tuned["wer"] < tuned["wer_without"]
    evaluate = ["evaluate", str(corpus / "dev.jsonl"), *model, "--json"]
    run(evaluate)
    greedy = json.loads(capfd.readouterr().out)
    assert run([*evaluate, "--lm", str(lm), "-o", str(corpus / "p.jsonl")]) == 0
    fused = json.loads(capfd.readouterr().out)
    assert fused["wer"] < 0.8 * greedy["wer"]
    assert fused["wer"] == pytest.approx(tuned["wer"], abs=0.02)
    settings = json.loads((corpus / "p.settings.json").read_text())
    assert settings["decoding"].startswith("beam lm.arpa weight")


def test_hotword_and_usage(corpus, tone_model, capfd):
    call = ["transcribe", str(corpus / "0.wav"), "--model", str(tone_model), "-q"]
    assert run([*call, "--hotword", "zebra:x"]) == 2
    assert "--hotword" in capfd.readouterr().err
    assert run([*call, "--hotword", "cafe:4", "-f", "json"]) == 0
    assert json.loads(capfd.readouterr().out)["text"]
    assert run([*call, "--lm", str(corpus / "none.arpa")]) == 3
    assert "none.arpa" in capfd.readouterr().err


def test_text_that_cannot_be_used_is_status_3(tmp_path, capfd):
    (tmp_path / "empty.txt").write_text("\n\n")
    (tmp_path / "latin.txt").write_bytes(b"\xe9\xe9\n")
    for name in ("empty.txt", "latin.txt", "missing.txt"):
        assert run(["lm", "build", str(tmp_path / name), "-o", str(tmp_path / "x.arpa")]) == 3
    assert not (tmp_path / "x.arpa").exists()
    assert "Traceback" not in capfd.readouterr().err
