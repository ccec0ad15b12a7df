"""``asr-adapt serve``: a page on this computer that transcribes.

Knows the options. Does not know HTTP.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from asr_adapt.cli import options
from asr_adapt.errors import UsageError

if TYPE_CHECKING:
    from asr_adapt.transcription.serve.server import Server


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("serve")(serve)


def serve(
    model: Annotated[
        list[str] | None,
        typer.Option("--model", "-m", help="Model; repeat it to compare several. [default: nano-en]"),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 7860,
    max_megabytes: Annotated[int, typer.Option(min=1, help="Largest upload in MiB.")] = 200,
    max_hours: Annotated[float, typer.Option(min=0.01, help="Longest recording in hours.")] = 4.0,
    device: options.Device = "auto",
) -> None:
    """Serve a page where recordings are dropped or spoken, transcribed and compared. Ctrl-C ends it."""
    from asr_adapt.models import Recogniser
    from asr_adapt.transcription.calibration import calibration_beside
    from asr_adapt.transcription.serve import Settings, make_server

    names = model or ["nano-en"]
    recognisers = {name: Recogniser.load(name, device=device) for name in names}
    calibrations = {name: found for name in names if (found := calibration_beside(name)) is not None}
    settings = Settings(
        recognisers, max_megabytes * 2**20, calibrations=calibrations, most_seconds=max_hours * 3600
    )
    try:
        server = make_server(settings, host, port)
    except OSError as error:
        raise UsageError(
            f"Cannot listen on {host}:{port} ({error.strerror}): choose another --port."
        ) from error
    print(f"http://{host}:{server.server_address[1]}/  (Ctrl-C ends it)", file=sys.stderr, flush=True)
    if host not in ("127.0.0.1", "localhost", "::1"):
        print("Everyone who reaches this address can use it: there is no password.", file=sys.stderr)
    _serve(server)


def _serve(server: Server) -> NoReturn:
    """Answer until a signal ends it; what was being transcribed is removed, and the process ends at once.

    Threads that still compute would bring the interpreter's own way out down.
    """
    status = 0

    def stop(number: int, _: object) -> None:
        raise _Stopped(number)

    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"):
        if (number := getattr(signal, name, None)) is not None:
            signal.signal(number, stop)
    try:
        with server:
            server.serve_forever()
    except _Stopped as stopped:
        status = 128 + stopped.number
    finally:
        server.server_close()
    print("Stopped.", file=sys.stderr, flush=True)
    os._exit(status)


class _Stopped(BaseException):
    """A signal that ends the server."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number
