"""What every benchmark ends with: a Markdown table, what it ran on, and a block of a document.

Knows Markdown, blocks between markers and this computer. Does not know what was measured. Imports nothing
heavy, so that a script may measure processes without torch.
"""

from __future__ import annotations

import argparse
import os
import platform
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from asr_adapt.files import atomic_write

DOCS = Path(__file__).resolve().parents[1] / "docs"
DOCUMENT = DOCS / "benchmarks.md"
#: Figures of the two small models that travel with the package.
BUNDLED = DOCS / "bundled-bases.md"


def hardware_on(device: str) -> str:
    """:func:`hardware` with the GPU's name where ``device`` is CUDA."""
    if "cuda" not in device:
        return hardware()
    import torch

    return hardware(torch.cuda.get_device_name())


def add_write(parser: argparse.ArgumentParser, name: str) -> None:
    """The option ``--write``, whose value :func:`publish` takes."""
    text = f"document whose block {name} is replaced [docs/benchmarks.md, or where it is]"
    parser.add_argument("--write", type=Path, nargs="?", const=DOCUMENT, metavar="FILE", help=text)


def publish(text: str, name: str, document: Path | None) -> None:
    """Print ``text`` and, where a document is given, put it into the block ``name``.

    A block that already stands in the page of the bundled models stays there.
    """
    print(text)
    if document == DOCUMENT and f"<!-- {name}:begin -->" in BUNDLED.read_text(encoding="utf-8"):
        document = BUNDLED
    if document is not None:
        replace_block(document, name, text)


def block_of(name: str, model: str, usual: str = "nano-en") -> str:
    """The block's name: each model but the usual one has a block of its own."""
    return name if model == usual else f"{name}-{Path(model).name}"


def replace_block(document: Path, name: str, content: str) -> None:
    """Replace what stands between the markers of ``name`` in ``document``, or append it."""
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    text = document.read_text(encoding="utf-8") if document.is_file() else "# Benchmarks\n"
    block = f"{begin}\n{content.rstrip()}\n{end}"
    if begin in text:
        start, rest = text.split(begin, 1)
        text = start + block + rest.split(end, 1)[1]
    else:
        text = f"{text.rstrip()}\n\n{block}\n"
    with atomic_write(document) as handle:
        handle.write(text)


def table(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[str]:
    """Lines of a Markdown table; columns whose head begins with ``>`` stand to the right."""
    marks = ["--:" if head.startswith(">") else "---" for head in heads]
    lines = [line([head.removeprefix(">") for head in heads]), f"|{'|'.join(marks)}|"]
    return lines + [line(row) for row in rows]


def line(cells: Sequence[Any]) -> str:
    """One line of a Markdown table."""
    return "| " + " | ".join(map(str, cells)) + " |"


def hardware(device: str | None = None) -> str:
    """``8-core x86_64, torch 2.13.0, Python 3.11.2``; ``device`` names an accelerator."""
    where = device or f"{os.cpu_count()}-core {platform.machine()}"
    return f"{where}, torch {version('torch')}, Python {platform.python_version()}"
