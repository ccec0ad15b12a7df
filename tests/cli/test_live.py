"""``asr-adapt transcribe --live`` as a process of its own: pipes, Ctrl-C, a terminal, refusals."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
import types

import numpy as np
import pytest
import soundfile

import asr_adapt
from asr_adapt.cli.app import run
from asr_adapt.demo.synthesis import Voice, synthesise

RATE = 16_000
SENTENCES = ("please call the office before noon", "the old house stands near the river")
LIVE = [sys.executable, "-m", "asr_adapt", "transcribe", "--live", "-", "--threads", "1"]


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    gap = np.zeros(2 * RATE, np.float32)
    parts = [synthesise(text, Voice(variant="f2", rate=150)) for text in SENTENCES]
    return np.concatenate([part for sentence in parts for part in (sentence, gap)])


def raw(sound: np.ndarray) -> bytes:
    return (sound * 32767).astype("<i2").tobytes()


def wav(sound: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, sound, RATE, format="WAV")
    return buffer.getvalue()


def start(*options: str, **more) -> subprocess.Popen:
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [*LIVE, *options], stdin=pipe, stdout=more.pop("stdout", pipe), stderr=pipe, **more
    )


def test_a_piped_recording_prints_what_the_library_hears_and_writes_files(speech, tmp_path):
    out, err = start("-o", str(tmp_path / "out"), "-f", "srt,json").communicate(wav(speech), timeout=120)
    one = asr_adapt.load("nano-en", compute_type="fast")
    updates = list(one.live([np.frombuffer(raw(speech), "<i2") / np.float32(32768)]))
    lines = [segment.text for update in updates for segment in update.segments]
    assert out.decode().splitlines() == [*lines, *filter(None, [updates[-1].text])]
    assert len(lines) == 2 and "office" in lines[0]
    found = json.loads((tmp_path / "out" / "stdin.json").read_text())
    assert found["text"] == " ".join(out.decode().split())
    assert found["segments"][0]["words"][0]["word"] == "please"
    assert (tmp_path / "out" / "stdin.srt").read_text().startswith("1\n00:00:00,")
    assert b"words in" in err and b"after its end" not in err, "a recording has no latency"


def test_nano_whisper_hears_raw_samples(speech):
    process = start("--model", "nano-whisper", "-q")
    out, err = process.communicate(raw(speech) + b"\0", timeout=120)
    assert process.returncode == 0 and len(out.split()) >= 4
    assert err.decode() == "asr-adapt: <stdin>: the last 1 bytes are no whole sample and were left out.\n"


class Speaker(threading.Thread):
    """Writes samples at the speed of speech and then silence, until the reader goes."""

    def __init__(self, process: subprocess.Popen, sound: bytes) -> None:
        super().__init__(daemon=True)
        self.pipe, self.sound, self.said = process.stdin, sound, threading.Event()
        self.start()

    def run(self):
        with contextlib.suppress(BrokenPipeError):
            for place in itertools.count(0, 3200):
                self.pipe.write(self.sound[place : place + 3200] or bytes(3200))
                self.pipe.flush()
                if place >= len(self.sound):
                    self.said.set()
                time.sleep(0.1)


def test_words_come_while_sound_comes_and_ctrl_c_ends_it_with_the_rest(speech):
    process = start()
    speaker = Speaker(process, raw(speech[:-RATE]))
    first = process.stdout.readline()
    assert b"office" in first and process.poll() is None
    assert speaker.said.wait(60)
    process.send_signal(signal.SIGINT)
    rest, err = process.stdout.read(), process.stderr.read()
    assert process.wait(timeout=60) == 0
    assert b"river" in rest and rest.endswith(b"\n")
    assert b"a word is committed" in err and b"Traceback" not in err and b"Fatal" not in err


def test_on_a_terminal_the_tail_is_dim_and_goes(speech):
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    process = start(stdout=theirs, env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "40"})
    os.close(theirs)
    process.stdin.write(wav(speech))
    process.stdin.close()
    seen = b""
    while True:
        try:
            block = os.read(ours, 65536)
        except OSError:
            break
        if not block:
            break
        seen += block
    assert process.wait(timeout=60) == 0
    os.close(ours)
    text = seen.decode()
    assert "\x1b7\x1b[2m" in text and text.count("\x1b7") == text.count("\x1b8\x1b[J")
    tails = [part.split("\x1b8")[0] for part in text.split("\x1b7")[1:]]
    for tail in tails:
        text = text.replace(f"\x1b7{tail}\x1b8\x1b[J", "", 1)
    assert "office" in text and "\x1b" not in text


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["talk.wav"], "--live hears the microphone or standard input (-), not talk.wav"),
        (["-", "talk.wav"], "not talk.wav"),
        (["-", "--microphone", "1"], "exclude each other"),
        (["-", "-f", "srt"], "add -o FOLDER"),
        (["-", "--diarize"], "remove --diarize"),
        (["-", "--skip-existing"], "--skip-existing is for recordings"),
        (["-", "--channels", "each"], "give the number of a channel"),
        (["-", "--clip-timestamps", "1,2"], "--clip-timestamps cuts recordings"),
    ],
)
def test_what_cannot_be_is_refused_before_the_model_is_loaded(arguments, says, capfd):
    status = run(["transcribe", "--live", *arguments, "--model", "no-such-model"])
    err = capfd.readouterr().err
    assert status == 2 and says in " ".join(err.split()) and err.count("\n") == 1


def test_without_sounddevice_one_sentence_says_what_to_install(monkeypatch, capfd):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    assert run(["transcribe", "--live"]) == 2
    expected = "asr-adapt: The microphone needs an optional package: run pip install 'asr-adapt[live]'.\n"
    assert capfd.readouterr().err == expected


def test_nothing_named(capfd):
    assert run(["transcribe", "-q"]) == 2
    assert "name what to transcribe" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("piped", "says"),
    [(b"", "asr-adapt: standard input is empty"), (b"fLaC" + bytes(100), "asr-adapt: <stdin>: is FLAC")],
)
def test_what_is_no_sound_that_can_come_live_is_refused(piped, says, monkeypatch, capfd):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(piped)))
    assert run(["transcribe", "--live", "-", "-q", "--threads", "1"]) == 3
    err = capfd.readouterr().err
    assert err.startswith(says) and err.count("\n") == 1


def test_each_session_has_files_of_its_own(speech, tmp_path, monkeypatch, capfd):
    for name in ("stdin", "stdin-2"):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(wav(speech[: 3 * RATE]))))
        options = ["-o", str(tmp_path / "out"), "-f", "txt,srt", "--threads", "1"]
        assert run(["transcribe", "--live", "-", *options]) == 0
        assert str(tmp_path / "out" / f"{name}.srt") in capfd.readouterr().err
        assert "office" in (tmp_path / "out" / f"{name}.txt").read_text()
    assert len(list((tmp_path / "out").glob("*.srt"))) == 2


def test_the_microphone_through_a_stand_in_of_portaudio(speech, monkeypatch, capfd):
    """Tests have no microphone: the package's interface, a device that has 48 kHz alone, an overflow."""
    monkeypatch.setitem(sys.modules, "sounddevice", stand_in(np.repeat(speech, 3)))
    assert run(["transcribe", "--live", "--threads", "1"]) == 0
    out, err = capfd.readouterr()
    assert "office" in out and "river" in out
    assert "Listening to Desk microphone" in err and "dropped sound of the microphone 1 times" in err
    assert run(["transcribe", "--live", "--microphone", "7"]) == 2
    assert "There is no microphone '7'" in capfd.readouterr().err


