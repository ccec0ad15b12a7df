"""The server as a whole: its socket, its folder, and how it starts and ends.

Knows uvicorn. Does not know routes, nor signals (``asr-adapt serve`` catches them).
"""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import uvicorn

from asr_adapt.files import temporary_folder
from asr_adapt.transcription.serve.app import Service, make_app
from asr_adapt.transcription.serve.gate import Gate
from asr_adapt.transcription.serve.queue import Queue
from asr_adapt.transcription.serve.settings import ServerSettings
from asr_adapt.transcription.serve.work import Work

#: Connections that the system keeps until they are taken.
BACKLOG = 256
#: Seconds in which requests are answered that the server stops.
GRACE_SECONDS = 2


class Server:
    """A bound server: :meth:`serve_forever` in one thread, :meth:`shutdown` from any other or a signal.

    ``folder`` holds what it receives, and goes with :meth:`server_close`.
    """

    def __init__(self, settings: ServerSettings, host: str, port: int) -> None:
        self._kept = ExitStack()
        self.folder: Path = self._kept.enter_context(temporary_folder("asr-adapt-serve"))
        self.work, self.queue = Work(), Queue(settings)
        service = Service(settings, self.folder, self.queue, self.work)
        gate = Gate(make_app(service), settings, self.queue)
        config = uvicorn.Config(
            gate,
            http="h11",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            backlog=BACKLOG,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
        # what people upload is nobody's business, and what goes wrong inside is told by the gate
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        self._server = _Uvicorn(config)
        try:
            self._socket = _bound(host, port)
        except OSError:
            self._kept.close()
            raise
        self._ended = threading.Event()

    @property
    def server_address(self) -> tuple[str, int]:
        """Host and port."""
        host, port = self._socket.getsockname()[:2]
        return str(host), int(port)

    def serve_forever(self) -> None:
        """Answer until :meth:`shutdown`."""
        try:
            self._server.run(sockets=[self._socket])
        finally:
            self._ended.set()

    def stop(self) -> None:
        """Take no more requests, and let those that wait be answered so; returns at once."""
        self._server.should_exit = True
        self.work.stop()

    def shutdown(self) -> None:
        """:meth:`stop`, and wait for the end."""
        self.stop()
        self._ended.wait(2 * GRACE_SECONDS + 1)

    def server_close(self) -> None:
        """Remove what was received; threads that still compute end at their next batch."""
        self._socket.close()
        self._kept.close()


class _Uvicorn(uvicorn.Server):
    """uvicorn's server, which leaves signals alone."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """None is caught."""
        yield


def make_server(settings: ServerSettings, host: str = "127.0.0.1", port: int = 0) -> Server:
    """A bound server; port 0 takes a free one, see :attr:`Server.server_address`."""
    return Server(replace(settings, names=settings.names | {host.lower()}), host, port)


def _bound(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(
        host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    made = socket.socket(family, kind, protocol)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
        made.listen(BACKLOG)
    except OSError:
        made.close()
        raise
    return made
