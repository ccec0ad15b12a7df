"""A store on disk for what the frozen prefix gave: one folder a key, safetensors shards with checksums.

Knows names, files, locks and how much room there is. Does not know models, rows or what the numbers mean.

A shard appears under its name only when it is whole (written aside, then renamed), so killed and concurrent
writers can do no harm: the worst case is that two write the same shard. Every tensor is checked against its
checksum when it is read; what does not agree is as good as absent. Every run holds a lease on the folder of
its key; eviction takes folders that nobody holds, the least recently used one first, and of these only what
this module wrote: the store may lie in a folder that holds other things.
"""

from __future__ import annotations

import json
import logging
import os
import re
import tempfile
import threading
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO

import torch
from filelock import FileLock, Timeout
from safetensors.torch import save
from torch import Tensor

from asr_adapt.destinations import MARKER, is_ours, mark_folder, read_mark
from asr_adapt.errors import DataError
from asr_adapt.files import atomic_write, cache_folder
from asr_adapt.leftovers import is_temporary
from asr_adapt.locks import give_back, try_lock

logger = logging.getLogger(__name__)
_KIND = "prefix cache"
_LEASE = ".lease"
#: Stores of earlier versions had this lock in each folder, and no mark.
_FORMER_LOCK, _KEY = "in-use.lock", re.compile(r"[0-9a-f]{24}$")
_TYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
#: Seconds to wait while another process makes room; it only deletes files then.
PATIENCE = 120


def default_store() -> Path:
    """``$XDG_CACHE_HOME/asr-adapt/prefix``."""
    return cache_folder() / "prefix"


class PrefixStore:
    """The shards of one key under ``root``; all keys together take at most ``cap`` bytes.

    Usable from several threads. Raises :class:`~asr_adapt.errors.DataError` when the folder cannot be used.
    """

    def __init__(self, root: Path, key: str, cap: int) -> None:
        self.root, self.folder, self.cap = root, root / key, cap
        self._open: dict[str, _ShardFile] = {}
        self._guard = threading.Lock()
        try:
            with self._alone():
                if not is_ours(self.folder):
                    mark_folder(self.folder, _KIND)
                self._lease = self._held()
                os.utime(self.folder)  # its place in the order of eviction
        except (OSError, Timeout) as error:
            raise DataError(
                f"the prefix cache cannot be used ({error}); set cache.folder or cache.mode: off.", path=root
            ) from error

    def has(self, shard: str) -> bool:
        """Whether the shard is there, whole, and as it was written; all of it is read."""
        opened = self._opened(shard)
        return opened is not None and all(self.read(shard, name) is not None for name in opened.names)

    def write(self, shard: str, tensors: Mapping[str, Tensor]) -> None:
        """Keep CPU tensors under ``shard``; readers see all of them or none. Raises OSError (a full disk)."""
        whole = {name: tensor.contiguous() for name, tensor in tensors.items()}
        sums = {name: checksum(tensor) for name, tensor in whole.items()}
        data = save(whole, metadata={"crc32": json.dumps(sums)})
        with atomic_write(self._path(shard), "wb") as handle:
            handle.write(data)

    def read(self, shard: str, name: str) -> Tensor | None:
        """A copy of one tensor; None when the shard is not there or damaged, which is said once."""
        opened = self._opened(shard)
        if opened is None:
            return None
        tensor = opened.read(name)
        if tensor is None:
            self._drop(shard)
        return tensor

    def make_room(self, needed: int) -> bool:
        """Evict folders of other keys until ``needed`` more bytes fit; False when they never will."""
        if needed > self.cap:
            return False
        with self._alone():
            others = sorted(self._others(), key=_age)
            used = _size(self.folder) + sum(map(_size, others))
            for folder in others:
                if used + needed <= self.cap:
                    break
                freed = _size(folder)
                if _remove_unused(folder):
                    used -= freed
        return used + needed <= self.cap

    def close(self) -> None:
        """Give the folder free for eviction."""
        with self._guard:
            for shard in self._open.values():
                shard.close()
            self._open.clear()
        give_back(self._lease)

    def _alone(self) -> FileLock:
        """One process at a time opens and evicts folders, so that none is removed while it is taken."""
        self.root.mkdir(parents=True, exist_ok=True)
        return FileLock(self.root / ".lock", timeout=PATIENCE, thread_local=False)

    def _held(self) -> FileLock:
        descriptor, name = tempfile.mkstemp(dir=self.folder, suffix=_LEASE)
        os.close(descriptor)
        lease = try_lock(Path(name))
        assert lease is not None  # nobody else knows the name
        return lease

    def _opened(self, shard: str) -> _ShardFile | None:
        with self._guard:
            if shard not in self._open:
                path = self._path(shard)
                if not path.is_file():
                    return None
                try:
                    self._open[shard] = _ShardFile(path)
                except (OSError, ValueError, KeyError, TypeError, AttributeError):
                    _discard(path)
                    return None
            return self._open[shard]

    def _drop(self, shard: str) -> None:
        with self._guard:
            opened = self._open.pop(shard, None)
        if opened is not None:
            opened.close()
            _discard(opened.path)

    def _others(self) -> Iterator[Path]:
        for path in self.root.iterdir():
            if path.is_dir() and not path.is_symlink() and path != self.folder and _is_key(path):
                yield path

    def _path(self, shard: str) -> Path:
        return self.folder / f"{shard}.safetensors"


