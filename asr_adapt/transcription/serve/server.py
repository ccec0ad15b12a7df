"""The web server behind ``asr-adapt serve``: three fixed routes on top of the standard library.

Knows requests, limits and answers. Does not know how the page looks (``page.html``).
A request never names a file: uploads are the request's body, written under a name of our own in a temporary
folder that is removed with the answer. Requests for other hosts are refused, so that a web site cannot reach
the server through a name that it points at this machine (DNS rebinding), and a browser asks before it sends
``application/octet-stream`` from another site, which is never allowed.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from asr_adapt.errors import AsrAdaptError
from asr_adapt.files import temporary_folder
from asr_adapt.models import Recogniser
from asr_adapt.scoring.calibration import Calibration
from asr_adapt.transcription.api import transcribe
from asr_adapt.transcription.writers import render

MEDIA_TYPE = "application/octet-stream"
BLOCK = 1 << 16
LOCAL_NAMES = frozenset(("localhost", "127.0.0.1", "::1"))
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "connect-src 'self'; media-src blob:; img-src data:; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True)
class Settings:
    """Models by the name the page shows, and limits: bytes of one upload, seconds a client may stall.

    ``calibrations`` has the map of word confidence of those models that have one.
    """

    models: Mapping[str, Recogniser]
    most_bytes: int = 200 * 2**20
    patience: float = 60.0
    names: frozenset[str] = field(default=LOCAL_NAMES)
    calibrations: Mapping[str, Calibration] = field(default_factory=dict)


class Refused(Exception):
    """A request that is answered with ``status`` and one sentence."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


class Server(ThreadingHTTPServer):
    """One thread a connection; the recognisers take turns, because each uses every core by itself."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], settings: Settings) -> None:
        self.settings = settings
        self.turn = threading.Lock()
        super().__init__(address, Handler)

    @cached_property
    def page(self) -> bytes:
        """The page, as it is sent."""
        return (files("asr_adapt.transcription.serve") / "page.html").read_bytes()


def make_server(settings: Settings, host: str = "127.0.0.1", port: int = 0) -> Server:
    """A bound server; call ``serve_forever``. Port 0 takes a free one, see ``server_address``."""
    names = settings.names | {host.lower()}
    return Server((host, port), replace(settings, names=names))


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: Server
    server_version = "asr-adapt"
    sys_version = ""
    protocol_version = "HTTP/1.0"

    def setup(self) -> None:
        """Let a client that stalls be dropped."""
        super().setup()
        self.connection.settimeout(self.server.settings.patience)

    def do_GET(self) -> None:
        """The page, or the names of the models."""
        self._answer({"/": self._page, "/models": self._models})

    def do_POST(self) -> None:
        """Transcribe the body."""
        self._answer({"/transcribe": self._transcribe})

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is logged: what people upload is nobody's business."""

    def _answer(self, routes: Mapping[str, Any]) -> None:
        try:
            self._check_host()
            route = routes.get(urlsplit(self.path).path)
            if route is None:
                raise Refused(HTTPStatus.NOT_FOUND, "There is no such page.")
            route()
        except Refused as refusal:
            self._send_json({"error": str(refusal)}, refusal.status)
        except (ConnectionError, TimeoutError):
            self.close_connection = True  # the client has gone: there is nobody to answer

    def _check_host(self) -> None:
        host = self.headers.get("Host", "")
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
        if name.strip("[]").lower() not in self.server.settings.names:
            raise Refused(HTTPStatus.FORBIDDEN, f"This server does not answer for {host[:80]!r}.")

    def _page(self) -> None:
        self._send(self.server.page, "text/html; charset=utf-8")

    def _models(self) -> None:
        self._send_json({"models": list(self.server.settings.models)})

    def _transcribe(self) -> None:
        name = self._chosen_model()
        settings = self.server.settings
        with temporary_folder("asr-adapt-serve") as folder:
            path = folder / "upload"
            self._receive(path)
            try:
                with self.server.turn:
                    found = transcribe(
                        path,
                        model=settings.models[name],
                        word_timestamps=True,
                        workers=1,
                        calibration=settings.calibrations.get(name),
                    )
            except AsrAdaptError as error:
                sentence = _without_paths(str(error), folder)
                raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, sentence) from error
        value = found.to_json() | {"compute_seconds": round(found.compute_seconds, 3)}
        self._send_json(value | {name: render(found, name) for name in ("srt", "vtt", "txt")})

    def _chosen_model(self) -> str:
        models = self.server.settings.models
        query = parse_qs(urlsplit(self.path).query)
        name = query.get("model", [next(iter(models))])[0]
        if name not in models:
            raise Refused(HTTPStatus.NOT_FOUND, "There is no such model.")
        return name

    def _receive(self, path: Path) -> None:
        """Copy the body to ``path``, within the limit."""
        if self.headers.get_content_type() != MEDIA_TYPE:
            raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Send the recording as {MEDIA_TYPE}.")
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()):
            raise Refused(HTTPStatus.LENGTH_REQUIRED, "Say how long the recording is (Content-Length).")
        left = int(length)
        if left > self.server.settings.most_bytes:
            limit = self.server.settings.most_bytes / 2**20
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"A recording may have {limit:g} MiB at most.")
        with path.open("wb") as handle:
            while left:
                block = self.rfile.read(min(BLOCK, left))
                if not block:
                    raise Refused(HTTPStatus.BAD_REQUEST, "The recording ended before its stated length.")
                handle.write(block)
                left -= len(block)

    def _send_json(self, value: Any, status: HTTPStatus = HTTPStatus.OK) -> None:
        body = json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
        self._send(body, "application/json; charset=utf-8", status)

    def _send(self, body: bytes, media_type: str, status: HTTPStatus = HTTPStatus.OK) -> None:
        self.send_response(status)
        for name, value in {**HEADERS, "Content-Type": media_type, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def _without_paths(sentence: str, folder: Path) -> str:
    """The sentence without names of our own, which libraries may have cut off."""
    return re.sub(re.escape(str(folder.parent)) + r"[^\s'\")]*", "the recording", sentence)
