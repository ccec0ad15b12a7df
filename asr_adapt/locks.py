"""Locks between processes, on every system, through filelock: who writes a folder or file writes it alone.

Knows lock files. Does not know what is locked. A lock ends with its process, however that ends; the file
that is left then means nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from asr_adapt.errors import UsageError
from asr_adapt.files import is_device
from asr_adapt.leftovers import beside

if TYPE_CHECKING:
    from filelock import FileLock


def try_lock(path: Path) -> FileLock | None:
    """Hold the lock file ``path``; None when another process, or another part of this one, holds it."""
    from filelock import FileLock, Timeout  # not free, and every command imports this module

    lock = FileLock(path, thread_local=False)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return None
    return lock


def give_back(lock: FileLock, *, remove: bool = True) -> None:
    """Let go of a lock, and remove its file first, while nobody else can hold it."""
    if remove:
        with suppress(OSError):  # Windows removes no open file: then it stays, and means nothing
            Path(lock.lock_file).unlink()
    lock.release()


@contextmanager
def in_turn(path: Path) -> Iterator[None]:
    """Hold the lock file ``path`` within the block, after whoever holds it now.

    The file stays: who removed it would let a third process in beside the second, which waits on it.
    """
    from filelock import FileLock

    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path, thread_local=False):
        yield


@contextmanager
def alone(target: str | Path | None, *, inside: bool = False) -> Iterator[None]:
    """Be the only process that writes the file or folder ``target`` within the block; None needs no lock.

    Raises :class:`UsageError` at once when another one is at it. The lock file is a hidden neighbour, or lies
    ``inside`` a folder that stays in its place.
    """
    if target is None or is_device(Path(target)):
        yield
        return
    path = Path(target) / ".lock" if inside else beside(Path(target), ".lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = try_lock(path)
    if lock is None:
        raise UsageError(f"{target} is in use by another run: wait for it or name another --output.")
    try:
        yield
    finally:
        give_back(lock)