class _ShardFile:
    """One file, read by ordinary reads: a mapped file that gets shorter would end the process.

    Raises OSError, ValueError, KeyError or TypeError for a file that is not a whole shard.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._file: IO[bytes] = path.open("rb")
        try:
            length = int.from_bytes(self._file.read(8), "little")
            if length > path.stat().st_size:
                raise ValueError("the header is longer than the file")
            header = json.loads(self._file.read(length))
            self._sums: dict[str, int] = json.loads(header.pop("__metadata__")["crc32"])
            self._places, self._start = header, 8 + length
            if header.keys() != self._sums.keys():
                raise ValueError("tensors without a checksum")
        except BaseException:
            self._file.close()
            raise

    @property
    def names(self) -> list[str]:
        """The tensors in it."""
        return list(self._places)

    def read(self, name: str) -> Tensor | None:
        """One tensor, or None where its bytes are not those that were written."""
        try:
            place = self._places[name]
            begin, end = place["data_offsets"]
            with self._lock:
                self._file.seek(self._start + begin)
                data = bytearray(self._file.read(end - begin))
            if len(data) != end - begin or zlib.crc32(data) != self._sums[name]:
                return None
            dtype = _TYPES[place["dtype"]]
            tensor = torch.frombuffer(data, dtype=dtype) if data else torch.empty(0, dtype=dtype)
            return tensor.reshape(place["shape"])
        except (OSError, ValueError, KeyError, TypeError, RuntimeError):
            return None

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def checksum(tensor: Tensor) -> int:
    """CRC-32 of a contiguous CPU tensor's bytes."""
    return zlib.crc32(tensor.reshape(-1).view(torch.uint8).numpy().data) if tensor.numel() else 0


def _discard(path: Path) -> None:
    logger.warning("%s: the cached output of the frozen prefix is damaged; it will be computed again.", path)
    with suppress(OSError):
        path.unlink()


def _is_key(folder: Path) -> bool:
    """Whether this module made the folder."""
    former = _KEY.match(folder.name) is not None and (folder / _FORMER_LOCK).is_file()
    return former or read_mark(folder).get("command") == _KIND


def _age(folder: Path) -> float:
    try:
        return folder.stat().st_mtime
    except OSError:
        return 0.0


def _shards(folder: Path) -> Iterator[tuple[Path, int]]:
    """Shards with their sizes; what vanishes meanwhile is left out."""
    for path in folder.glob("*.safetensors"):
        with suppress(OSError):
            yield path, path.stat().st_size


def _size(folder: Path) -> int:
    return sum(size for _, size in _shards(folder))


def _remove_unused(folder: Path) -> bool:
    """Delete our files in ``folder`` unless a run holds it; the folder too, where nothing else is in it."""
    for path in folder.glob(f"*{_LEASE}"):
        lease = try_lock(path)
        if lease is None:
            return False
        give_back(lease)
    ours = [path for path, _ in _shards(folder)]
    ours += [path for path in folder.iterdir() if is_temporary(path.name)]
    for path in (*ours, folder / _FORMER_LOCK, folder / MARKER):
        with suppress(OSError):
            path.unlink()
    with suppress(OSError):
        folder.rmdir()
    return not any(_shards(folder))
