"""A row's ``lang`` is what a multilingual Whisper is told; one that was asked for wins, and that is said."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr_adapt.api.opening import ChosenModel
from asr_adapt.cli.app import run
from asr_adapt.decoding import Decoding
from asr_adapt.models import WhisperRecogniser, load_recogniser
from asr_adapt.transcription import evaluate_rows
from asr_adapt.transcription.known_states import KnownRows
from asr_adapt.transcription.row_languages import listed
from tests.models.whisper_models import save_tiny_whisper

#: What rows of 1.00, 1.25, 1.50 … seconds say.
LANGS = ("en", "de-AT", None, "xx", "de")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_whisper(tmp_path_factory.mktemp("whisper") / "tiny")


@pytest.fixture()
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    random = np.random.default_rng(0)
    with path.open("w") as handle:
        for number, lang in enumerate(LANGS):
            seconds = 1.0 + 0.25 * number
            wave = (0.1 * random.standard_normal(round(seconds * 16_000))).astype(np.float32)
            soundfile.write(tmp_path / f"{number}.wav", wave, 16_000, subtype="FLOAT")
            row = {"audio_filepath": f"{number}.wav", "duration": seconds, "text": "x", "lang": lang}
            handle.write(json.dumps({name: value for name, value in row.items() if value}) + "\n")
    return path


@pytest.fixture()
def told(monkeypatch: pytest.MonkeyPatch) -> dict[float, str | None]:
    """The language that the decoder was told, by the seconds of the row; it decodes as ever."""
    found: dict[float, str | None] = {}
    speak = WhisperRecogniser.speak

    def noted(self, heard, language, seconds):
        found.update(dict.fromkeys(seconds, language))
        return speak(self, heard, language, seconds)

    monkeypatch.setattr(WhisperRecogniser, "speak", noted)
    return found


def in_order(told: dict[float, str | None]) -> list[str | None]:
    return [language for _, language in sorted(told.items())]


def test_each_row_is_decoded_in_its_language(
    model: Path, rows: Path, tmp_path: Path, told, caplog: pytest.LogCaptureFixture
) -> None:
    output = tmp_path / "p.jsonl"
    call = ["--model", str(model), "--device", "cpu", "-q", "-o"]
    assert run(["evaluate", str(rows), *call, str(output)]) == 0
    assert in_order(told) == ["en", "de", None, None, "de"]
    assert "does not list the lang of some rows" in caplog.text and "xx (1 rows)" in caplog.text
    assert json.loads((tmp_path / "p.settings.json").read_text())["language"] == "de, en"
    told.clear()
    assert run(["transcribe", str(rows), *call, str(tmp_path / "texts"), "--batch-size", "2"]) == 0
    assert in_order(told) == ["en", "de", None, None, "de"]


def test_a_language_that_was_asked_for_wins_and_says_so(
    model: Path, rows: Path, told, caplog: pytest.LogCaptureFixture
) -> None:
    call = ["evaluate", str(rows), "--model", str(model), "--device", "cpu", "-q"]
    assert run([*call, "--language", "en"]) == 0
    assert in_order(told) == ["en"] * len(LANGS)
    assert "'en' is given and overrides the rows' lang: de (2 rows), xx (1 rows)" in caplog.text


def test_kept_transcripts_are_those_of_the_language(model: Path, rows: Path, told) -> None:
    ours = load_recogniser(model, device="cpu")
    known = KnownRows(weights="of this model")
    assert evaluate_rows(rows, ours, known=known).kept == 0
    assert evaluate_rows(rows, ours, known=known).kept == len(LANGS)
    other = rows.with_name("other.jsonl")
    other.write_text(rows.read_text().replace('"de"', '"en"'))
    told.clear()
    assert evaluate_rows(other, ours, known=known).kept == len(LANGS) - 1
    assert told == {2.0: "en"}, "the row of the changed language alone is heard anew"


def test_names_of_languages() -> None:
    assert listed("de-AT", {"de"}) == listed("DE_at", {"de"}) == "de" and listed("yue", {"yue"}) == "yue"


def test_the_task_is_the_models_own_unless_it_is_asked_for(model: Path, tmp_path: Path) -> None:
    ours = load_recogniser(model, device="cpu")
    ours.model.generation_config.task = "translate"
    ours.save(tmp_path / "translates")
    for asked, found in ((None, "translate"), ("transcribe", "transcribe")):
        chosen = ChosenModel(str(tmp_path / "translates"), Decoding(task=asked), device="cpu")
        assert chosen.load().settings.task == found
    assert ChosenModel(str(model), device="cpu").load().settings.task == "transcribe"


def test_json_names_the_task(
    model: Path, rows: Path, tone_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def told(*options: str) -> dict[str, object]:
        arguments = [
            "transcribe",
            str(rows.parent / "0.wav"),
            "--device",
            "cpu",
            "-q",
            "-f",
            "json",
            *options,
        ]
        assert run(arguments) == 0
        return dict(json.loads(capsys.readouterr().out))

    assert told("--model", str(model))["task"] == "transcribe"
    translated = told("--model", str(model), "--task", "translate", "--language", "auto")
    assert translated["task"] == "translate" and translated["language_probability"]
    assert "task" not in told("--model", str(tone_model))
