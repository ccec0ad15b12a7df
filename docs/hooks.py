"""What MkDocs fills in while it builds the site: the help of every command, and the public Python names.

Knows the command tree, ``asr_adapt.__all__`` and the pages that lie in the repository's root. Does not know
what any of them does.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

import asr_adapt
from asr_adapt.cli.app import build_app

ROOT = Path(__file__).resolve().parents[1]
_INCLUDED = re.compile(r"<!-- include: (\S+) -->")
#: reStructuredText's roles, which the docstrings use: :func:`asr_adapt.evaluate`.
_ROLE = re.compile(r":(?:class|func|meth|mod|attr|data|exc):(?=<code>)")
#: The mark in them for "show the last part alone": ~asr_adapt.errors.DataError.
_SHORTENED = re.compile(r"<code>~(?:\w+\.)*")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put commands and names where a page asks for them."""
    included = _INCLUDED.fullmatch(markdown.strip())
    if included:
        markdown = (ROOT / included[1]).read_text(encoding="utf-8")
    if "<!-- commands -->" in markdown:
        markdown = markdown.replace("<!-- commands -->", "\n".join(command_sections()))
    if "<!-- api -->" in markdown:
        markdown = markdown.replace("<!-- api -->", "\n\n".join(api_sections()))
    return markdown


def on_page_content(html: str, **_: Any) -> str:
    """Drop what reStructuredText's roles put around code; a browser has no use for it."""
    return _SHORTENED.sub("<code>", _ROLE.sub("", html))


def command_sections() -> Iterator[str]:
    """A heading and the help text for each command, groups before their members."""
    root = typer.main.get_command(build_app())
    yield from _sections(root, "asr-adapt", level=2)


def _sections(command: Any, name: str, level: int) -> Iterator[str]:
    context = command.make_context(
        name, [], resilient_parsing=True, terminal_width=100, max_content_width=100
    )
    context.info_name = name
    yield f"{'#' * min(level, 3)} {name}\n\n```text\n{command.get_help(context)}\n```\n"
    for child in getattr(command, "commands", {}).values():
        if not child.hidden:
            yield from _sections(child, f"{name} {child.name}", level + 1)


def api_sections() -> Iterator[str]:
    """What mkdocstrings shall show for each public name: where the name is defined."""
    for heading, wanted in (("Functions", inspect.isroutine), ("Classes", inspect.isclass)):
        named = {name: getattr(asr_adapt, name) for name in asr_adapt.__all__ if not name.startswith("__")}
        yield f"## {heading}"
        for value in (value for value in named.values() if wanted(value)):
            yield f"::: {value.__module__}.{value.__qualname__}"
