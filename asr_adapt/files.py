"""Writing files so that nothing is ever half-written, and the folders that belong to this program alone.

Knows the write-to-a-temporary-name-then-rename rule, and how what a killed process left is told from what a
living one needs (``leftovers``). Does not know what the files mean, nor what may be written where
(``destinations``).
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from asr_adapt.leftovers import in_process, side_name, sweep

_NO_ROOM = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}
#: What torch and safetensors say instead of these numbers.
_NO_ROOM_SIGNS = (
    "inline_container.cc",
    "PytorchStreamWriter failed writing",
    "os error 28",
    "os error 27",
    "os error 122",
    "No space left",
    "File too large",
)


@contextmanager
def atomic_write(path: str | Path, mode: str = "w") -> Iterator[IO[Any]]:
    """Open a temporary neighbour of ``path`` for writing; rename it into place when the block succeeds.

    ``mode`` is ``"w"`` (UTF-8, newline ``\\n``) or ``"wb"``. On any exception the target is untouched
    and the temporary file is removed. A symbolic link stays one: the file that it names is written. What is
    no regular file (``/dev/null``, a pipe) is written as it is. An existing file keeps its permissions.
    """
    text = {} if "b" in mode else {"encoding": "utf-8", "newline": "\n"}
    if is_device(Path(path)):
        with Path(path).open(mode, **text) as handle:  # type: ignore[call-overload]
            yield handle
        return
    target = _through_links(Path(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    sweep(target.parent)
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=side_name(target.name), suffix=".tmp")
    try:
        with os.fdopen(descriptor, mode, **text) as handle:  # type: ignore[call-overload]
            yield handle
            handle.flush()
            os.fsync(handle.fileno())
        Path(name).chmod(_permissions(target))
        Path(name).replace(target)
    except BaseException as error:
        Path(name).unlink(missing_ok=True)
        _name_full_disk(error, target)
        raise


@contextmanager
def atomic_directory(path: str | Path, *, replace: bool = False) -> Iterator[Path]:
    """Yield a temporary neighbour folder; put it in place of ``path`` when the block succeeds.

    A folder that is there and not empty is only replaced with ``replace``; else :class:`FileExistsError`.
    """
    target = _through_links(Path(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    sweep(target.parent)
    work = Path(tempfile.mkdtemp(dir=target.parent, prefix=side_name(target.name), suffix=".tmp"))
    try:
        yield work
        work.chmod(0o777 & ~_umask())
        _sync(work)
        _put_in_place(work, target, replace)
    except BaseException as error:
        shutil.rmtree(work, ignore_errors=True)
        _name_full_disk(error, target)
        raise


def _put_in_place(work: Path, target: Path, replace: bool) -> None:
    if not target.exists():
        work.replace(target)
        return
    if not replace and any(target.iterdir()):
        raise FileExistsError(17, "is not empty", str(target))
    old = Path(tempfile.mkdtemp(dir=target.parent, prefix=side_name(target.name), suffix=".old"))
    target.replace(old / target.name)  # under its own name, so that it is put back after a kill here
    work.replace(target)
    shutil.rmtree(old, ignore_errors=True)


@contextmanager
def temporary_folder(name: str = "asr-adapt") -> Iterator[Path]:
    """A folder of this process in the system's temporary folder, removed at the end of the block.

    Its name begins with ``name``. What killed processes of this program left there is removed first.
    """
    sweep(Path(tempfile.gettempdir()))
    with tempfile.TemporaryDirectory(prefix=f"{name}.{in_process()}", suffix=".tmp") as folder:
        yield Path(folder)


def write_json(path: str | Path, value: Any) -> None:
    """Write ``value`` as indented UTF-8 JSON, atomically; NaN and infinity are refused."""
    with atomic_write(path) as handle:
        json.dump(value, handle, ensure_ascii=False, indent=2, allow_nan=False)
        handle.write("\n")


def user_path(name: str | os.PathLike[str]) -> Path:
    """The path that a user typed, ``~`` and ``~name`` expanded; of an unknown user it stays as it is."""
    return Path(os.path.expanduser(name))  # noqa: PTH111 - pathlib's raises for an unknown user


def cache_folder() -> Path:
    """``$XDG_CACHE_HOME/asr-adapt``; what lies there may be deleted at any time."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "asr-adapt"


def _sync(folder: Path) -> None:
    """Have the files of a folder on the disk before it gets its name, in case the power goes."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as handle, suppress(OSError):  # Windows syncs only what is open for writing
                os.fsync(handle.fileno())


def _name_full_disk(error: BaseException, target: Path) -> None:
    """Raise OSError naming ``target`` where ``error`` means that it found no room; libraries say it badly."""
    number = error.errno if isinstance(error, OSError) else None
    text = str(error)
    if number not in _NO_ROOM and not any(sign in text for sign in _NO_ROOM_SIGNS):
        return
    known = number if number is not None and number in _NO_ROOM else errno.ENOSPC
    reason = os.strerror(known)
    raise OSError(
        number or errno.ENOSPC, f"cannot be written completely ({reason}): free some space", str(target)
    ) from error


def is_device(path: Path) -> bool:
    """Whether ``path`` is there and neither a regular file nor a folder, or one of the system's streams."""
    if str(path).startswith(("/dev/", "/proc/")):
        return True
    try:
        kind = path.stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(kind) or stat.S_ISDIR(kind))


def _through_links(path: Path) -> Path:
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def _permissions(target: Path) -> int:
    try:
        return stat.S_IMODE(target.stat().st_mode)
    except OSError:
        return 0o666 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
