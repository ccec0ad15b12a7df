"""What an encoder–decoder model cannot hear, write or be asked for: one sentence and an exit status each."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr_adapt.cli.app import run
from tests.models.plain_models import save_tiny_moonshine, save_tiny_speech2text
from tests.models.whisper_models import save_tiny_whisper

#: Model, training manifest, setting, exit status, what the sentence says.
REFUSED = """
many          | long  | seed=1                   | 3 | long.jsonl:3: duration: 31.0 s of audio, the model
moonshine     | long  | seed=1                   | 3 | long.jsonl:3: duration: 31.0 s of audio, the model
many          | wordy | seed=1                   | 3 | wordy.jsonl:3: text: 605 labels, the model takes
mustc         | wordy | seed=1                   | 3 | wordy.jsonl:3: text: 602 labels, the model takes
many          | good  | decoder.language=xx      | 2 | language 'xx' is unknown to
many          | good  | decoder.language_from=en | 3 | language_from needs decoder.language
tiny.en       | good  | decoder.language=de      | 2 | is English-only and cannot write
tiny.en       | good  | decoder.task=translate   | 2 | is English-only and cannot translate
many-mixed    | good  | seed=1                   | 3 | the tokeniser and the weights disagree
tiny.en-mixed | good  | seed=1                   | 3 | the tokeniser and the weights disagree
moonshine     | good  | decoder.language=de      | 2 | writes one language and cannot write 'de'
moonshine     | good  | decoder.context=dynamic  | 3 | Moonshine cannot use decoder.context
mustc         | odd   | seed=1                   | 3 | odd.jsonl:2: text: characters outside
mustc         | odd   | seed=1                   | 3 | or correct it (this model cannot take new characters)
mustc         | good  | decoder.language=xx      | 2 | language 'xx' is unknown to
mustc         | good  | vocabulary.mode=extend   | 3 | vocabulary of this model cannot be changed
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models of each kind, two mixed up, and manifests whose third row is too long or too wordy."""
    root = tmp_path_factory.mktemp("errors")
    save_tiny_whisper(root / "many")
    save_tiny_whisper(root / "tiny.en", multilingual=False)
    save_tiny_moonshine(root / "moonshine")
    save_tiny_speech2text(root / "mustc", languages=True)
    for weights, words in (("many", "tiny.en"), ("tiny.en", "many")):
        shutil.copytree(root / weights, root / f"{weights}-mixed")
        for name in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copy(root / words / name, root / f"{weights}-mixed")
    noise = np.random.default_rng(0).standard_normal(31 * 16_000) * 0.1
    good = []
    for name, seconds in (("a", 1.0), ("b", 1.5), ("long", 31.0)):
        soundfile.write(root / f"{name}.wav", noise[: round(seconds * 16_000)], 16_000)
        good.append({"audio_filepath": f"{name}.wav", "duration": seconds, "text": "it is"})
    manifests = {"good": good[:2], "long": good, "wordy": [*good[:2], good[0] | {"text": "ab " * 200}]}
    manifests["odd"] = [good[0], good[1] | {"text": "it is 7"}]
    for name, rows in manifests.items():
        (root / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return root


def refusal(capfd: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Exit status and the one line that stands on stderr."""
    capfd.readouterr()
    status = run(list(arguments))
    out, error = capfd.readouterr()
    lines = [line for line in error.splitlines() if line.startswith("asr-adapt:")]
    assert out == "" and len(lines) == 1 and "Traceback" not in error, error
    return status, lines[0]


@pytest.mark.parametrize("case", [line.strip() for line in REFUSED.strip().splitlines()])
def test_training_refuses(place: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], case: str) -> None:
    model, train, setting, status, sentence = (part.strip() for part in case.split("|"))
    recipe, out = tmp_path / "recipe.yaml", tmp_path / "out"
    recipe.write_text(f"model: {place / model}\ntrain: {place / train}.jsonl\ndev: {place}/good.jsonl\n")
    asked = ["train", str(recipe), "--output", str(out), "device=cpu", "schedule.steps=1", setting]
    found = refusal(capfd, *asked)
    assert found[0] == int(status) and sentence in found[1]
    assert not (out / "model.safetensors").exists()


@pytest.mark.parametrize("command", ["transcribe", "evaluate"])
@pytest.mark.parametrize(
    ("model", "language", "sentence"),
    [
        ("many", "xx", "language 'xx' is unknown to"),
        ("tiny.en", "de", "is English-only and cannot write language 'de'"),
        ("moonshine", "de", "writes one language and cannot write 'de'"),
        ("mustc", "xx", "language 'xx' is unknown to"),
    ],
)
def test_hearing_refuses_a_language(
    place: Path, capfd: pytest.CaptureFixture[str], command: str, model: str, language: str, sentence: str
) -> None:
    source = str(place / ("a.wav" if command == "transcribe" else "good.jsonl"))
    status, line = refusal(capfd, command, source, "--model", str(place / model), "--language", language)
    assert status == 2 and sentence in line


def test_a_ctc_model_says_that_a_language_changes_nothing(
    tone_model: Path, place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    asked = ["transcribe", str(place / "a.wav"), "--model", str(tone_model)]
    assert run([*asked, "--language", "de"]) == 0
    assert "language 'de' has no effect" in caplog.text
    caplog.clear()
    assert run(asked) == 0
    assert "has no effect" not in caplog.text


@pytest.mark.parametrize(
    "command",
    [["transcribe", "a.wav", "--model"], ["export", "--to", "onnx", "-o", "out"], ["models", "import"]],
)
def test_the_home_of_an_unknown_user_is_no_model(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    rest = ["imported"] if command[0] == "models" else []
    soundfile.write("a.wav", np.zeros(800), 16_000)
    assert run([*command, "~nobody-has-this-name/m", *rest]) == 3
    said = capsys.readouterr().err
    assert "~nobody-has-this-name/m: " in said and "unexpected" not in said
