"""What every importer offers, and the small tools they share.

Knows the contract of a layout and how text files are read with precise errors. Does not know any layout.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from asr_adapt.audio.media import files_below
from asr_adapt.errors import DataError
from asr_adapt.manifest.utterance import Place, Utterance


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What the caller says about a source beyond its path.

    ``columns`` maps the source's column or key names to row fields; ``name_pattern`` reads fields from file
    names (``{text}_{speaker}_{index}``); ``tier`` names the TextGrid tier that holds the transcripts.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    name_pattern: str | None = None
    tier: str | None = None


class Layout(Protocol):
    """One foreign layout. ``folders`` are tried below the root for relative audio paths."""

    name: str
    description: str
    folders: tuple[str, ...]

    def recognise(self, source: Path) -> str | None:
        """Why ``source`` is this layout, as a clause; None when it is not. Raises nothing."""
        ...

    def read(self, source: Path, options: ImportOptions) -> Iterator[Utterance]:
        """Rows with audio paths as the source writes them; raises DataError naming file and line."""
        ...


def open_bytes(path: Path) -> bytes:
    """A whole file, decompressed when it is gzip; DataError when it cannot be read."""
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content
    except (OSError, EOFError, zlib.error, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(f"cannot be read ({reason}).", path=path) from error


def read_text(path: Path) -> str:
    """A text file as str: UTF-8, or UTF-16 when a byte order mark says so. Raises DataError."""
    content = open_bytes(path)
    encoding = "utf-16" if content.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"is not {encoding[:6].upper()}; save the file as UTF-8.", path=path, line=line
        ) from error


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Non-blank lines of a text file with their numbers, line ends stripped. Raises DataError."""
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if line.strip():
            yield number, line.rstrip("\r")


def first_line(path: Path) -> str:
    """The first non-blank line for recognition; empty when there is none or it is not text."""
    try:
        with path.open("rb") as handle:
            head = handle.read(65_536)
        if head.startswith(b"\x1f\x8b"):
            head = zlib.decompressobj(wbits=31).decompress(head, 65_536)
    except (OSError, zlib.error):
        return ""
    encoding = "utf-16" if head.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    lines = head.decode(encoding, errors="replace").splitlines()
    return next((line for line in lines if line.strip()), "")


def first_file(folder: Path, suffixes: frozenset[str] | set[str]) -> Path | None:
    """Some file below ``folder`` with one of the suffixes, found without listing everything.

    What cannot be read says nothing about a layout; reading the layout will name it.
    """
    return next(files_below(folder, suffixes, failed=lambda error: None), None)


def place_of(path: Path) -> Place:
    """Rows read from ``path`` start their audio paths at its folder."""
    return Place(path.parent, str(path))
