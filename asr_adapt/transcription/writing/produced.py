"""Which source each transcript in a folder is of, so that equal file names of two runs are not taken for one.

Knows a hidden file in the output folder with a line for each transcript. Does not know formats, nor how a
transcript is written.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

from asr_adapt.destinations import SOURCES
from asr_adapt.errors import shown
from asr_adapt.transcription.inputs import folded
from asr_adapt.transcription.sources import Source

logger = logging.getLogger(__name__)


class Produced:
    """What earlier runs put into ``folder``; in ``spool`` lie copies of what has no file of its own."""

    def __init__(self, folder: Path, spool: Path) -> None:
        self.path, self.spool = folder / SOURCES, spool
        self._by_name: dict[str, dict[str, Any]] = {}
        self._names: dict[str, str] = {}
        for line in _lines(self.path):
            self._by_name[folded(line["name"])] = line
            self._names[_key(line)] = line["name"]

    def named(self, sources: Sequence[Source]) -> list[Source]:
        """The sources under the names that they had before, or that no other source's transcript has."""
        found: list[Source] = []
        taken: set[str] = set()
        for source in sources:
            own = self._identity(source)
            before = self._names.get(_key(own))
            name = source.name if before is None or folded(before) in taken else before
            free = next(n for n in self._longer(name, source) if self._is_free(n, own, taken))
            if free != name:
                other = self._by_name.get(folded(name), {}).get("source", "another input")
                text = "%s.* is the transcript of %s, so that of %s goes to %s.*"
                logger.warning(text, *map(shown, (name, other, source.label, free)))
            taken.add(folded(free))
            found.append(replace(source, name=free))
        return found

    def add(self, source: Source) -> None:
        """Note that the transcript of ``source`` is there; several processes may write at once."""
        line = {"name": source.name, **self._identity(source)}
        known = self._by_name.get(folded(source.name))
        if known != line:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._by_name[folded(source.name)] = line
            with self.path.open("a", encoding="utf-8") as handle:
                handle.write(json.dumps(line) + "\n")

    def _longer(self, name: str, source: Source) -> Iterator[str]:
        """``talk``, ``b/talk``, ``a/b/talk``, … then ``talk-2``, ``talk-3``, …"""
        yield name
        path = source.path
        if path is not None and source.row is None and not path.is_relative_to(self.spool):
            folders = [part for part in path.absolute().parent.parts if part not in (path.anchor, "..")]
            for depth in range(1, len(folders) + 1):
                yield str(Path(*folders[-depth:], Path(name).name))
        for number in count(2):
            yield f"{name}-{number}"

    def _is_free(self, name: str, own: dict[str, Any], taken: set[str]) -> bool:
        known = self._by_name.get(folded(name))
        return folded(name) not in taken and (known is None or _same(known, own))

    def _identity(self, source: Source) -> dict[str, Any]:
        """The place of a source, with size and time of the file, by which it is known after a move."""
        part = [source.offset, source.duration if source.segment else None, source.channel]
        path = source.path
        if path is None:
            return {"source": source.label, "part": part, "file": None}
        if path.is_relative_to(self.spool):
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            return {"source": source.label, "part": part, "file": digest}
        try:
            status = path.stat()
        except OSError:  # the reader says that it is not there
            return {"source": str(path.absolute()), "part": part, "file": None}
        file = [path.name, status.st_size, status.st_mtime_ns]
        return {"source": str(path.absolute()), "part": part, "file": file}


def _same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two identities are of one source: the same place, or the same file at another place."""
    if one["part"] != other["part"]:
        return False
    if isinstance(one["file"], str) or isinstance(other["file"], str):  # what a pipe or a URL gave
        return bool(one["file"] == other["file"])
    return bool(one["source"] == other["source"] or (one["file"] and one["file"] == other["file"]))


def _key(line: dict[str, Any]) -> str:
    """What finds a source's earlier name."""
    place = line["file"] if isinstance(line["file"], str) else line["source"]
    return json.dumps([place, line["part"]])


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """The whole lines of the file; one that a kill tore counts for nothing."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError:
        return
    for line in text.splitlines():
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict) and {"name", "source", "part", "file"} <= found.keys():
            yield found
