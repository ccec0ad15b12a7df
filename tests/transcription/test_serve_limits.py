"""The server under clients that leave, sound without end, odd requests and signals."""

from __future__ import annotations

import http.client
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

from asr_adapt.transcription.serve import Settings, make_server
from asr_adapt.transcription.serve.server import answers_for
from asr_adapt.transcription.serve.turns import Turns

HEAD = (
    b"POST /transcribe HTTP/1.1\r\nHost: localhost\r\n"
    b"Content-Type: application/octet-stream\r\nContent-Length: "
)


@pytest.fixture
def server(tone_recogniser):
    made = make_server(Settings({"tones": tone_recogniser}, patience=5.0, most_seconds=30.0))
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
        (HEAD + b"9" * 5000 + b"\r\n\r\n", b"413"),
        (b"GET http://[::1 HTTP/1.1\r\nHost: localhost\r\n\r\n", b"400"),
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
    assert capfd.readouterr().err == "" and not server.uploads


def test_a_recording_without_end_is_refused(server, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "long.flac", np.zeros(16_000 * 40, "int16"), 16_000)
    body = (tmp_path / "long.flac").read_bytes()
    with sent(server, HEAD + str(len(body)).encode() + b"\r\n\r\n" + body) as connection:
        assert connection.recv(100).split()[1] == b"413"


def test_turns_go_round() -> None:
    turns, order = Turns(), []
    begun = threading.Event()

    def long() -> None:
        with turns.turn() as ticket:
            begun.set()
            for piece in range(3):
                time.sleep(0.1)
                order.append(f"long {piece}")
                turns.pass_on(ticket)

    def short() -> None:
        begun.wait()
        with turns.turn():
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
