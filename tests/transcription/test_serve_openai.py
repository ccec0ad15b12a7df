"""OpenAI's interface: a real ``asr-adapt serve``, asked by ``curl`` and by the ``openai`` client."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
import openai
import pytest
import soundfile
import srt
import webvtt

from asr_adapt import transcribe


@dataclass(frozen=True)
class Running:
    """A server's process, its address, and the folder that is its TMPDIR."""

    process: subprocess.Popen[bytes]
    address: str
    own: Path

    def client(self, **more) -> openai.OpenAI:
        return openai.OpenAI(base_url=f"{self.address}v1", api_key="none", max_retries=0, **more)


@contextmanager
def serving(own: Path, *arguments: str) -> Iterator[Running]:
    own.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "asr_adapt", "serve", "--port", "0", "--compute-type", "float32", *arguments],
        stderr=subprocess.PIPE,
        env=os.environ | {"TMPDIR": str(own)},
    )
    try:
        assert process.stderr is not None
        line = process.stderr.readline().decode()
        assert line.startswith("http://"), line + process.stderr.read().decode()
        yield Running(process, line.split()[0], own)
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def server(tmp_path_factory, tone_model) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("served")
    with serving(folder / "own", "--model", str(tone_model), "--model", "nano-whisper") as running:
        yield running


@pytest.fixture
def talk(speak) -> Path:
    return speak("talk.wav", "bad cafe")


def test_the_clients_of_openai_get_every_format(server, tone_model, talk):
    client = server.client()
    assert [model.id for model in client.models.list()] == [str(tone_model), "nano-whisper"]

    def ask(**more):
        with talk.open("rb") as handle:
            return client.audio.transcriptions.create(file=handle, model="whisper-1", **more)

    found = ask()
    assert found.text == "bad cafe" and found.usage.seconds == np.ceil(soundfile.info(talk).duration)
    assert ask(response_format="text") == "bad cafe\n"
    (cue,) = srt.parse(ask(response_format="srt"))
    assert cue.content == "bad cafe" and cue.end > cue.start
    (caption,) = webvtt.from_string(ask(response_format="vtt"))
    assert caption.text == "bad cafe"
    told = ask(response_format="verbose_json")
    assert told.text == "bad cafe" and told.words is None
    assert told.duration == pytest.approx(soundfile.info(talk).duration, abs=0.01)
    (segment,) = told.segments
    assert segment.text == "bad cafe" and segment.end > segment.start
    timed = ask(response_format="verbose_json", timestamp_granularities=["word"])
    assert [word.word for word in timed.words] == ["bad", "cafe"] and timed.segments is None


@pytest.mark.parametrize(
    ("fields", "kind", "sentence"),
    [
        ({"model": "large"}, openai.NotFoundError, "There is no model 'large'"),
        ({"response_format": "docx"}, openai.BadRequestError, "response_format is one of"),
        ({"temperature": 7}, openai.BadRequestError, "temperature lies between"),
        ({"prompt": "names"}, openai.BadRequestError, "takes no prompt"),
        ({"timestamp_granularities": ["word"]}, openai.BadRequestError, "verbose_json"),
    ],
)
def test_what_cannot_be_done_is_said(server, talk, fields, kind, sentence):
    with talk.open("rb") as handle, pytest.raises(kind) as caught:
        server.client().audio.transcriptions.create(**({"file": handle, "model": "whisper-1"} | fields))
    assert sentence in caught.value.message


def test_a_request_without_a_file_and_no_sound_are_refused(server):
    with pytest.raises(openai.UnprocessableEntityError) as caught:
        server.client().audio.transcriptions.create(file=("x.wav", b"no sound"), model="whisper-1")
    assert str(server.own) not in caught.value.message
    answer = curl(server, "-F", "model=whisper-1")
    assert json.loads(answer)["error"]["message"].startswith("file: ")


def curl(server: Running, *arguments: str) -> str:
    if shutil.which("curl") is None:
        pytest.skip("needs curl")
    done = subprocess.run(
        ["curl", "--silent", "--show-error", *arguments, f"{server.address}v1/audio/transcriptions"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_curl_gets_text_and_json(server, talk):
    assert curl(server, "-F", f"file=@{talk}", "-F", "response_format=text") == "bad cafe\n"
    assert json.loads(curl(server, "-F", f"file=@{talk}", "-F", "model=whisper-1"))["text"] == "bad cafe"


def test_a_whisper_says_what_it_says_elsewhere_and_each_request_has_its_own_prompt(server, talk):
    """A request's prompt and temperature do not stay with the model."""
    here = transcribe(talk, model="nano-whisper", compute_type="float32")

    def ask(**more) -> str:
        with talk.open("rb") as handle:
            answer = server.client().audio.transcriptions.create(file=handle, model="nano-whisper", **more)
        return answer.text

    assert ask() == here.text
    ask(prompt="names and places", temperature=0.8)
    assert ask() == here.text


def test_translation_is_refused_by_a_model_that_cannot(server, talk):
    with talk.open("rb") as handle, pytest.raises(openai.BadRequestError) as caught:
        server.client().audio.translations.create(file=handle, model="whisper-1")
    assert "cannot translate" in caught.value.message


def test_a_signal_ends_it_and_leaves_nothing(tmp_path, tone_model, talk):
    with serving(tmp_path / "own", "--model", str(tone_model)) as running:
        with talk.open("rb") as handle:
            assert running.client().audio.transcriptions.create(file=handle, model="whisper-1").text
        assert list(running.own.iterdir()), "the folder of the process"
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(30) == 128 + signal.SIGTERM
        assert list(running.own.iterdir()) == []


def test_without_the_extra_one_sentence_says_so(tmp_path):
    (tmp_path / "fastapi.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'fastapi'\", name='fastapi')\n"
    )
    paths = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-m", "asr_adapt", "serve", "--port", "0"],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": paths},
    )
    assert done.returncode == 2
    assert (
        done.stderr.strip().endswith("run pip install 'asr-adapt[serve]'.") and done.stderr.count("\n") == 1
    )


@pytest.mark.pretrained
def test_tiny_en_is_asked_over_http(tmp_path, whisper_tiny_en):
    """What the server writes is what ``transcribe`` writes: text, words, and the figures of OpenAI's JSON."""
    path = next(Path(str(files("asr_adapt.assets"))).rglob("arctic_*.ogg"))
    here = transcribe(path, model=whisper_tiny_en, compute_type="float32", word_timestamps=True)
    with serving(tmp_path / "own", "--model", str(whisper_tiny_en)) as running, path.open("rb") as handle:
        found = running.client().audio.transcriptions.create(
            file=handle,
            model="whisper-1",
            response_format="verbose_json",
            timestamp_granularities=["word", "segment"],
        )
    assert found.text == here.text and found.language == "english"
    assert [word.word for word in found.words] == [word.text for word in here.words] and len(here.words) > 3
    assert [s.no_speech_prob is None for s in found.segments] == [False] * len(here.segments)
