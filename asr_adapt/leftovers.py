"""Names of temporary files that say which process writes them, and the removal of what killed ones left.

Knows host and process number within a name. Does not know what is written. A name is only ever taken for a
leftover when it has our form, is from this machine, and its process is gone or is younger than the file.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
from functools import cache
from pathlib import Path

#: Longest file name in bytes that every common file system takes.
LONGEST_NAME = 255
#: Bytes of a target's name that are kept in a temporary one; the rest is our own part and the suffix.
_KEPT = 150
_OURS = re.compile(r"\.aa([0-9a-f]{8})-(\d+)-[^.]*\.(tmp|old)$")
_swept: set[tuple[int, str]] = set()


def in_process() -> str:
    """The part of a temporary name that says machine and process."""
    return f"aa{_machine()}-{os.getpid()}-"


def side_name(name: str) -> str:
    """The beginning of a hidden temporary name for the file ``name``, which may have any length."""
    return f".{shortened(name, _KEPT)}.{in_process()}"


def is_temporary(name: str) -> bool:
    """Whether a file name is one of ours for something unfinished."""
    return _OURS.search(name) is not None


def shortened(name: str, most: int) -> str:
    """``name`` itself within ``most`` bytes, else its beginning and a checksum that tells it from others."""
    raw = os.fsencode(name)
    if len(raw) <= most:
        return name
    digest = hashlib.sha256(raw).hexdigest()[:12]
    return raw[: most - 13].decode("utf-8", "ignore") + "~" + digest


def beside(target: Path, suffix: str) -> Path:
    """The hidden neighbour ``.NAME`` + ``suffix`` of ``target``, shortened where it would be too long."""
    return target.with_name(f".{shortened(target.name, LONGEST_NAME - 1 - len(suffix))}{suffix}")


def sweep(folder: Path) -> None:
    """Remove what killed processes left in ``folder``; a folder that one was replacing is put back.

    Looks once in the life of a process, and never raises: it is nobody's business that must not fail.
    """
    place = (os.getpid(), os.path.realpath(folder))
    if place in _swept:
        return
    _swept.add(place)
    try:
        found = [path for path in folder.iterdir() if _OURS.search(path.name)]
    except OSError:
        return
    for path in found:
        if _abandoned(path):
            _remove(path)


def _abandoned(path: Path) -> bool:
    found = _OURS.search(path.name)
    if found is None or found[1] != _machine():
        return False
    import psutil

    try:
        started = psutil.Process(int(found[2])).create_time()
        return started > path.lstat().st_mtime + 1  # the number was given anew to another process
    except psutil.NoSuchProcess:
        return True
    except (psutil.Error, OSError, OverflowError):
        return False


def _remove(path: Path) -> None:
    try:
        if path.is_symlink() or not path.is_dir():
            path.unlink()
            return
        if path.suffix == ".old":
            for former in path.iterdir():
                target = path.parent / former.name
                if not target.exists():
                    former.rename(target)
        shutil.rmtree(path, ignore_errors=True)
    except OSError:
        return


@cache
def _machine() -> str:
    return hashlib.sha256(platform.node().encode()).hexdigest()[:8]
