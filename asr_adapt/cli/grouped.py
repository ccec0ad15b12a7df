"""A command whose help lists its options in groups, and whose flags may be given a value.

Knows Typer's commands. Does not know any option. ``--vad_filter True`` and ``--condition_on_previous_text
False`` are how openai-whisper and whisperX spell flags.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any

from typer.core import TyperCommand

#: The group of options that name none.
GENERAL = "Options"
_VALUES = {"true": True, "false": False}


class GroupedCommand(TyperCommand):
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

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Each group of options under its name, in the order in which the first of each was declared."""
        records: dict[str, list[tuple[str, str]]] = {}
        for group, options in groupby(self.get_params(ctx), _group):
            rows = [record for option in options if (record := option.get_help_record(ctx)) is not None]
            records.setdefault(group, []).extend(rows)
        for group, rows in records.items():
            if rows:
                with formatter.section(group):
                    formatter.write_dl(rows)


def _is_flag(option: Any) -> bool:
    return bool(getattr(option, "is_flag", False)) and not getattr(option, "count", False)


def _group(option: Any) -> str:
    if option.param_type_name == "argument":
        return "Arguments"
    return getattr(option, "rich_help_panel", None) or GENERAL
