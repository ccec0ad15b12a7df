"""``asr-adapt calibrate``, and its map in transcribe, evaluate and from Python, for both families."""

from __future__ import annotations

import json
import random
import shutil

import pytest
import soundfile

import asr_adapt
from asr_adapt import Decoding, stream
from asr_adapt.cli.app import run
from asr_adapt.models import load_recogniser
from asr_adapt.scoring.calibration import Calibration
from asr_adapt.transcription.calibration import calibration_beside, hear
from asr_adapt.transcription.journal import journal_key
from asr_adapt.transcription.rows.row_journal import run_key
from asr_adapt.transcription.sources import Source
from tests.models.whisper_models import save_tiny_whisper

WORDS = ("cafe", "bad", "egg", "gag", "a", "fade")
#: Far from the identity, so that a forgotten map shows.
STEEP = Calibration(3.0, 0.5, -1.0)


@pytest.fixture
def model(tone_model, tmp_path):
    """A model directory of one's own."""
    return shutil.copytree(tone_model, tmp_path / "model")


@pytest.fixture
def mumbled(tmp_path, say):
    """Sentences some of whose letters sound like another; the references are what was meant."""
    rng = random.Random(0)
    rows = []
    for number in range(16):
        sentence = " ".join(rng.choices(WORDS, k=6))
        soundfile.write(tmp_path / f"{number}.wav", say(sentence, mumbled=0.4), 16_000, subtype="FLOAT")
        rows.append({"audio_filepath": f"{number}.wav", "text": sentence, "speaker": f"s{number % 4}"})
    path = tmp_path / "dev.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def words_of(capfd) -> list[float]:
    value = json.loads(capfd.readouterr().out)
    return [word["probability"] for part in value["segments"] for word in part["words"]]


def test_map_is_written_into_the_model_and_found_there(model, mumbled, capfd):
    wav = str(mumbled.parent / "0.wav")
    transcribe = ["transcribe", wav, "--model", str(model), "-q", "-f", "json", "--word-timestamps"]
    assert run(transcribe) == 0
    raw = words_of(capfd)
    assert run(["calibrate", str(mumbled), "--model", str(model), "-q", "--json"]) == 0
    told = json.loads(capfd.readouterr().out)
    assert told["path"] == str(model / "calibration.json") and told["words"] >= 50
    found = calibration_beside(model)
    assert found is not None and found.decoding == "greedy" and found.words == told["words"]
    assert run(transcribe) == 0
    assert words_of(capfd) == pytest.approx([found(p) for p in raw], abs=1e-3)
    assert run([*transcribe, "--calibration", "none"]) == 0
    assert words_of(capfd) == raw


def test_calibrated_confidence_is_nearer_the_share_right(model, mumbled, tmp_path, capfd):
    assert run(["calibrate", str(mumbled), "--model", str(model), "-o", str(tmp_path / "c.json")]) == 0
    out, err = capfd.readouterr()
    assert "of them right" in out and "cross-validated" in out and err == ""
    assert max(map(len, out.replace(str(tmp_path), "").splitlines())) <= 80
    kept = json.loads((tmp_path / "c.json").read_text())
    assert kept["ece"]["after"] < kept["ece"]["before"]
    evaluate = ["evaluate", str(mumbled), "--model", str(model), "--json", "-q"]
    assert run([*evaluate, "--calibration", str(tmp_path / "c.json"), "-o", str(tmp_path / "p.jsonl")]) == 0
    rows = [json.loads(line) for line in (tmp_path / "p.jsonl").read_text().splitlines()]
    assert all("words" not in row for row in rows)
    mean = sum(row["confidence"] for row in rows) / len(rows)
    assert abs(mean - kept["right"]) < abs(kept["confidence"] - kept["right"])


def test_usage_and_bad_files(model, mumbled, tmp_path, capfd):
    assert run(["calibrate", str(mumbled)]) == 2
    assert "--output" in capfd.readouterr().err
    assert run(["calibrate", str(mumbled), "--model", str(model), "--hotword", "egg"]) == 2
    assert "plain decoding" in capfd.readouterr().err
    few = tmp_path / "few.jsonl"
    few.write_text(mumbled.read_text().splitlines()[0] + "\n")
    assert run(["calibrate", str(few), "--model", str(model)]) == 3
    assert "more rows" in capfd.readouterr().err and not (model / "calibration.json").exists()
    wav = str(tmp_path / "0.wav")
    assert run(["transcribe", wav, "--model", str(model), "--calibration", str(tmp_path / "no.json")]) == 3
    assert "no.json" in capfd.readouterr().err


def test_other_decoding_is_warned_of_and_takes_no_found_map(model, tmp_path, speak, capfd, caplog):
    wav = str(speak("x.wav", "bad cafe"))
    STEEP.write(model / "calibration.json")
    transcribe = ["transcribe", wav, "--model", str(model), "-q", "-f", "json", "--hotword", "egg:2"]
    assert run([*transcribe, "--word-timestamps"]) == 0
    assert min(words_of(capfd)) > 0.9 and caplog.records == []
    Calibration(decoding="greedy").write(tmp_path / "c.json")
    assert run([*transcribe, "--calibration", str(tmp_path / "c.json")]) == 0
    assert "fitted with decoding 'greedy'" in caplog.text


def test_from_python(model, say):
    wave = say("bad cafe", mumbled=0.4)
    plain = asr_adapt.transcribe(wave, model=model, word_timestamps=True)
    STEEP.write(model / "calibration.json")
    found = asr_adapt.transcribe(wave, model=model, word_timestamps=True)
    assert [w.probability for w in found.words] == pytest.approx([STEEP(w.probability) for w in plain.words])
    assert found.confidence != plain.confidence
    raw = Decoding(word_timestamps=True, calibration="none")
    off = asr_adapt.transcribe(wave, model=model, decoding=raw)
    assert off.words == plain.words
    named = asr_adapt.transcribe(wave, model=model, decoding=Decoding(calibration=model / "calibration.json"))
    assert named.words == () and named.confidence == pytest.approx(found.confidence)
    streamed = [word for part in stream(wave, model=model) for word in part.words]
    assert streamed == list(found.words)


@pytest.mark.parametrize("family", ["ctc", "whisper"])
def test_both_families_change_in_confidence_alone(family, tone_model, tmp_path, say):
    folder = tone_model if family == "ctc" else save_tiny_whisper(tmp_path / "whisper")
    recogniser, wave = load_recogniser(folder, device="cpu"), say("bad cafe", mumbled=0.4)
    options = Decoding(language=None if family == "ctc" else "en")
    raw = hear(recogniser, [wave], options, words=True)[0]
    mapped = hear(recogniser, [wave], options.but(calibration=STEEP), words=True)[0]
    assert raw.words and mapped.text == raw.text
    assert [(w.text, w.start, w.end) for w in mapped.words] == [(w.text, w.start, w.end) for w in raw.words]
    assert [w.probability for w in mapped.words] == [STEEP(w.probability) for w in raw.words]
    assert mapped.confidence == pytest.approx(sum(w.probability for w in mapped.words) / len(mapped.words))


def test_a_killed_run_is_not_continued_under_another_map(tone_recogniser, speak):
    source = Source("x.wav", "x", path=speak("x.wav", "bad cafe"))
    raw, mapped = Decoding(), Decoding(calibration=STEEP)
    assert journal_key(source, tone_recogniser, raw) != journal_key(source, tone_recogniser, mapped)
    assert run_key(tone_recogniser, raw, [source]) != run_key(tone_recogniser, mapped, [source])
