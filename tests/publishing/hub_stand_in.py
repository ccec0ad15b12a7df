"""A hub on this machine that takes uploads as huggingface_hub makes them: create, LFS or xet, commit.

Of xet it has the first version of each call, to which hf_xet comes down from the second. What xet stores is
packed in a form of its own: the sizes and checksums of the commit are kept, not the bytes.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha1, sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlparse

TOKEN = "hf_testtoken"
SHA = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """Repositories (revision → path → bytes), what was asked, and who may write."""

    repositories: dict[str, dict[str, dict[str, bytes]]] = field(default_factory=dict)
    private: dict[str, bool] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    #: Path → SHA-256 of what came by xet.
    sums: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    address: str = ""
    #: Bytes that are lost from each large file on its way.
    losing: int = 0
    #: Packed bytes that came by xet, and whether its storage answers as it should.
    packed: int = 0
    takes_xet: bool = True

    def create(self, body: dict) -> tuple[int, object]:
        """``POST /api/repos/create``."""
        name = f"{body['organization']}/{body['name']}" if body.get("organization") else f"me/{body['name']}"
        if name in self.repositories:
            return 409, {"error": "You already created this model repo", "url": f"{self.address}/{name}"}
        self.repositories[name] = {"main": {".gitattributes": b"* text"}}
        self.private[name] = bool(body.get("private")) or body.get("visibility") == "private"
        return 200, {"url": f"{self.address}/{name}", "name": name, "id": name}

    def commit(self, name: str, lines: list[dict], revision: str) -> None:
        """Files of a commit's ndjson: small ones inside, large ones by their checksum."""
        files = dict(self.repositories[name]["main"])
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                assert value["encoding"] == "base64"
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile" and value["oid"] in self.blobs:
                files[value["path"]] = self.blobs[value["oid"]]
            elif line["key"] == "lfsFile":
                assert self.packed, "neither LFS nor xet brought it"
                files[value["path"]] = bytes(value["size"])
                self.sums[value["path"]] = value["oid"]
        self.repositories[name][revision] = files

    def answer(self, path: str, query: dict[str, list[str]], body: bytes) -> tuple[int, object]:
        """Status and JSON of a question to the API."""
        if path == "/api/repos/create":
            return self.create(json.loads(body))
        if path == "/api/validate-yaml":  # the card's front matter, before anything is sent
            return 200, {"errors": [], "warnings": []}
        if path.endswith(".git/info/lfs/objects/batch"):
            objects = [
                {**each, "actions": {"upload": {"href": f"{self.address}/lfs/{each['oid']}"}}}
                for each in json.loads(body)["objects"]
            ]
            return 200, {"transfer": "basic", "objects": objects}
        if path.startswith(("/cas/", "/v1/telemetry")):
            return self._storage(path, body)
        owner, name, kind, *rest = [*path.removeprefix("/api/models/").split("/"), ""]
        if f"{owner}/{name}" not in self.repositories:
            return 404, {"error": "Repository not found"}
        answers = {
            "preupload": self._preupload,
            "commit": self._commit,
            "tree": self._tree,
            "xet-write-token": self._xet_token,
        }
        return answers.get(kind, self._about)(f"{owner}/{name}", "/".join(rest), query, body)

    def _preupload(self, _name: str, _rest: str, _query: object, body: bytes) -> tuple[int, object]:
        large = (".safetensors", ".bin", ".onnx")
        modes = {
            f["path"]: "lfs" if f["path"].endswith(large) else "regular" for f in json.loads(body)["files"]
        }
        return 200, {"files": [{"path": p, "uploadMode": m, "shouldIgnore": False} for p, m in modes.items()]}

    def _xet_token(self, *_: object) -> tuple[int, object]:
        return 200, {"casUrl": f"{self.address}/cas", "accessToken": TOKEN, "exp": 4_000_000_000}

    def _storage(self, path: str, body: bytes) -> tuple[int, object]:
        """xet's content-addressed storage: packed chunks, then the shards that say which file they make."""
        if not self.takes_xet:
            return 200, {}  # an answer that its client cannot read
        if path.startswith("/cas/v1/xorbs/"):
            self.packed += len(body)
            return 200, {"was_inserted": True}
        return (200, {"result": 1}) if path == "/cas/v1/shards" else (404, {"error": "Not found"})

    def _commit(self, name: str, _rest: str, query: dict, body: bytes) -> tuple[int, object]:
        proposed = query.get("create_pr") == ["1"]
        lines = [json.loads(line) for line in body.splitlines() if line]
        self.commit(name, lines, "refs/pr/1" if proposed else "main")
        told = {"success": True, "commitOid": SHA, "commitUrl": f"{self.address}/{name}/commit/{SHA}"}
        return 200, told | ({"pullRequestUrl": f"{self.address}/{name}/discussions/1"} if proposed else {})

    def _tree(self, name: str, rest: str, _query: object, _body: bytes) -> tuple[int, object]:
        files = self.repositories[name].get(unquote(rest.strip("/")), {})
        return 200, [
            {"type": "file", "path": file, "size": len(data), "oid": sha1(data).hexdigest()}
            for file, data in files.items()
        ]

    def _about(self, name: str, _rest: str, _query: object, _body: bytes) -> tuple[int, object]:
        siblings = [{"rfilename": file} for file in self.repositories[name]["main"]]
        return 200, {"id": name, "sha": SHA, "private": self.private[name], "siblings": siblings}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def do_GET(self) -> None:
        self._answer(b"")

    do_HEAD = do_GET

    def do_POST(self) -> None:
        self._answer(self._body())

    do_PUT = do_POST

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline().strip() or b"0", 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _answer(self, body: bytes) -> None:
        url = urlparse(self.path)
        self.hub.asked.append(f"{self.command} {url.path}")
        if self.command == "PUT":  # the storage behind the hub: its address is the permission
            oid = url.path.rsplit("/", 1)[1]
            assert sha256(body).hexdigest() == oid
            self.hub.blobs[oid] = body[: len(body) - self.hub.losing]
            self._send(200, {})
        elif self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._send(401, {"error": "Invalid username or password."})
        else:
            self._send(*self.hub.answer(url.path, parse_qs(url.query), body))

    def _send(self, status: int, value: object) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, format: str, *arguments: object) -> None:
        del format, arguments


@contextmanager
def hub_stand_in() -> Iterator[Hub]:
    """A hub that answers at ``address`` until the block ends."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    hub.address = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
