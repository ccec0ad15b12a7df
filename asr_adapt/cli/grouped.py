"""Help that fits 80 columns: commands and options in groups, nothing cut, no word broken at its hyphen.

Knows Typer's commands and how their help is laid out. Does not know any command, option or group by name
(``panels`` names the groups of commands). A flag may be given a value: ``--vad_filter True`` and
``--condition_on_previous_text False`` are how openai-whisper and whisperX spell flags.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from typer.core import TyperCommand, TyperGroup

#: The group of options and of commands that name none.
GENERAL = "Options"
OTHER = "Other commands"
#: Names longer than this stand on a line of their own, their help below.
NAME_WIDTH = 26
_VALUES = {"true": True, "false": False}
#: What Typer calls the types of values, and what a reader is told instead.
_TYPES = (
    (re.compile(r"<?(list\[)?(str|text|TEXT)(\])?>?"), "TEXT"),
    (re.compile(r"<?(list\[)?(path|Path|PATH|FILE|DIRECTORY)(\])?>?"), "PATH"),
    (re.compile(r"<?(list\[)?(int|float|INTEGER|FLOAT)( range| RANGE)?(\])?( RANGE)?>?"), "N"),
    (re.compile(r"[<\[](.+\|.+)[>\]]"), r"\1"),
)


class _Laid:
    """What commands and groups of commands share: how usage, text and options are laid out."""

    def format_usage(self, ctx: Any, formatter: Any) -> None:
        """``Usage: asr-adapt train [OPTIONS] RECIPE.yaml [key=value …]``."""
        words = [ctx.command_path, "[OPTIONS]"]
        words += [_argument(p) for p in _params(self, ctx) if p.param_type_name == "argument"]
        if isinstance(self, TyperGroup):
            words.append("COMMAND ...")
        lines = _wrapped(" ".join(words), formatter.width - 7)
        formatter.write("Usage: " + "\n       ".join(lines) + "\n")

    def format_help_text(self, ctx: Any, formatter: Any) -> None:
        """The docstring by paragraphs; what is indented is an example and stays as it is."""
        for paragraph in filter(None, textwrap.dedent(_docstring(self)).strip("\n").split("\n\n")):
            formatter.write("\n")
            lines = paragraph.splitlines()
            if not lines[0].startswith(" "):
                lines = _wrapped(" ".join(lines), formatter.width - 2)
            formatter.write("".join(f"  {line}\n" for line in lines))

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Commands, then each group of options under its name, in the order in which they were declared."""
        records: dict[str, list[tuple[str, str, str]]] = {}
        for option in _params(self, ctx):
            found = option.get_help_record(ctx)
            if found is not None:
                records.setdefault(_group(option), []).append(_record(option, *found))
        if isinstance(self, TyperGroup):
            self.format_commands(ctx, formatter)
        for title, rows in records.items():
            _write_section(formatter, title, rows)


class GroupedCommand(_Laid, TyperCommand):
    """A Typer command; a parameter's group is its ``rich_help_panel``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As Typer's, with a value behind a flag taken for what it says."""
        return super().parse_args(ctx, list(self._plain(ctx, args)))

    def _plain(self, ctx: Any, args: list[str]) -> Iterator[str]:
        normalise = ctx.token_normalize_func or (lambda name: name)
        flags = {name: option for option in self.params for name in option.opts if _is_flag(option)}
        waiting = list(args)
        while waiting:
            argument = waiting.pop(0)
            option = flags.get(normalise(argument)) if argument.startswith("--") else None
            value = _VALUES.get(waiting[0].lower()) if option is not None and waiting else None
            if option is None or value is None:
                yield argument
                continue
            waiting.pop(0)
            if value:
                yield argument
            elif option.secondary_opts:
                yield option.secondary_opts[0]


class GroupedCommands(_Laid, TyperGroup):
    """Typer's group of commands, shown in panels (``rich_help_panel``) of the given ``order``."""

    order: Sequence[str] = ()

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Each panel's commands with one line each; hidden ones (names of before) are left out."""
        panels: dict[str, list[tuple[str, str, str]]] = {name: [] for name in self.order}
        for name in self.list_commands(ctx):
            command: Any = self.commands[name]
            if not command.hidden:
                panel = getattr(command, "rich_help_panel", None)
                title = panel if isinstance(panel, str) else ("Commands" if not self.order else OTHER)
                panels.setdefault(title, []).append((name, summary(command), ""))
        width = max((len(name) for rows in panels.values() for name, *_ in rows), default=0)
        for title, rows in panels.items():
            _write_section(formatter, title, rows, width)


