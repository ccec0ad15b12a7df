"""Corrections: through the server's process and route, the page in a browser, and into training."""

from __future__ import annotations

import http.client
import io
import json
import os
import re
import signal
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr_adapt.errors import UsageError
from asr_adapt.manifest import Manifest
from asr_adapt.transcription.serve import ServerSettings
from asr_adapt.transcription.serve.corrections import Correction, Corrections
from asr_adapt.transcription.serve.refused import Refused

RATE = 16_000
ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+)/")


class Running:
    """``asr-adapt serve`` with the tone model, as a process of its own."""

    def __init__(self, model: Path, *options: object) -> None:
        command = [sys.executable, "-m", "asr_adapt", "serve", "--port", "0", "--model", model, *options]
        self.process = subprocess.Popen(
            list(map(str, command)),
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        self.said = []
        while (found := ADDRESS.search(line := self.process.stderr.readline())) is None:
            assert line, f"the server ended: {self.said}"
            self.said.append(line)
        self.port = int(found[1])
        self.told = [self.process.stderr.readline().strip() for _ in range(3)] if options else []

    def post(self, fields: dict[str, object], sound: bytes, **headers: str) -> tuple[int, dict]:
        """Send a correction; gives the status and the answer."""
        boundary = uuid.uuid4().hex
        parts = [
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
            for name, value in fields.items()
        ]
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="talk.wav"\r\n\r\n'
        body = b"".join(parts) + head.encode() + sound + f"\r\n--{boundary}--\r\n".encode()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        kind = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        connection.request("POST", "/v1/corrections", body, kind | headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())

    def end(self) -> None:
        self.process.send_signal(signal.SIGINT)
        self.process.wait(timeout=60)
        self.process.stderr.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("kept") / "mended by hand"


@pytest.fixture(scope="module")
def running(tone_model, folder):
    server = Running(tone_model, "--corrections", folder)
    yield server
    server.end()


@pytest.fixture(scope="module")
def wav(say) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, say("bad cafe feed"), RATE, format="WAV")
    return buffer.getvalue()


def rows(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "corrections.jsonl").read_text().splitlines()]


def test_a_correction_becomes_a_row_with_its_clip(running, folder, wav, say):
    fields = {"start": 0.1, "end": 0.6, "text": " bat\n cafe ", "original": "bad cafe", "model": "tones"}
    status, kept = running.post(fields | {"language": "en"}, wav)
    assert status == 201 and kept["text"] == "bat cafe"
    assert rows(folder)[-1] == kept
    assert {
        "original_text": "bad cafe",
        "model": "tones",
        "lang": "en",
        "recording": "talk.wav",
    }.items() <= kept.items()
    clip, rate = soundfile.read(folder / kept["audio_filepath"], dtype="float32")
    assert rate == RATE and kept["duration"] == pytest.approx(0.5, abs=1e-3)
    np.testing.assert_allclose(clip, say("bad cafe feed")[1600:9600], atol=1e-3)
    row = next(iter(Manifest.open(folder / "corrections.jsonl")))
    assert row.audio_path.is_file() and row.extra["corrected_at"].endswith("+00:00")
    assert list(folder.glob("**/upload*")) == []


def test_mending_again_replaces_the_row_and_keeps_what_was(running, folder, wav):
    fields = {"start": 0.0, "end": 0.5, "text": "one"}
    first = running.post(fields, wav)[1]
    before = rows(folder)
    status, second = running.post(fields | {"text": "two", "replaces": first["id"]}, wav)
    assert status == 201
    assert rows(folder) == [row for row in before if row != first] + [second]
    assert json.loads((folder / "replaced.jsonl").read_text().splitlines()[-1]) == first
    assert (folder / first["audio_filepath"]).is_file()
    status, answer = running.post(fields | {"replaces": first["id"]}, wav)
    assert status == 400 and "no correction" in answer["error"]["message"]


def test_many_at_once_are_all_kept(running, folder, wav):
    before = rows(folder)
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(lambda n: running.post({"start": 0, "end": 0.4, "text": f"n {n}"}, wav), range(16))
        )
    assert {status for status, _ in answers} == {201}
    assert rows(folder)[: len(before)] == before
    assert {row["text"] for row in rows(folder)[len(before) :]} == {f"n {n}" for n in range(16)}


@pytest.mark.parametrize(
    ("changes", "status", "says"),
    [
        ({"text": " \n "}, 400, "text is empty"),
        ({"text": "x" * 1001}, 400, "1000 are the most"),
        ({"text": "a\x1b[31m"}, 400, "control characters"),
        ({"end": 0.0}, 400, "0.1 to 30 seconds"),
        ({"end": 31}, 400, "0.1 to 30 seconds"),
        ({"start": "nan"}, 400, "seconds of the recording"),
        ({"start": -1}, 400, "seconds of the recording"),
        ({"start": "x"}, 400, "start"),
        ({"start": 20, "end": 21}, 400, "The recording ends at"),
        ({"model": "m" * 300}, 400, "200 are the most"),
    ],
)
def test_what_can_be_no_row_is_refused_and_nothing_is_kept(running, folder, wav, changes, status, says):
    running.post({"start": 0.0, "end": 0.5, "text": "good"}, wav)
    before = rows(folder), sorted(folder.rglob("*"))
    got, answer = running.post({"start": 0.0, "end": 0.5, "text": "good"} | changes, wav)
    assert (got, says in answer["error"]["message"]) == (status, True), answer
    assert (rows(folder), sorted(folder.rglob("*"))) == before


