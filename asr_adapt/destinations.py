"""The one rule for everything that is written: what may be put where, decided before the work.

- Never onto an input of the same command, however it is named (links, other spellings of a path).
- Never into a folder that holds something which this program did not put there. A hidden file,
  ``.asr-adapt.json``, marks the folders that it made, and says which command made them.
- Names that the user typed are replaced as usual; names that follow from other names (``talk.wav`` →
  ``talk.txt``) replace nothing outside marked folders, unless ``--overwrite`` is given.

Knows paths. Does not know what is written there, nor how (``files``).
"""

from __future__ import annotations

import glob
import json
import os
import stat
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from asr_adapt.errors import UsageError
from asr_adapt.files import user_path, write_json
from asr_adapt.leftovers import LONGEST_NAME, is_temporary

MARKER = ".asr-adapt.json"
#: Which source each transcript in a folder is of.
SOURCES = ".asr-adapt-sources.jsonl"
#: What counts for nothing in a folder: marks, the lock of whoever writes it, what systems put there.
_HIDDEN = {MARKER, SOURCES, ".lock", ".DS_Store", "Thumbs.db", "desktop.ini"}
Name = str | os.PathLike[str] | None


def require_file(output: Name, inputs: Iterable[Name] = (), *, option: str = "--output") -> None:
    """Refuse a file that is an input, a folder, or in a place that cannot be written.

    ``inputs`` may be files, folders whose files are inputs (a model's), names that are neither (a hub id),
    or None. Raises :class:`UsageError`; None and ``-`` are no file and pass.
    """
    require_files([output], inputs, option=option)


def require_files(outputs: Iterable[Name], inputs: Iterable[Name] = (), *, option: str = "--output") -> None:
    """:func:`require_file` for several files of one command."""
    targets = [Path(name) for name in outputs if name is not None and os.fspath(name) != "-"]
    taken = Inputs(inputs)
    places: set[str] = set()
    for target in targets:
        taken.refuse(target, option)
        _require_writable(target, option)
        place = os.path.normcase(os.path.realpath(target))
        if place in places and not place.startswith("/dev/"):
            raise UsageError(f"{target} would be written twice: give each output its own name.")
        places.add(place)


def require_new_names(
    outputs: Iterable[Path],
    inputs: Iterable[Name] = (),
    *,
    folder: Path,
    overwrite: bool,
    option: str = "--output",
) -> None:
    """Refuse names in ``folder`` that follow from other names and are taken by others' files, or are inputs.

    Files that are there are ours where the whole folder is.
    """
    outputs = list(outputs)
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file: name a folder with {option}.")
    require_files(outputs, inputs, option=option)
    if overwrite or is_ours(folder):
        return
    for target in outputs:
        if os.path.lexists(target):
            raise UsageError(f"{target} already exists: give --overwrite to replace it, or another {option}.")


def expanded(*names: str | os.PathLike[str]) -> list[Path]:
    """The files that names and patterns (globs) stand for."""
    found: list[Path] = []
    for name in names:
        text = os.fspath(name)
        plain = os.path.lexists(text) or not glob.has_magic(text)
        found += [Path(text)] if plain else map(Path, glob.glob(text, recursive=True))  # noqa: PTH207
    return found


def require_folder(
    output: Name,
    kind: str,
    inputs: Iterable[Name] = (),
    *,
    again: bool = False,
    overwrite: bool = False,
    option: str = "--output",
    instead: str = "give --overwrite to replace it",
) -> None:
    """Refuse a folder that holds an input, or anything else that ``kind`` (a command) did not put there.

    A folder that an earlier run of the same command filled is taken where ``again`` says so, or ``overwrite``
    (the command's own option) was given; a command without that option says ``instead`` what to do with it.
    Raises :class:`UsageError`; None passes.
    """
    if output is None:
        return
    folder = Path(output)
    Inputs(inputs).refuse_around(folder, option)
    if not folder.is_dir():
        _require_writable(folder, option, folder=True)
        return
    found = sorted(_entries(folder))
    if not found:
        _require_writable(folder / MARKER, option)
        return
    mark = read_mark(folder)
    if mark.get("command") != kind:
        raise UsageError(f"{folder} is not empty (it holds {found[0]}): name a new folder with {option}.")
    foreign = [name for name in found if name not in mark.get("files", ())]
    if foreign:
        raise UsageError(
            f"{folder} holds {foreign[0]}, which is not from an earlier {kind}: name another folder with "
            f"{option}, or move it away."
        )
    if not (again or overwrite):
        raise UsageError(
            f"{folder} is not empty, it holds the result of an earlier {kind}: {instead}, or name another "
            f"folder with {option}."
        )


