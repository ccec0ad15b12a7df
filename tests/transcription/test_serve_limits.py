"""The server under clients that leave, sound without end, odd requests and signals."""

from __future__ import annotations

import http.client
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr_adapt.models import load_recogniser
from asr_adapt.transcription.serve import ServerSettings, make_server
from asr_adapt.transcription.serve.gate import answers_for
from asr_adapt.transcription.serve.turns import Turns

HEAD = (
    b"POST /transcribe HTTP/1.1\r\nHost: localhost\r\n"
    b"Content-Type: application/octet-stream\r\nContent-Length: "
)


@pytest.fixture
def server(tone_recogniser):
    made = make_server(ServerSettings({"tones": tone_recogniser}, patience=5.0, most_seconds=30.0))
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


def sent(server, data: bytes) -> socket.socket:
    connection = socket.create_connection(server.server_address, timeout=30)
    connection.sendall(data)
    return connection


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (HEAD + b"9" * 19 + b"\r\n\r\n", b"413"),
        (HEAD + b"9" * 5000 + b"\r\n\r\n", b"400"),
        (b"GET http://[::1 HTTP/1.1\r\nHost: localhost\r\n\r\n", b"404"),
        (b"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", b"403"),
        (b"GET / HTTP/1.1\r\nHost:\r\n\r\n", b"403"),
        (b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", b"403"),
    ],
)
def test_odd_requests_are_answered(server, request_: bytes, status: bytes, capfd) -> None:
    with sent(server, request_) as connection:
        assert connection.recv(100).split()[1] == status
    assert "Traceback" not in capfd.readouterr().err


def test_clients_that_leave_are_nobodys_business(server, capfd) -> None:
    for _ in range(5):
        sent(server, HEAD + b"1000000\r\n\r\nabc").close()
    connection = http.client.HTTPConnection(*server.server_address, timeout=30)
    connection.request("GET", "/models")
    assert connection.getresponse().status == 200
    time.sleep(0.3)
    assert capfd.readouterr().err == "" and not list(server.folder.iterdir())


def test_a_recording_without_end_is_refused(server, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "long.flac", np.zeros(16_000 * 40, "int16"), 16_000)
    body = (tmp_path / "long.flac").read_bytes()
    with sent(server, HEAD + str(len(body)).encode() + b"\r\n\r\n" + body) as connection:
        assert connection.recv(100).split()[1] == b"413"


def test_turns_go_round() -> None:
    turns, order = Turns(), []
    begun = threading.Event()

    def long() -> None:
        ticket = object()
        with turns.turn(ticket):
            begun.set()
            for piece in range(3):
                time.sleep(0.1)
                order.append(f"long {piece}")
                turns.pass_on(ticket)

    def short() -> None:
        begun.wait()
        with turns.turn(object()):
            order.append("short")

    threads = [threading.Thread(target=work) for work in (long, short)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert order == ["long 0", "short", "long 1", "long 2"]


def test_every_address_answers_for_addresses_and_not_for_names_of_others() -> None:
    everywhere = frozenset({"localhost", "0.0.0.0"})
    for name in ("192.168.1.20", "fe80::1", socket.gethostname().lower(), "localhost"):
        assert answers_for(name, everywhere)
    assert not answers_for("evil.example", everywhere)
    assert not answers_for("192.168.1.20", frozenset({"localhost", "127.0.0.1"}))


@pytest.mark.skipif(sys.platform == "win32", reason="signals of Unix")
def test_a_signal_removes_what_is_being_transcribed(tone_model: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "long.flac", np.zeros(16_000 * 3000, "int16"), 16_000)
    body = (tmp_path / "long.flac").read_bytes()
    own = tmp_path / "own"
    own.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "asr_adapt", "serve", "--port", "0", "--model", str(tone_model)],
        stderr=subprocess.PIPE,
        env=os.environ | {"TMPDIR": str(own)},
    )
    assert process.stderr is not None
    port = int(process.stderr.readline().split(b":")[2].split(b"/")[0])
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(HEAD + str(len(body)).encode() + b"\r\n\r\n" + body)
        deadline = time.monotonic() + 60
        while not list(own.rglob("upload")) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 128 + signal.SIGTERM
    assert not list(own.rglob("upload"))


def ask_health(server) -> dict:
    connection = http.client.HTTPConnection(*server.server_address, timeout=30)
    connection.request("GET", "/health")
    return json.loads(connection.getresponse().read())


