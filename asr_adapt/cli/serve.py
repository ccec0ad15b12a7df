"""``asr-adapt serve``: a page on this computer that transcribes, and OpenAI's interface for programs.

Knows the options and signals. Does not know HTTP.
"""

from __future__ import annotations

import os
import shlex
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from asr_adapt.api.opening import ChosenModel, Runtime
from asr_adapt.cli import options, panels
from asr_adapt.cli.decoding_options import takes_decoding
from asr_adapt.decoding import Decoding
from asr_adapt.errors import EXIT_FAILED, EXIT_OK, UsageError
from asr_adapt.pretrained import DEFAULT_MODEL

if TYPE_CHECKING:
    from asr_adapt.transcription.serve.running import Server


def register(app: typer.Typer) -> None:
    """Add the command."""
    panels.add(app, "serve", serve, panel=panels.USE)


@takes_decoding("hotwords", "hotwords_weight")
def serve(
    model: Annotated[
        list[str] | None,
        typer.Option("--model", "-m", help="Model to offer; may be repeated. Default: nano-en."),
    ] = None,
    host: Annotated[str, typer.Option(help="Address or name to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 picks a free one.")] = 7860,
    name: Annotated[
        list[str] | None,
        typer.Option(help="Another host name to answer to, e.g. behind a proxy; may be repeated."),
    ] = None,
    max_megabytes: Annotated[int, typer.Option(min=1, help="Largest upload in MiB.")] = 200,
    max_hours: Annotated[float, typer.Option(min=0.01, help="Longest recording in hours.")] = 4.0,
    queue_megabytes: Annotated[
        int, typer.Option(min=1, help="Largest total of waiting recordings, in MiB.")
    ] = 2048,
    queue_hours: Annotated[
        float, typer.Option(min=0.01, help="Largest total of waiting recordings, in hours.")
    ] = 12.0,
    corrections: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Let people mend words on the page, and keep clips and texts here to train on.",
        ),
    ] = None,
    decoding: Decoding = Decoding(),
    runtime: options.RuntimeName = Runtime.torch,
    device: options.Device = "auto",
    compute_type: options.ComputeType = "fast",
) -> None:
    """Serve a web page and OpenAI's transcription API. Ctrl-C ends it.

    The interface for programs is /v1/audio/transcriptions. On the page, recordings are dropped or spoken,
    transcribed and compared.
    """
    from asr_adapt.transcription.calibration import calibration_beside
    from asr_adapt.transcription.serve import ServerSettings, make_server
    from asr_adapt.transcription.serve.corrections import Corrections
    from asr_adapt.transcription.serve.settings import LOCAL_NAMES

    names = model or [DEFAULT_MODEL]
    kept = None if corrections is None else Corrections(corrections, tuple(names))
    recognisers = {n: ChosenModel(n, decoding, runtime, device, compute_type).load() for n in names}
    settings = ServerSettings(
        recognisers,
        max_megabytes * 2**20,
        calibrations={n: found for n in names if (found := calibration_beside(n)) is not None},
        most_seconds=max_hours * 3600,
        queue_bytes=queue_megabytes * 2**20,
        queue_seconds=queue_hours * 3600,
        names=LOCAL_NAMES | {n.lower() for n in name or ()},
        decoding=decoding,
        corrections=kept,
    )
    try:
        server = make_server(settings, host, port)
    except OSError as error:
        raise UsageError(
            f"Cannot listen on {host}:{port} ({error.strerror}): choose another --port or --host."
        ) from error
    shown = f"[{host}]" if ":" in host else host
    print(f"http://{shown}:{server.server_address[1]}/  (Ctrl-C ends it)", file=sys.stderr, flush=True)
    if kept is not None:
        print(_how_to_train(kept.manifest, names[0]), file=sys.stderr)
    if host not in LOCAL_NAMES:
        print("Everyone who reaches this address can use it: there is no password.", file=sys.stderr)
    _serve(server)


def _how_to_train(manifest: Path, model: str) -> str:
    """The line of a recipe, and the command, that learn from what is corrected."""
    return (
        f"Corrections go to {manifest}. To learn from them, put this line into a recipe:\n"
        f"  train: {manifest}\n"
        f"or run: asr-adapt adapt {shlex.quote(str(manifest))} --model {shlex.quote(model)} -o NEW_FOLDER"
    )


def _serve(server: Server) -> NoReturn:
    """Answer until a signal ends it; what was being transcribed is removed, and the process ends at once.

    Threads that still compute would bring the interpreter's own way out down.
    """
    caught: list[int] = []

    def stop(number: int, _: object) -> None:
        caught.append(number)
        server.stop()

    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"):
        if (number := getattr(signal, name, None)) is not None:
            signal.signal(number, stop)
    tempfile.tempdir = str(server.folder)  # so that nothing of this process is left anywhere else
    status = EXIT_FAILED
    try:
        server.serve_forever()
        status = 128 + caught[0] if caught else EXIT_OK
    except Exception as error:
        print(f"asr-adapt: unexpected {type(error).__name__}: {error}", file=sys.stderr)
    finally:
        server.server_close()
        print("Stopped.", file=sys.stderr, flush=True)
        os._exit(status)