def mark_folder(folder: Path, kind: str, will_hold: Iterable[str] = ()) -> None:
    """Say in ``folder`` that ``kind`` (a command) made it, what it holds now and ``will_hold``."""
    folder.mkdir(parents=True, exist_ok=True)
    names = sorted({*_entries(folder), *will_hold})
    write_json(folder / MARKER, {"made_by": "asr-adapt", "command": kind, "files": names})


def read_mark(folder: Path) -> dict[str, Any]:
    """What :func:`mark_folder` wrote; empty for a folder that is not ours."""
    try:
        found = json.loads((folder / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) and found.get("made_by") == "asr-adapt" else {}


def is_ours(folder: Path) -> bool:
    """Whether this program made the folder."""
    return bool(read_mark(folder))


def mark_if_new(folder: Path, kind: str) -> None:
    """Mark a folder that is not there yet or empty: what will be put there is ours."""
    if not folder.is_dir() or not any(_entries(folder)):
        mark_folder(folder, kind)


class Inputs:
    """The files and folders that a command reads."""

    def __init__(self, names: Iterable[Name]) -> None:
        given = [os.fspath(name) for name in names if name is not None]
        named = [name for name in given if name and "\0" not in name]  # no file has such a name
        self._paths = [user_path(name) for name in named]

    def refuse(self, target: Path, option: str) -> None:
        """Raise UsageError where ``target`` is an input, or a file of a folder that is one."""
        own = _identity(target)
        if own is not None and own in self._identities:
            raise UsageError(f"{target} is an input of this command: name another file with {option}.")

    @cached_property
    def _identities(self) -> set[tuple[int, int]]:
        return {found for path in self._files() if (found := _identity(path)) is not None}

    def refuse_around(self, folder: Path, option: str) -> None:
        """Raise UsageError where ``folder`` is an input or has one inside."""
        real = os.path.realpath(folder)
        for path in self._paths:
            place = os.path.realpath(path)
            if os.path.lexists(path) and (place == real or place.startswith(real + os.sep)):
                raise UsageError(
                    f"{folder} holds the input {path} of this command: name another folder with {option}."
                )

    def _files(self) -> Iterator[Path]:
        for path in self._paths:
            if path.is_dir():
                yield from (entry for entry in path.iterdir() if not entry.is_dir())
            else:
                yield path


def _identity(path: Path) -> tuple[int, int] | None:
    """Equal for two names of one file; None for what is not there, and for streams such as /dev/null."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return (status.st_dev, status.st_ino) if stat.S_ISREG(status.st_mode) else None


def _entries(folder: Path) -> Iterator[str]:
    for path in folder.iterdir():
        if path.name not in _HIDDEN and not is_temporary(path.name):
            yield path.name


def _require_writable(target: Path, option: str, *, folder: bool = False) -> None:
    """Raise UsageError where ``target`` cannot be written; nothing is made for finding out."""
    if len(os.fsencode(target.name)) > LONGEST_NAME:
        raise UsageError(f"{target.name[:40]}… is longer than a file name can be: choose another {option}.")
    if target.is_dir() and not folder:
        raise UsageError(f"{target} is a folder: name a file with {option}.")
    place = target
    while not os.path.lexists(place) and place != place.parent:
        place = place.parent
    if (place != target or folder) and not place.is_dir():
        raise UsageError(f"{target} cannot be created, because {place} is a file: choose another {option}.")
    if not os.access(place, os.W_OK):
        raise UsageError(f"{target} cannot be written (no permission): choose another {option}.")
