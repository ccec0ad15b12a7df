"""What a killed run over a manifest has already recognised, so that the next run does only the rest.

Knows a folder beside the output with one JSON-lines file for each process: a key that must match, then a line
for each finished item. Does not know what an item's value means. Items within a long file are the business of
:mod:`asr_adapt.transcription.journal`.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from asr_adapt.decoding import Decoding
from asr_adapt.leftovers import beside
from asr_adapt.models import Recogniser
from asr_adapt.transcription.journal import recogniser_key, whole_lines
from asr_adapt.transcription.sources import Source

_ENTRY = {"number", "value"}


class RowJournal:
    """Finished items of one output file; ``index`` is the process that writes here."""

    def __init__(self, output: str | Path, key: dict[str, Any], index: int = 0) -> None:
        self.folder = beside(Path(output), ".partial")
        self._key = json.loads(json.dumps(key))
        self._own = self.folder / f"{index}.jsonl"
        self._open = False

    def read(self) -> dict[int, Any]:
        """Values by item number that runs with this key finished, on any number of processes."""
        found: dict[int, Any] = {}
        for path in sorted(self.folder.glob("*.jsonl")):
            rows = whole_lines(path)
            if rows and rows[0] == self._key:
                entries = (row for row in rows[1:] if isinstance(row, dict) and row.keys() == _ENTRY)
                found.update((row["number"], row["value"]) for row in entries)
        return found

    def add(self, number: int, value: Any) -> None:
        """Keep one finished item; a line that a kill tears is done again."""
        if not self._open:
            self._begin()
        with self._own.open("a", encoding="utf-8") as handle:
            handle.write(_line({"number": number, "value": value}))

    def remove(self) -> None:
        """Forget everything; the output is whole."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _begin(self) -> None:
        """Go on behind an earlier run's lines where the key is theirs, else start the file anew."""
        self.folder.mkdir(parents=True, exist_ok=True)
        rows = whole_lines(self._own)
        known = bool(rows) and rows[0] == self._key
        with self._own.open("a" if known else "w", encoding="utf-8") as handle:
            handle.write("\n" if known else _line(self._key))  # the break ends a line that a kill tore
        self._open = True


def run_key(recogniser: Recogniser, options: Decoding, sources: Iterable[Source]) -> dict[str, Any]:
    """Whatever changes the results: the sources and their order, the model's files, decoding, options."""
    digest = hashlib.sha256()
    for source in sources:
        language = source.row and source.row.lang
        place = (str(source.path), source.offset, source.duration, source.channel, language)
        digest.update(repr(place).encode())
    return {
        "sources": digest.hexdigest(),
        **recogniser_key(recogniser),
        "options": options.key(),
    }


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) + "\n"
