"""What every request passes before a route sees it: host, origin, size, and a client's silence.

Knows ASGI messages and headers. Does not know routes.
Requests for other hosts are refused, so that a web site cannot reach the server through a name that it points
at this machine (DNS rebinding), and so are requests that a browser sends from another site's page: a form can
be sent anywhere without asking.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from collections.abc import Awaitable, Callable, MutableMapping, Set
from http import HTTPStatus
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from asr_adapt.transcription.serve.queue import Queue
from asr_adapt.transcription.serve.refused import ClientGone, Refused
from asr_adapt.transcription.serve.settings import ServerSettings

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

#: Addresses that stand for all of a machine's.
_EVERYWHERE = frozenset(("0.0.0.0", "::", ""))
#: Bytes of a form besides the recording: boundaries and fields.
FORM_BYTES = 1 << 16
#: What a client is told about a fault of ours.
FAILED = "The server failed; see its console."
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "connect-src 'self'; media-src blob:; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class Gate:
    """``app`` behind the checks; ``scope["place"]`` is a recording's share of the queue."""

    def __init__(self, app: App, settings: ServerSettings, queue: Queue) -> None:
        self.app, self.settings, self.queue = app, settings, queue

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it; what goes wrong inside is told in one line."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        answer = _Response(send)
        try:
            headers = {
                key.decode("latin-1").lower(): value.decode("latin-1") for key, value in scope["headers"]
            }
            self._check(scope, headers)
            if scope["method"] == "POST":
                await self._queued(scope, receive, answer.send, headers)
            else:
                await self.app(scope, receive, answer.send)
        except Refused as refusal:
            await answer.refuse(refusal)
        except (ClientGone, ConnectionError, asyncio.CancelledError):
            return  # there is nobody to answer
        except Exception as error:
            print(f"asr-adapt: unexpected {type(error).__name__}: {error}", file=sys.stderr)
            await answer.refuse(Refused(HTTPStatus.INTERNAL_SERVER_ERROR, FAILED))

    async def _queued(self, scope: Message, receive: Receive, send: Send, headers: dict[str, str]) -> None:
        """Pass a request with a recording on, which has a place in the queue from its first byte on."""
        scope["place"] = place = self.queue.enter()
        try:
            place.hold(bytes_=self._stated(headers))
            await self.app(scope, _Body(receive, place, self.settings.patience).receive, send)
        finally:
            if not scope.get("kept"):  # else the thread that transcribes gives it back
                place.leave()

    def _check(self, scope: Message, headers: dict[str, str]) -> None:
        host = headers.get("host", "")
        if not answers_for(_name(host), self.settings.names):
            raise Refused(HTTPStatus.FORBIDDEN, f"This server does not answer requests for {host[:80]!r}.")
        origin = headers.get("origin")
        own = origin is None or origin.partition("://")[2].lower() == host.lower()
        if not own or (headers.get("sec-fetch-site") == "cross-site" and scope["method"] != "GET"):
            raise Refused(HTTPStatus.FORBIDDEN, "Requests from the pages of other sites are refused.")

    def _stated(self, headers: dict[str, str]) -> int:
        """The length that a request states, less what a form adds to a recording."""
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdigit()):
            raise Refused(HTTPStatus.BAD_REQUEST, "Content-Length must be a whole number.")
        form = headers.get("content-type", "").startswith("multipart/")
        return max(0, int(length[:20]) - (FORM_BYTES if form else 0))


class _Body:
    """The request's body as it comes in, within the limits."""

    def __init__(self, receive: Receive, place: Any, patience: float) -> None:
        self._receive, self._place, self._patience = receive, place, patience
        self._bytes, self._whole = 0, False

    async def receive(self) -> Message:
        """The next message; raises :class:`Refused` for a body too large or a client that has stalled."""
        if self._whole:  # what comes now is that the client has gone
            return await self._receive()
        try:
            message = await asyncio.wait_for(self._receive(), self._patience)
        except TimeoutError as error:
            raise Refused(HTTPStatus.REQUEST_TIMEOUT, "The recording did not arrive in time.") from error
        if message["type"] == "http.disconnect":
            raise ClientGone
        self._bytes += len(message.get("body", b""))
        self._place.hold(bytes_=max(0, self._bytes - FORM_BYTES))
        self._whole = not message.get("more_body", False)
        return message


class _Response:
    """What is sent back, with our headers; knows whether an answer has begun."""

    def __init__(self, send: Send) -> None:
        self._send, self._begun = send, False

    async def send(self, message: Message) -> None:
        """Send one message."""
        if message["type"] == "http.response.start":
            self._begun = True
            own = [(k.lower().encode(), v.encode()) for k, v in HEADERS.items()]
            message = {**message, "headers": [*message.get("headers", ()), *own]}
        await self._send(message)

    async def refuse(self, refusal: Refused) -> None:
        """Answer with a sentence, unless an answer has begun already."""
        if self._begun:
            return
        body = json.dumps(error_body(refusal), ensure_ascii=False).encode()
        headers = [(b"content-type", b"application/json; charset=utf-8"), (b"connection", b"close")]
        headers.append((b"content-length", str(len(body)).encode()))
        if refusal.retry_after is not None:
            headers.append((b"retry-after", str(refusal.retry_after).encode()))
        await self.send({"type": "http.response.start", "status": int(refusal.status), "headers": headers})
        await self.send({"type": "http.response.body", "body": body})


def error_body(refusal: Refused) -> dict[str, Any]:
    """The error as OpenAI's clients read it."""
    kind = "server_error" if refusal.status >= 500 else "invalid_request_error"
    if refusal.status == HTTPStatus.TOO_MANY_REQUESTS:
        kind = "rate_limit_error"
    return {"error": {"message": str(refusal), "type": kind, "param": None, "code": None}}


def _name(host: str) -> str:
    """The host of a ``Host`` header, without its port; empty for one that is no host."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return "?"


def answers_for(name: str, names: Set[str]) -> bool:
    """Whether a server known by ``names`` answers requests for the host ``name``.

    One that listens on every address answers for every address, and for this machine's name; a name of
    someone else's that points here is refused all the same.
    """
    if name in names:
        return bool(name)
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