def stand_in(sound: np.ndarray) -> types.ModuleType:
    """A module with what we use of sounddevice; its device says ``sound`` and then Ctrl-C."""
    module = types.ModuleType("sounddevice")

    class PortAudioError(Exception):
        pass

    class InputStream:
        def __init__(self, *, samplerate, channels, dtype, device, blocksize, callback):
            assert (channels, dtype, device) == (1, "float32", None)
            if samplerate != 3 * RATE:
                raise PortAudioError("Invalid sample rate")
            self.blocksize, self.callback = blocksize, callback

        def start(self):
            threading.Thread(target=self.speak, daemon=True).start()

        def speak(self):
            for place in range(0, len(sound), self.blocksize):
                block = sound[place : place + self.blocksize, None]
                self.callback(block, len(block), None, types.SimpleNamespace(input_overflow=place == 0))
            os.kill(os.getpid(), signal.SIGINT)

        def close(self):
            pass

    def query_devices(device, kind):
        assert kind == "input"
        if device is not None:
            raise ValueError(f"No input device matching {device}")
        return {"name": "Desk microphone", "default_samplerate": 3.0 * RATE}

    module.PortAudioError, module.InputStream, module.query_devices = (
        PortAudioError,
        InputStream,
        query_devices,
    )
    return module
