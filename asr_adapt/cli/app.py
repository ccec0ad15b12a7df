"""The ``asr-adapt`` command: collects the command groups and turns errors into exit status.

Knows how commands are found and called. Does not know what they do.
"""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from typing import cast

import typer

from asr_adapt.cli.listing import COMMANDS
from asr_adapt.cli.panels import Commands
from asr_adapt.cli.ranks import may_complain
from asr_adapt.cli.spellings import ours
from asr_adapt.cli.terminal import escape_what_streams_lack, remark_on_escapes
from asr_adapt.errors import EXIT_FAILED, EXIT_INVALID, EXIT_OK, EXIT_USAGE, AsrAdaptError, shown
from asr_adapt.screen import protected
from asr_adapt.startup import leave_garbage

EXIT_INTERRUPTED = 130

#: Each module has ``register(app: typer.Typer) -> None``.
COMMAND_MODULES = tuple(dict.fromkeys(entry.path for entry in COMMANDS))

# Newer typer carries click inside itself, older typer depends on it: take the class from typer either way.
_ClickException: type[Exception] = next(
    kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException"
)


def _say_version(asked: bool) -> None:
    if asked:
        from asr_adapt import __version__

        print(f"asr-adapt {__version__}")
        raise typer.Exit


def build_app(modules: Sequence[str] = COMMAND_MODULES) -> typer.Typer:
    """The command tree that ``modules`` register; the whole one by default."""
    app = typer.Typer(
        name="asr-adapt",
        help="Adapt a speech recogniser to an accent or language, and prove the gain.",
        cls=Commands,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"token_normalize_func": ours, "help_option_names": ["-h", "--help"]},
    )

    @app.callback(cls=Commands)
    def root(
        debug: bool = typer.Option(False, "--debug", help="Show the traceback of an error."),
        version: bool = typer.Option(
            False, "--version", "-V", callback=_say_version, is_eager=True, help="Show the version and exit."
        ),
    ) -> None:
        del debug, version  # ``run`` reads --debug itself, so that it works before and after the command

    for name in modules:
        importlib.import_module(name).register(app)
    return app


def command_line() -> Commands:
    """The whole tree as it is called: a command's module is imported once the command is asked for."""
    modules = {entry.name: entry.path for entry in COMMANDS}
    root = cast("Commands", typer.main.get_command(build_app(())))
    root.list_only(
        [entry.command() for entry in COMMANDS],
        lambda name: cast("Commands", typer.main.get_command(build_app((modules[name],)))).commands[name],
    )
    return root


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its status."""
    escape_what_streams_lack()
    with protected():  # a traceback too is printed in here
        try:
            status = run(arguments)
        except Exception:
            traceback.print_exc()
            status = EXIT_FAILED
        remark_on_escapes()
    leave_garbage()
    sys.exit(status)


def run(arguments: list[str] | None = None) -> int:
    """Run the command line; every error becomes one sentence on stderr and an exit status."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if "--debug" in arguments:  # accepted before and after the command
        arguments = ["--debug", *(a for a in arguments if a != "--debug")]
    with protected():
        return _run(arguments, debug="--debug" in arguments)


def _run(arguments: list[str], *, debug: bool) -> int:
    try:
        result = command_line()(args=arguments, prog_name="asr-adapt", standalone_mode=False)
        return result if isinstance(result, int) else EXIT_OK
    except typer.Exit as stop:
        return stop.exit_code
    except (KeyboardInterrupt, typer.Abort):
        print("Interrupted.", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # the reader of our output has gone: `asr-adapt … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_OK
    except Exception as error:
        if debug:
            raise
        return _explain(error)


def _explain(error: Exception) -> int:
    """Print one sentence about ``error`` and return its exit status."""
    if not may_complain():  # another process of this run has told, or told this one's cause
        return getattr(error, "exit_status", EXIT_FAILED)
    if isinstance(error, _ClickException):
        error.show()  # type: ignore[attr-defined]
        return EXIT_USAGE
    if isinstance(error, AsrAdaptError):
        print(f"asr-adapt: {error}", file=sys.stderr)
        return error.exit_status
    if isinstance(error, OSError) and error.strerror:
        place = "" if error.filename is None else f"{shown(str(error.filename))}: "
        print(f"asr-adapt: {place}{error.strerror}.", file=sys.stderr)
        return EXIT_INVALID
    kind = type(error).__name__
    print(f"asr-adapt: unexpected {kind}: {error} (run again with --debug for details)", file=sys.stderr)
    return EXIT_FAILED
