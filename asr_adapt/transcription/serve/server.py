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
import select
import shutil
import socket
import sys
from collections.abc import Iterator, Mapping, Set
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qs, urlsplit

from asr_adapt.audio import probe
from asr_adapt.errors import AsrAdaptError
from asr_adapt.files import temporary_folder
from asr_adapt.models import Recogniser
from asr_adapt.scoring.calibration import Calibration
from asr_adapt.transcription.api import transcribe
from asr_adapt.transcription.engine import Progress
from asr_adapt.transcription.serve.turns import Turns
from asr_adapt.transcription.writers import render

MEDIA_TYPE = "application/octet-stream"
BLOCK = 1 << 16
#: Addresses that stand for all of a machine's.
_EVERYWHERE = frozenset(("0.0.0.0", "::", ""))
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
    """Models by the name the page shows, and limits: bytes and seconds of an upload, of a client's silence.

    ``calibrations`` has the map of word confidence of those models that have one.
    """

    models: Mapping[str, Recogniser]
    most_bytes: int = 200 * 2**20
    patience: float = 60.0
    names: frozenset[str] = field(default=LOCAL_NAMES)
    calibrations: Mapping[str, Calibration] = field(default_factory=dict)
    most_seconds: float = 4 * 3600.0


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
        self.turns = Turns()
        self.uploads: set[Path] = set()
        super().__init__(address, Handler)

    def server_close(self) -> None:
        """Stop listening, and remove what is being transcribed: its threads end with the process."""
        super().server_close()
        for folder in list(self.uploads):
            shutil.rmtree(folder, ignore_errors=True)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """One line about what went wrong; nothing about a client that has gone."""
        error = sys.exc_info()[1]
        if not isinstance(error, (ConnectionError, TimeoutError)):
            print(f"asr-adapt: unexpected {type(error).__name__}: {error}", file=sys.stderr)

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
            try:
                self._check_host()
                route = routes.get(self._url().path)
                if route is None:
                    raise Refused(HTTPStatus.NOT_FOUND, "There is no such page.")
                route()
            except Refused as refusal:
                self._send_json({"error": str(refusal)}, refusal.status)
        except (ConnectionError, TimeoutError):
            self.close_connection = True  # the client has gone: there is nobody to answer

    def _url(self) -> SplitResult:
        try:
            return urlsplit(self.path)
        except ValueError as error:
            raise Refused(HTTPStatus.BAD_REQUEST, "The address of the request is not valid.") from error

    def _check_host(self) -> None:
        host = self.headers.get("Host", "")
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
        if not answers_for(name.strip("[]").lower(), self.server.settings.names):
            raise Refused(HTTPStatus.FORBIDDEN, f"This server does not answer for {host[:80]!r}.")

    def _page(self) -> None:
        self._send(self.server.page, "text/html; charset=utf-8")

    def _models(self) -> None:
        self._send_json({"models": list(self.server.settings.models)})

    def _transcribe(self) -> None:
        name = self._chosen_model()
        settings = self.server.settings
        with temporary_folder("asr-adapt-serve") as folder, self._kept(folder):
            path = folder / "upload"
            self._receive(path)
            try:
                self._require_length(probe(path).duration)
                with self.server.turns.turn() as ticket:
                    found = transcribe(
                        path,
                        model=settings.models[name],
                        word_timestamps=True,
                        workers=1,
                        calibration=settings.calibrations.get(name),
                        on_progress=partial(self._between, ticket),
                    )
            except AsrAdaptError as error:
                sentence = _without_paths(str(error), folder)
                raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, sentence) from error
        value = found.to_json() | {"compute_seconds": round(found.compute_seconds, 3)}
        self._send_json(value | {name: render(found, name) for name in ("srt", "vtt", "txt")})

    @contextmanager
    def _kept(self, folder: Path) -> Iterator[None]:
        """The server removes ``folder`` where it ends before this request."""
        self.server.uploads.add(folder)
        try:
            yield
        finally:
            self.server.uploads.discard(folder)

    def _between(self, ticket: object, progress: Progress) -> None:
        """After each batch: stop for a client that has gone or sound without end, let others in."""
        self._require_length(progress.audio_seconds)
        if self._client_has_gone():
            raise ConnectionAbortedError("the client has gone")
        self.server.turns.pass_on(ticket)

    def _require_length(self, seconds: float | None) -> None:
        most = self.server.settings.most_seconds
        if seconds is not None and seconds > most:
            message = f"A recording may last {most / 3600:g} hours at most."
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, message)

    def _client_has_gone(self) -> bool:
        """Whether the other end has closed the connection; it sends nothing behind its request."""
        try:
            readable = select.select([self.connection], [], [], 0)[0]
            return bool(readable) and not self.connection.recv(1, socket.MSG_PEEK)
        except (OSError, ValueError):
            return True

    def _chosen_model(self) -> str:
        models = self.server.settings.models
        query = parse_qs(self._url().query)
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
        left = int(length[:20])
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


def answers_for(name: str, names: Set[str]) -> bool:
    """Whether a server known by ``names`` answers requests for the host ``name``.

    One that listens on every address answers for every address, and for this machine's name; a name of
    someone else's that points here is refused all the same.
    """
    if name in names:
        return True
    if not names & _EVERYWHERE:
        return False
    own = socket.gethostname().lower()
    if name in (own, f"{own}.local", socket.getfqdn().lower()):
        return True
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _without_paths(sentence: str, folder: Path) -> str:
    """The sentence without names of our own, which libraries may have cut off."""
    return re.sub(re.escape(str(folder.parent)) + r"[^\s'\")]*", "the recording", sentence)
