"""Rows to a JSONL file, streaming and atomic.

Knows how relative audio paths are rewritten so that they hold from the new file's folder. Does not know
where rows come from.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from asr_adapt.errors import DataError
from asr_adapt.files import atomic_write
from asr_adapt.manifest.utterance import Utterance


def write_manifest(path: str | Path, utterances: Iterable[Utterance]) -> int:
    """Write rows to ``path`` and return how many; on any error the old file stays.

    Relative audio paths are rewritten so that they hold from the folder of ``path``. Rows may come from a
    lazy iterable, also one that reads the file being replaced.
    """
    path = Path(path)
    with atomic_write(path) as handle:
        return write_rows(handle, utterances, path.parent)


def write_rows(handle: IO[str], utterances: Iterable[Utterance], folder: Path) -> int:
    """Write rows as JSONL to an open text file whose relative audio paths start at ``folder``."""
    relocate = PathRewriter(folder)
    count = 0
    for utterance in utterances:
        row = utterance.to_row()
        row["audio_filepath"] = relocate(utterance)
        handle.write(row_line(row, utterance))
        count += 1
    return count


def row_line(row: dict[str, object], utterance: Utterance) -> str:
    """One JSONL line. Raises DataError naming the row when a value cannot be written as JSON."""
    try:
        line = json.dumps(row, ensure_ascii=False, allow_nan=False)
        if not line.isascii():
            line.encode("utf-8")
        return line + "\n"
    except (ValueError, TypeError) as error:
        raise utterance.error(f"the row cannot be written as UTF-8 JSON ({error}).") from error


class PathRewriter:
    """The audio path of a row as seen from another folder; absolute paths and URLs stay."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._prefixes: dict[Path, str] = {}

    def __call__(self, utterance: Utterance) -> str:
        """Relative to the folder given at construction, with forward slashes."""
        name = utterance.audio_filepath
        if "://" in name or Path(name).is_absolute():
            return name
        prefix = self._prefixes.get(utterance.root)
        if prefix is None:
            prefix = self._prefixes[utterance.root] = self._prefix(utterance.root)
        if prefix == ".":
            return name
        return os.path.normpath(f"{prefix}/{name}").replace(os.sep, "/")

    def _prefix(self, root: Path) -> str:
        try:
            return os.path.relpath(root.resolve(), self._folder.resolve())
        except ValueError as error:  # another drive
            raise DataError(
                f"audio under {root} cannot be reached from {self._folder}; write the manifest elsewhere."
            ) from error
