"""A hub of one repository on this machine: it answers what huggingface_hub asks, over HTTP."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha1, sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def _found(repository: str, folder: Path, path: str) -> tuple[bytes, dict[str, str]] | None:
    """What the hub says at ``path``, and with which headers."""
    files = sorted(entry.name for entry in folder.iterdir())
    api, place = f"/api/models/{repository}", f"/{repository}/resolve/{COMMIT}/"
    kind = {"Content-Type": "application/json"}
    if path in (api, f"{api}/revision/{COMMIT}"):
        siblings = [{"rfilename": name} for name in files]
        tree = {"id": repository, "modelId": repository, "sha": COMMIT, "siblings": siblings}
        return json.dumps(tree).encode(), kind
    if path == f"{api}/tree/{COMMIT}":
        return json.dumps([_entry(folder / name) for name in files]).encode(), kind
    if path.startswith(place) and path.removeprefix(place) in files:
        data = (folder / path.removeprefix(place)).read_bytes()
        return data, {"ETag": f'"{sha256(data).hexdigest()}"', "X-Repo-Commit": COMMIT}
    return None


def _entry(path: Path) -> dict[str, object]:
    data = path.read_bytes()
    return {"type": "file", "path": path.name, "size": len(data), "oid": sha1(data).hexdigest()}


@contextmanager
def serving(repository: str, folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield the address of a hub that has ``folder`` as ``repository``, and the list of what was asked."""
    asked: list[str] = []

    class Hub(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def _answer(self, *, body: bool) -> None:
            path = self.path.partition("?")[0]
            asked.append(f"{self.command} {path}")
            found = _found(repository, folder, path)
            if found is None:
                self.send_error(404)
            else:
                self._send(found[0], body, found[1])

        def _send(self, data: bytes, body: bool, headers: dict[str, str]) -> None:
            self.send_response(200)
            for name, value in {**headers, "Content-Length": str(len(data))}.items():
                self.send_header(name, value)
            self.end_headers()
            if body:
                self.wfile.write(data)

        def log_message(self, format: str, *arguments: object) -> None:
            del format, arguments

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
