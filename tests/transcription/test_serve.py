"""The web page: fuzzed requests, limits, many at once, and the page itself in headless Chromium."""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import random
import socket
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import soundfile

from asr_adapt.scoring.calibration import Calibration
from asr_adapt.transcription.serve import ServerSettings, make_server

#: Takes every confidence near one to a half or less.
HALVING = Calibration(1.0, 0.0, 0.0)
OCTETS = {"Content-Type": "application/octet-stream"}


@pytest.fixture(scope="module")
def server(tone_recogniser):
    models = {"tones": tone_recogniser, "again": tone_recogniser}
    made = make_server(ServerSettings(models, 2**20, 5.0, calibrations={"again": HALVING}))
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()


@pytest.fixture(scope="module")
def wav(say) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, say("bad cafe"), 16_000, format="WAV")
    return buffer.getvalue()


@pytest.fixture
def ask(server):
    """Send one request; gives (status, headers, body)."""

    def send(method: str, path: str, body: bytes | None = None, headers: dict | None = None):
        connection = http.client.HTTPConnection(*server.server_address, timeout=60)
        with contextlib.suppress(BrokenPipeError):  # refused before all was sent: the answer is there
            connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()

    return send


def left_behind(server) -> list[str]:
    """What is left of uploads, once the threads that read them have ended."""
    deadline = time.monotonic() + 10
    while (left := sorted(path.name for path in server.folder.rglob("*"))) and time.monotonic() < deadline:
        time.sleep(0.02)
    return left


def test_page_models_and_transcript(server, ask, wav):
    status, headers, body = ask("GET", "/")
    assert status == 200 and b"Transcribe a recording" in body
    assert "default-src 'none'" in headers["content-security-policy"]
    assert json.loads(ask("GET", "/models")[2]) == {"models": ["tones", "again"], "corrections": False}
    status, _, body = ask("POST", "/transcribe?model=tones", wav, OCTETS)
    value = json.loads(body)
    assert status == 200 and value["text"] == "bad cafe"
    assert [word["word"] for word in value["segments"][0]["words"]] == ["bad", "cafe"]
    assert value["srt"].startswith("1\n") and value["vtt"].startswith("WEBVTT")
    assert left_behind(server) == []


def test_confidence_is_calibrated_for_the_model_that_has_a_map(ask, wav):
    answers = [
        json.loads(ask("POST", f"/transcribe?model={name}", wav, OCTETS)[2]) for name in ("tones", "again")
    ]
    raw, mapped = ([word["probability"] for word in a["segments"][0]["words"]] for a in answers)
    assert answers[0]["text"] == answers[1]["text"]
    assert mapped == pytest.approx([HALVING(p) for p in raw], abs=1e-3) != raw


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status"),
    [
        ("GET", "/nothing", None, {}, 404),
        ("GET", "/../../etc/passwd", None, {}, 404),
        ("GET", "/transcribe", None, {}, 405),
        ("POST", "/", b"x", OCTETS, 405),
        ("POST", "/transcribe?model=../../etc", b"x", OCTETS, 404),
        ("POST", "/transcribe", b"x" * (2**20 + 1), OCTETS, 413),
        ("POST", "/transcribe", b"x", {"Content-Type": "multipart/form-data"}, 415),
        ("POST", "/transcribe", b"not sound", OCTETS, 422),
        ("POST", "/transcribe", b"", OCTETS, 422),
        ("GET", "/", None, {"Host": "evil.example"}, 403),
        ("GET", "/", None, {"Host": "127.0.0.1.evil.example"}, 403),
        ("POST", "/transcribe", b"x", OCTETS | {"Origin": "http://evil.example"}, 403),
        ("POST", "/v1/audio/transcriptions", b"x", {"Origin": "null"}, 403),
        ("POST", "/v1/audio/transcriptions", b"x", {"Sec-Fetch-Site": "cross-site"}, 403),
        ("PUT", "/", b"x", {}, 405),
    ],
)
def test_refusals(server, ask, method, path, body, headers, status):
    got, _, answer = ask(method, path, body, headers)
    assert got == status
    assert b"Traceback" not in answer and tempfile.gettempdir().encode() not in answer
    assert left_behind(server) == []


def raw(server, request: bytes) -> bytes:
    with socket.create_connection(server.server_address, timeout=20) as connection:
        parts = []
        try:
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
            while block := connection.recv(65536):
                parts.append(block)
        except ConnectionError:
            return b"".join(parts)
    return b"".join(parts)


def test_fuzzed_requests_never_break_it(server, ask, wav):
    rng = random.Random(5)
    seed = b"POST /transcribe?model=tones HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    seed += b"Content-Type: application/octet-stream\r\nContent-Length: 20\r\n\r\n" + wav[:20]
    for number in range(120):
        request = bytearray(seed)
        for _ in range(rng.randint(1, 12)):
            request[rng.randrange(len(request))] = rng.randrange(256)
        answer = raw(server, bytes(request[: rng.randint(0, len(request))]) if number % 3 else bytes(request))
        assert b"Traceback" not in answer
        assert answer[9:12] not in (b"200", b"500")
    for length in (b"-1", b"1e3", b"99999999999999999999", b"", b"0x10", "²".encode()):
        request = seed.replace(b"Content-Length: 20", b"Content-Length: " + length)
        assert raw(server, request)[9:12] in (b"413", b"400", b""), "b'': it ended before its stated length"
    assert json.loads(ask("POST", "/transcribe", wav, OCTETS)[2])["text"] == "bad cafe"
    assert left_behind(server) == []


def test_body_that_ends_early_leaves_nothing(server, wav):
    request = b"POST /transcribe HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/octet-stream\r\n"
    answer = raw(server, request + b"Content-Length: 5000\r\n\r\nshort")
    assert answer == b"" and left_behind(server) == []


def test_fifty_at_once_are_all_answered(server, ask, wav):
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda n: ask("POST", "/transcribe", wav, OCTETS), range(50)))
    assert {(status, json.loads(body)["text"]) for status, _, body in answers} == {(200, "bad cafe")}
    assert left_behind(server) == []


def test_page_in_a_browser(server, speak, tmp_path):
    """A file is chosen, both models' words, times and subtitles appear, nothing is asked of other hosts."""
    from tests.scoring.browser import CHROMIUM, Browser

    if CHROMIUM is None:
        pytest.skip("needs Chromium")
    path = speak("talk.wav", "bad cafe")
    with Browser(tmp_path / "profile") as browser:
        address = f"http://127.0.0.1:{server.server_address[1]}/"
        browser.call("Page.navigate", url=address)
        browser.wait(
            "document.readyState === 'complete' && typeof models === 'object' && models.length === 2"
        )
        root = browser.call("DOM.getDocument")["root"]["nodeId"]
        node = browser.call("DOM.querySelector", nodeId=root, selector="#file")["nodeId"]
        browser.call("DOM.setFileInputFiles", nodeId=node, files=[str(path)])
        browser.wait("document.getElementById('status').textContent.startsWith('Done')")
        cards = browser.run("[...document.querySelectorAll('article')].map(a => a.innerText)")
        assert len(cards) == 2 and all("bad cafe" in card for card in cards)
        titles = browser.run("[...document.querySelectorAll('.word')].map(w => w.title)")
        assert len(titles) == 4 and "confidence" in titles[0]
        names = browser.run("[...document.querySelectorAll('a')].map(a => a.download)")
        assert names == ["talk.srt", "talk.vtt", "talk.txt", "talk.json"] * 2
        assert browser.errors == []
        assert all(request.startswith((address, "blob:", "data:")) for request in browser.requests)