def test_no_sound_and_other_sites_are_refused(running, wav):
    fields = {"start": 0.0, "end": 0.5, "text": "good"}
    status, answer = running.post(fields, b"no sound at all")
    assert status == 422 and "asr-adapt" not in answer["error"]["message"]
    assert running.post(fields, wav, Origin="http://evil.example")[0] == 403


def test_a_server_without_the_option_keeps_nothing(tone_model, wav):
    server = Running(tone_model)
    try:
        status, answer = server.post({"start": 0.0, "end": 0.5, "text": "good"}, wav)
    finally:
        server.end()
    assert status == 403
    assert answer["error"]["message"] == (
        "This server keeps no corrections: start it with --corrections FOLDER."
    )


def test_the_folder_is_full_at_its_limit(tmp_path, say, monkeypatch):
    monkeypatch.setattr("asr_adapt.transcription.serve.corrections.MOST_ROWS", 1)
    soundfile.write(tmp_path / "a.wav", say("bad"), RATE)
    kept = Corrections(tmp_path / "kept")
    kept.add(tmp_path / "a.wav", Correction(0.0, 0.3, "bad"))
    with pytest.raises(Refused, match="start the server with another --corrections") as refusal:
        kept.add(tmp_path / "a.wav", Correction(0.0, 0.3, "bad"))
    assert refusal.value.status == 507


def test_the_folder_may_hold_nothing_else_and_is_taken_again(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("")
    with pytest.raises(UsageError, match="is not empty"):
        Corrections(tmp_path / "mine")
    assert ServerSettings({}).corrections is None
    Corrections(tmp_path / "kept")
    Corrections(tmp_path / "kept")


def test_the_start_says_how_to_learn_from_them(running, folder):
    manifest = folder / "corrections.jsonl"
    assert running.told[0].startswith(f"Corrections go to {manifest}.")
    assert running.told[1] == f"train: {manifest}"
    assert f"asr-adapt adapt '{manifest}' --model" in running.told[2]


def test_check_train_and_adapt_take_the_manifest(tmp_path, capfd):
    """Twelve mended sentences: no finding, and a plan of each command."""
    from asr_adapt.cli.app import run
    from asr_adapt.demo.sentences import sentences
    from asr_adapt.demo.synthesis import Voice, synthesise

    kept = Corrections(tmp_path / "kept")
    for text in sentences(12, 3, part="train"):
        soundfile.write(tmp_path / "a.wav", sound := synthesise(text, Voice()), RATE)
        kept.add(tmp_path / "a.wav", Correction(0.0, min(len(sound) / RATE, 29.0), text, model="nano-en"))
    assert run(["manifest", "check", str(kept.manifest), "--model", "nano-en"]) == 0, capfd.readouterr()
    (tmp_path / "recipe.yaml").write_text(f"model: nano-en\ntrain: {kept.manifest}\ndev: {kept.manifest}\n")
    recipe = ["train", str(tmp_path / "recipe.yaml"), "-o", str(tmp_path / "new"), "--dry-run"]
    assert run(recipe) == 0, capfd.readouterr().err
    told = ["adapt", str(kept.manifest), "--model", "nano-en", "-o", str(tmp_path / "other"), "--dry-run"]
    assert run(told) == 0, capfd.readouterr().err


def test_a_word_is_clicked_mended_and_saved_in_a_browser(running, folder, speak, tmp_path):
    """With the mouse, then again with the keyboard; Escape saves nothing."""
    from tests.scoring.browser import CHROMIUM, Browser

    if CHROMIUM is None:
        pytest.skip("needs Chromium")
    path = speak("talk.wav", "bad cafe")
    with Browser(tmp_path / "profile") as browser:
        browser.call("Page.navigate", url=f"http://127.0.0.1:{running.port}/")
        browser.wait("document.readyState === 'complete' && typeof models === 'object' && corrections")
        root = browser.call("DOM.getDocument")["root"]["nodeId"]
        node = browser.call("DOM.querySelector", nodeId=root, selector="#file")["nodeId"]
        browser.call("DOM.setFileInputFiles", nodeId=node, files=[str(path)])
        browser.wait("document.getElementById('status').textContent.startsWith('Done')")
        browser.run("[...document.querySelectorAll('.word')].find(w => w.textContent === 'cafe').click()")
        field = "document.querySelector('form.mend textarea')"
        chosen = f"{field}.value.slice({field}.selectionStart, {field}.selectionEnd)"
        assert browser.run(f"[{field}.value, {chosen}]") == ["bad cafe", "cafe"]
        browser.run(f"{field}.setRangeText('café')")
        browser.run("document.querySelector('form.mend button[type=submit]').click()")
        browser.wait("document.querySelector('.mended') !== null")
        first = rows(folder)[-1]
        assert (first["text"], first["original_text"]) == ("bad café", "bad cafe")
        assert first["recording"] == "talk.wav" and (folder / first["audio_filepath"]).is_file()

        assert browser.run("document.activeElement.className") == "word mended"
        browser.press("Enter")
        browser.wait(f"{field} !== null")
        browser.press("Escape")
        assert browser.run(f"{field} === null") and rows(folder)[-1] == first
        browser.press("Enter")
        browser.run(f"{field}.value = 'bad cafés'")
        browser.press("Enter")
        browser.wait("document.querySelector('.mended').textContent === 'bad cafés'")
        assert [row["text"] for row in rows(folder) if "caf" in row["text"]][-1:] == ["bad cafés"]
        assert first not in rows(folder)
        browser.run("document.querySelector('.mended').click()")
        browser.run(f"{field}.value = '  '")
        browser.run("document.querySelector('form.mend button[type=submit]').click()")
        browser.wait("document.querySelector('[role=alert]').textContent.includes('text is empty')")
        errors = [error for error in browser.errors if "400" not in error]  # the refused save is logged
        assert errors == []
