"""The groups of commands that ``asr-adapt --help`` shows, and how a command is put into one.

Knows the groups and their order. Does not know the commands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import typer

from asr_adapt.cli.grouped import GroupedCommand, GroupedCommands

ADAPT = "Adapt a recogniser"
USE = "Use it"
MEASURE = "Measure and compare"
SHARE = "Share it"
DATA = "Prepare data"
TUNE = "Improve decoding"
SYSTEM = "Models and installation"
#: As a newcomer needs them.
PANELS = (ADAPT, USE, MEASURE, SHARE, DATA, TUNE, SYSTEM)


class Commands(GroupedCommands):
    """The tree of all commands: its groups are shown in the order of :data:`PANELS`."""

    order = PANELS
    _load: Callable[[str], Any] | None = None

    def list_only(self, commands: Iterable[Any], load: Callable[[str], Any]) -> None:
        """Show ``commands``, and exchange each for that which ``load`` gives once it is asked for."""
        self.commands = {command.name: command for command in commands}
        self._load = load
        self._listed = set(self.commands)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command itself."""
        if self._load is not None and cmd_name in self._listed:
            self.commands[cmd_name] = self._load(cmd_name)
            self._listed.remove(cmd_name)
        return super().get_command(ctx, cmd_name)


def add(
    app: typer.Typer, name: str, function: Callable[..., Any], *, panel: str | None = None, **more: Any
) -> None:
    """Add a command; ``panel`` is its group in the help."""
    app.command(name, cls=GroupedCommand, rich_help_panel=panel, **more)(function)


def new_group(summary: str, **more: Any) -> typer.Typer:
    """A group of commands of its own, such as ``asr-adapt manifest``."""
    settings: dict[str, Any] = {
        "cls": GroupedCommands,
        "no_args_is_help": True,
        "rich_markup_mode": None,
    } | more
    return typer.Typer(help=summary, add_completion=False, **settings)
