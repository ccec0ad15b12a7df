"""A store on disk for what the frozen prefix gave: one folder a key, safetensors shards, memory-mapped.

Knows names, files, locks and how much room there is. Does not know models, rows or what the numbers mean.

A shard appears under its name only when it is whole (written aside, then renamed), so killed and concurrent
writers can do no harm: the worst case is that two write the same shard. Every run holds a shared lock on the
folder of its key; only folders that nobody holds are evicted, the least recently used one first.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from asr_adapt.errors import DataError
from asr_adapt.files import atomic_write, cache_folder

_LOCK = "in-use.lock"


def default_store() -> Path:
    """``$XDG_CACHE_HOME/asr-adapt/prefix``."""
    return cache_folder() / "prefix"


class PrefixStore:
    """The shards of one key under ``root``; all keys together take at most ``cap`` bytes.

    Usable from several threads. Raises :class:`~asr_adapt.errors.DataError` when the folder cannot be used.
    """

    def __init__(self, root: Path, key: str, cap: int) -> None:
        self.root, self.folder, self.cap = root, root / key, cap
        self._open: dict[str, Any] = {}
        self._guard = threading.Lock()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock: IO[bytes] = (self.folder / _LOCK).open("ab")
            fcntl.flock(self._lock, fcntl.LOCK_SH)
            os.utime(self.folder)  # its place in the order of eviction
        except OSError as error:
            raise DataError(
                f"the prefix cache cannot be used ({error}); set cache.folder or cache.mode: off.", path=root
            ) from error

    def has(self, shard: str) -> bool:
        """Whether the shard is there, whole."""
        return self._path(shard).is_file()

    def write(self, shard: str, tensors: Mapping[str, Tensor]) -> None:
        """Keep CPU tensors under ``shard``; readers see all of them or none."""
        data = save({name: tensor.contiguous() for name, tensor in tensors.items()})
        with atomic_write(self._path(shard), "wb") as handle:
            handle.write(data)

    def read(self, shard: str, name: str) -> Tensor | None:
        """A copy of one tensor; None when the shard is not there. Only its own pages are read."""
        with self._guard:
            if shard not in self._open:
                if not self.has(shard):
                    return None
                self._open[shard] = safe_open(self._path(shard), framework="pt")
            opened = self._open[shard]
        tensor: Tensor = opened.get_tensor(name)
        return tensor

    def make_room(self, needed: int) -> bool:
        """Evict folders of other keys until ``needed`` more bytes fit; False when they never will."""
        if needed > self.cap:
            return False
        used = _size(self.root)
        for folder in sorted(self._others(), key=lambda path: path.stat().st_mtime):
            if used + needed <= self.cap:
                break
            freed = _size(folder)
            if _remove_unused(folder):
                used -= freed
        return used + needed <= self.cap

    def close(self) -> None:
        """Give the folder free for eviction."""
        self._open.clear()
        self._lock.close()

    def _others(self) -> list[Path]:
        return [path for path in self.root.iterdir() if path.is_dir() and path != self.folder]

    def _path(self, shard: str) -> Path:
        return self.folder / f"{shard}.safetensors"


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.safetensors"))


def _remove_unused(folder: Path) -> bool:
    """Delete ``folder`` unless a run holds it."""
    with (folder / _LOCK).open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        shutil.rmtree(folder)
        return True
