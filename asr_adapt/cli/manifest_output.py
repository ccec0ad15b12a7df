"""Printing for the manifest commands, and the ``NAME=VALUE`` options they share.

Knows columns and terminals. Does not know what the values mean.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import typer

from asr_adapt.errors import UsageError

Item = TypeVar("Item")
#: The widest a table may be where the terminal is not asked.
WIDTH = 80


def print_json(value: Any) -> None:
    """``value`` as indented JSON on standard output."""
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False))


def print_table(rows: Sequence[Mapping[str, Any]]) -> None:
    """Rows with the same keys as aligned columns of at most 80 characters; long cells are cut with ``…``."""
    if not rows:
        return
    names = list(rows[0])
    cells = [names, *[[_cell(row.get(name)) for name in names] for row in rows]]
    widths = [max(len(line[column]) for line in cells) for column in range(len(names))]
    while sum(widths) + 2 * len(widths) > WIDTH and max(widths) > 8:
        widths[widths.index(max(widths))] -= 1
    numeric = [all(isinstance(row.get(name), (int, float)) for row in rows) for name in names]
    for line in cells:
        parts = [
            _cut(text, width).rjust(width) if right else _cut(text, width).ljust(width)
            for text, width, right in zip(line, widths, numeric, strict=True)
        ]
        typer.echo("  ".join(parts).rstrip())


def progress(items: Iterable[Item], noun: str) -> Iterator[Item]:
    """Pass items through, showing a count on standard error while that is a terminal."""
    shown = last = 0.0
    count = 0
    live = sys.stderr.isatty()
    for count, item in enumerate(items, start=1):
        yield item
        if live and count % 64 == 0 and (now := time.monotonic()) - last > 0.2:
            last = shown = now
            sys.stderr.write(f"\r{count:,} {noun}")
            sys.stderr.flush()
    if shown:
        sys.stderr.write(f"\r{count:,} {noun}\n")


def name_values(items: Iterable[str], option: str) -> dict[str, str]:
    """``NAME=VALUE`` items of an option. Raises UsageError."""
    pairs: dict[str, str] = {}
    for item in items:
        name, equals, value = item.partition("=")
        if not equals or not name.strip() or not value.strip():
            raise UsageError(f"{option} {item!r} must read NAME=VALUE.")
        pairs[name.strip()] = value.strip()
    return pairs


def row_counter(total: int, noun: str) -> Callable[[int], None] | None:
    """A callback that shows ``done/total`` on standard error; None where that is not a terminal."""
    if not sys.stderr.isatty():
        return None

    def show(done: int) -> None:
        sys.stderr.write(f"\r{done:,}/{total:,} {noun}" + ("\n" if done >= total else ""))
        sys.stderr.flush()

    return show


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return f"{value:,}" if isinstance(value, int) else "" if value is None else str(value)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