def until(condition, seconds: float = 30.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


class Slow:
    """The tone recogniser, whose batches take a while and are counted."""

    def __init__(self, base, monkeypatch, seconds: float) -> None:
        self.batches = 0
        plain = base.transcribe

        def transcribe(*args, **more):
            self.batches += 1
            time.sleep(seconds)
            return plain(*args, **more)

        monkeypatch.setattr(base, "transcribe", transcribe)


@pytest.fixture
def flac(tmp_path: Path, say):
    """Recordings of so many seconds as (their bytes)."""

    def make(seconds: float) -> bytes:
        buffer = io.BytesIO()
        words = say("bad cafe")
        samples = np.resize(np.pad(words, (0, 8_000)), round(16_000 * seconds))
        soundfile.write(buffer, samples, 16_000, format="FLAC")
        return buffer.getvalue()

    return make


def upload(server, body: bytes) -> socket.socket:
    return sent(server, HEAD + str(len(body)).encode() + b"\r\n\r\n" + body)


@pytest.fixture
def open_server(tone_recogniser):
    """A server with room for little."""
    settings = ServerSettings(
        {"tones": tone_recogniser},
        most_seconds=900.0,
        queue_seconds=1000.0,
        queue_bytes=2**26,
        queue_requests=4,
    )
    made = make_server(settings)
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


def test_two_long_uploads_do_not_block_a_short_one(open_server, tone_recogniser, flac, monkeypatch) -> None:
    slow = Slow(tone_recogniser, monkeypatch, 0.4)
    with upload(open_server, flac(480)) as one, upload(open_server, flac(480)) as two:
        assert until(lambda: ask_health(open_server)["requests"] == 2 and slow.batches >= 2)
        before = slow.batches
        with upload(open_server, flac(2)) as short:
            assert b"bad cafe" in whole(short)
        assert slow.batches - before <= 6, "a batch or two of each before it, its own, and no more"
        for connection in (one, two):
            connection.setblocking(False)
            with pytest.raises(BlockingIOError):
                connection.recv(1)  # they are still heard


def whole(connection: socket.socket) -> bytes:
    parts = []
    while block := connection.recv(65536):
        parts.append(block)
        if b"}" in block:
            break
    return b"".join(parts)


def test_a_client_that_leaves_stops_its_work(open_server, tone_recogniser, flac, monkeypatch) -> None:
    slow = Slow(tone_recogniser, monkeypatch, 0.2)
    connection = upload(open_server, flac(800))
    assert until(lambda: slow.batches >= 1)
    connection.close()
    assert until(lambda: not list(open_server.folder.iterdir()), 5), "the recording is removed"
    assert ask_health(open_server) == {"status": "ok", "requests": 0, "bytes": 0, "audio_seconds": 0.0}
    batches = slow.batches
    time.sleep(0.5)
    assert slow.batches == batches < 12


def test_a_client_that_leaves_while_silence_is_read_stops_that(tmp_path) -> None:
    """Nothing is computed where nobody speaks, so it is the reading that must end."""
    made = make_server(ServerSettings({"nano": load_recogniser("nano-whisper", device="cpu")}))
    threading.Thread(target=made.serve_forever, daemon=True).start()
    try:
        silent = tmp_path / "silent.flac"
        soundfile.write(silent, np.zeros(16_000 * 7200, "int16"), 16_000)
        connection = upload(made, silent.read_bytes())
        assert until(lambda: ask_health(made)["audio_seconds"] == 7200)
        connection.close()
        assert until(lambda: ask_health(made)["requests"] == 0, 5)
        assert until(lambda: not list(made.folder.iterdir()), 5)
        assert not [t for t in threading.enumerate() if t.name.startswith("asr-adapt-reader")]
    finally:
        made.shutdown()
        made.server_close()


def test_more_than_the_queue_holds_is_told_to_come_again(
    open_server, tone_recogniser, flac, monkeypatch
) -> None:
    Slow(tone_recogniser, monkeypatch, 0.3)
    with upload(open_server, flac(800)):
        assert until(lambda: ask_health(open_server)["audio_seconds"] == 800)
        with upload(open_server, flac(300)) as second:
            answer = whole(second)
        assert answer.split()[1] == b"429" and b"retry-after: 30" in answer and b"hours of audio" in answer
        with sent(open_server, HEAD + b"67108000\r\n\r\n") as third:
            answer = whole(third)
        assert answer.split()[1] == b"429" and b"MiB" in answer
        others = [sent(open_server, HEAD + b"9\r\n\r\n") for _ in range(3)]
        assert until(lambda: ask_health(open_server)["requests"] == 4)
        with upload(open_server, flac(1)) as fifth:
            assert b"4 requests" in whole(fifth)
        for one in others:
            one.close()
        assert until(lambda: ask_health(open_server)["requests"] == 1)
        with upload(open_server, flac(1)) as sixth:
            assert sixth.recv(16).split()[1] == b"200"


def test_a_client_that_stalls_is_dropped(tone_recogniser) -> None:
    made = make_server(ServerSettings({"tones": tone_recogniser}, patience=0.3))
    threading.Thread(target=made.serve_forever, daemon=True).start()
    try:
        with sent(made, HEAD + b"1000\r\n\r\nabc") as connection:
            assert connection.recv(16).split()[1] == b"408"
        assert until(lambda: ask_health(made)["requests"] == 0)
    finally:
        made.shutdown()
        made.server_close()
