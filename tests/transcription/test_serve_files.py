"""The web server opens no file but its own: watched through an audit hook while it is fuzzed."""

from __future__ import annotations

import http.client
import io
import json
import os
import random
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import pytest
import soundfile

import asr_adapt

SERVER = Path(__file__).with_name("audited_server.py")
OCTETS = {"Content-Type": "application/octet-stream"}
FORM = {"Content-Type": "multipart/form-data; boundary=b"}
#: What may be read, not written: the interpreter, its packages and ours, from which modules are imported.
INSTALLED = {
    Path(place).resolve()
    for place in (*sysconfig.get_paths().values(), sys.prefix, Path(asr_adapt.__file__).parent)
}
NAMES = (
    "/etc/passwd", "../../../../etc/passwd", "..%2f..%2fetc%2fpasswd", "%2fetc%2fpasswd", "~/.ssh/id_rsa",
    "/proc/self/environ", "file:///etc/passwd", "s3://bucket/x", "http://127.0.0.1:9/x", "a.tar/b.wav",
    "c.parquet/0", "-", "", "*.wav", "con", "tones\x00", "upload", ".",
)  # fmt: skip


@dataclass(frozen=True)
class Watched:
    """A running server: its port, its temporary folder, and a secret recording that it must not find."""

    port: int
    own: Path
    secret: Path

    def ask(self, method: str, path: str, body: bytes | None = None, headers: dict | None = None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.putrequest(method, path.replace(" ", "%20").replace("\x00", "%00"))
        for name, value in (headers or {}).items():
            connection.putheader(name, value)
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        return answer.status, answer.read()


def requests(rng: random.Random, wav: bytes, secret: Path):
    """Requests that name files wherever a request can name one, with sound, damaged sound and playlists."""
    playlists = [
        f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:1.0,\n{name}\n#EXT-X-ENDLIST\n".encode()
        for name in (secret, f"file://{secret}", f"concat:{secret}")
    ]
    playlists += [f"ffconcat version 1.0\nfile {secret}\n".encode(), str(secret).encode() + b"\n"]
    playlists.append(json.dumps({"audio_filepath": str(secret)}).encode() + b"\n")
    for number in range(90):
        name, other = rng.choice(NAMES), rng.choice(NAMES)
        body = bytearray(rng.choice([wav, wav, *playlists, b"", b"RIFF"]))
        for _ in range(rng.randrange(4) if body[:4] == b"RIFF" else 0):
            body[rng.randrange(len(body))] = rng.randrange(256)
        path = rng.choice([f"/transcribe?model=tones&file={name}", f"/transcribe?model={name}", f"/{name}"])
        headers = {"Content-Disposition": f'attachment; filename="{other}"'.replace("\x00", "")}
        headers |= {"Referer": other.replace("\x00", ""), "X-Original-URL": "/etc/passwd"}
        if number % 3 == 0:
            yield "POST", "/v1/audio/transcriptions", form(name, other, bytes(body)), headers | FORM
            continue
        method = "GET" if number % 4 == 0 else "POST"
        yield method, path, bytes(body) if method == "POST" else None, OCTETS | headers


def form(name: str, other: str, body: bytes) -> bytes:
    """A form whose file and fields name files."""
    fields = f"--b\r\nContent-Disposition: form-data; name=model\r\n\r\n{name}\r\n".encode()
    fields *= len(name) % 2  # else the default model hears it
    about = f'--b\r\nContent-Disposition: form-data; name="file"; filename="{other}"\r\n\r\n'.encode()
    return fields + about + body + b"\r\n--b--\r\n"


@pytest.fixture(scope="module")
def story(tone_model, say, tmp_path_factory):
    """Statuses and bodies of all requests, and every file event of the server, with its folder."""
    folder = tmp_path_factory.mktemp("watched")
    for name in ("own", "work"):
        (folder / name).mkdir()
    secret = folder / "secret.wav"
    soundfile.write(secret, say("dead bead"), 16_000)
    buffer = io.BytesIO()
    soundfile.write(buffer, say("bad cafe"), 16_000, format="WAV")
    packages = os.pathsep.join([str(Path(asr_adapt.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    environment = {
        **os.environ,
        "TMPDIR": str(folder / "own"),
        "PYTHONPATH": packages,
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    child = subprocess.Popen(
        [sys.executable, str(SERVER), str(tone_model)], cwd=folder / "work", env=environment,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert child.stdout is not None
        watched = Watched(int(child.stdout.readline()), folder / "own", secret)
        answers = [watched.ask("GET", "/"), watched.ask("POST", "/transcribe", buffer.getvalue(), OCTETS)]
        for request in requests(random.Random(7), buffer.getvalue(), secret):
            answers.append(watched.ask(*request))
        answers.append(watched.ask("POST", "/transcribe", buffer.getvalue(), OCTETS))
        out, _ = child.communicate(timeout=60)
    finally:
        child.kill()
    return watched, answers, [tuple(event) for event in json.loads(out)]


def test_the_server_lives_through_it_and_reads_out_no_other_file(story):
    _, answers, _ = story
    assert [status for status, _ in answers[:2]] == [200, 200]
    assert json.loads(answers[-1][1])["text"] == json.loads(answers[1][1])["text"] == "bad cafe"
    assert {status for status, _ in answers} <= {200, 400, 403, 404, 405, 422}
    assert sum(status == 422 for status, _ in answers) >= 10, "damaged sound and playlists were sent"
    assert not [body for _, body in answers if b"dead bead" in body or b"root:" in body]


def test_every_file_opened_is_its_own_or_an_installed_module(story):
    watched, _, events = story
    foreign = []
    for event, path, changes in events:
        place = Path(path)
        installed = event in ("open", "os.listdir", "os.scandir") and not changes
        if place.is_relative_to(watched.own):
            continue
        if not (installed and any(place.resolve().is_relative_to(folder) for folder in INSTALLED)):
            foreign.append((event, path, changes))
    assert foreign == []


def test_the_watch_sees_what_the_server_does(story):
    """Uploads are written and read under names of the server's own, and removed."""
    watched, answers, events = story
    opened = [Path(path) for event, path, _ in events if event == "open"]
    uploads = [path for path in opened if path.is_relative_to(watched.own) and path.name == "upload"]
    heard = sum(status in (200, 422) for status, _ in answers)
    assert len({path.parent for path in uploads}) >= heard - 1, "the page is the one answer without upload"
    assert all(path.parts[len(watched.own.parts)].startswith("asr-adapt-serve.") for path in uploads)
    assert list(watched.own.iterdir()) == []