class DefaultCommand(GroupedCommands):
    """A group that is a command too: what names none of its commands is given to the one called ``default``.

    Its help is that command's help, with the others below.
    """

    default = "check"

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the default's name in front, unless a command is named or help is asked for."""
        shown = [name for name, command in self.commands.items() if not command.hidden]
        if args and args[0] not in (*shown, self.default, *ctx.help_option_names):
            args = [self.default, *args]
        return super().parse_args(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """The default's usage, text and options, then the other commands."""
        command = self.commands[self.default]
        for part in (command.format_usage, command.format_help_text, command.format_options):
            part(ctx, formatter)
        self.format_commands(ctx, formatter)


def summary(command: Any) -> str:
    """The first sentence of a command's help, without its full stop."""
    first = " ".join(_docstring(command).strip().split("\n\n")[0].split())
    return re.split(r"(?<=[^.])\.(?:\s|$)", first, maxsplit=1)[0]


def _docstring(command: Any) -> str:
    return (command.help or "").partition("\f")[0]


def _params(command: Any, ctx: Any) -> list[Any]:
    found: list[Any] = command.get_params(ctx)
    return found


def _argument(param: Any) -> str:
    name = param.metavar or str(param.name).upper()
    if param.nargs != 1 and not name.rstrip("]").endswith(("...", "…")):
        name += "..."
    return name if param.required or name.startswith("[") else f"[{name}]"


def _record(option: Any, names: str, told: str) -> tuple[str, str, str]:
    """How an option is given, what it does, and what Typer adds in brackets: default, range, required."""
    does, _, extra = told.rpartition("  [") if told.endswith("]") and "  [" in told else (told, "", "")
    if told.startswith("["):
        does, extra = "", told[1:]
    extra = f"[{extra}" if extra else ""
    if option.param_type_name == "argument":
        return _argument(option).strip("[]"), does, "" if extra == "[required]" else extra
    first, _, second = names.partition(" / ")
    given = [part for part in first.split(" ") if part.startswith("-")]
    kind = first[len(" ".join(given)) :].strip()
    return " ".join([*given, *filter(None, [_kind(kind)])]) + (f" / {second}" if second else ""), does, extra


def _kind(name: str) -> str:
    for pattern, plain in _TYPES:
        if found := pattern.fullmatch(name):
            return found.expand(plain)
    return name


def _write_section(
    formatter: Any, title: str, rows: Iterable[tuple[str, str, str]], width: int | None = None
) -> None:
    """A heading and two columns; what stands in brackets is never parted from its words."""
    rows = list(rows)
    if not rows:
        return
    fitting = [len(name) for name, *_ in rows if len(name) <= NAME_WIDTH]
    column = width if width is not None else max(fitting, default=NAME_WIDTH)
    formatter.write(f"\n{title}:\n")
    margin = " " * (column + 4)
    for name, does, extra in rows:
        text = f"{does} {extra.replace(' ', _GLUE)}" if extra else does
        lines = _wrapped(text.strip(), formatter.width - len(margin))
        names = _wrapped(name, formatter.width - 2)
        if len(names[0]) <= column and len(names) == 1 and lines:
            formatter.write(f"  {name:<{column}}  {lines[0]}\n")
            lines = lines[1:]
        else:
            formatter.write("".join(f"  {part}\n" for part in names))
        formatter.write("".join(f"{margin}{line}\n" for line in lines))


_GLUE = "\u00a0"


def _wrapped(text: str, width: int) -> list[str]:
    """Lines of at most ``width`` characters, broken at spaces alone, unless one word is wider."""
    text = re.sub(r"(\d) %", rf"\1{_GLUE}%", text)
    lines = textwrap.wrap(text, width, break_on_hyphens=False, break_long_words=False)
    if any(len(line) > width for line in lines):  # brackets wider than the column: let them break
        lines = textwrap.wrap(text.replace(_GLUE, " "), width, break_on_hyphens=False)
    return [line.replace(_GLUE, " ") for line in lines]


def _is_flag(option: Any) -> bool:
    return bool(getattr(option, "is_flag", False)) and not getattr(option, "count", False)


def _group(option: Any) -> str:
    if option.param_type_name == "argument":
        return "Arguments"
    return getattr(option, "rich_help_panel", None) or GENERAL
