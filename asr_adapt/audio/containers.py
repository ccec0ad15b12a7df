"""Audio inside other files and on object stores: ``shard.tar/clip.wav``, ``shard.parquet/17``, ``s3://…``.

Knows tar, parquet and fsspec addresses, and keeps the index of the last shards so that reading rows in order
reads a shard once from front to back. Does not decode audio.
"""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

from asr_adapt.audio.types import AudioError
from asr_adapt.errors import MissingExtraError

#: ``scheme:/``: a URL, or one whose double slash ``pathlib`` has folded. Two letters or more, so no drive.
_URL = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]+):/{1,2}(?=[^/])")
_MEMBER = re.compile(r"^(?P<shard>.+?\.(?:tar|parquet))/(?P<member>.+)$")


def audio_exists(path: Path) -> bool:
    """Whether a local file, or the shard that should hold it, is there; URLs are taken on trust."""
    text = path.as_posix()
    if is_url(text):
        return True
    try:
        if path.is_file():
            return True
    except (OSError, ValueError):
        return False
    parts = split_member(text)
    return parts is not None and Path(parts[0]).is_file()


def is_url(text: str) -> bool:
    """Whether the path is an address that fsspec opens."""
    return bool(_URL.match(text))


def split_member(text: str) -> tuple[str, str] | None:
    """``("a/shard.tar", "clip.wav")`` for a path into a shard; None for any other."""
    match = _MEMBER.match(text)
    return None if match is None else (match["shard"], match["member"])


def open_inside(path: str | Path) -> BinaryIO | None:
    """Open audio that is not a plain local file; None when ``path`` is one (or does not exist).

    Raises AudioError when the shard or member cannot be read, MissingExtraError without pyarrow.
    """
    text = Path(path).as_posix() if isinstance(path, Path) else path
    url = _URL.match(text)
    parts = split_member(text)
    if url is None and (parts is None or Path(text).exists() or not Path(parts[0]).is_file()):
        return None
    if url is not None:
        text = f"{url[1]}://{text[url.end() :]}"
        parts = split_member(text)
    if parts is None:
        return _open_url(text)
    shard, member = parts
    content = _tar_member(shard, member) if shard.endswith(".tar") else _parquet_row(shard, member)
    stream = io.BytesIO(content)
    stream.name = text
    return stream


def one_line(error: Exception) -> str:
    """A library's message without line breaks, at most 120 characters."""
    return " ".join(str(error).split())[:120] or type(error).__name__


def _tar_member(shard: str, member: str) -> bytes:
    index = _tar_index(shard, _stamp(shard))
    if member not in index:
        raise AudioError(f"the shard has no member {member!r}; correct the row.", path=shard)
    offset, size = index[member]
    content = _read_range(shard, offset, size)
    if len(content) != size:
        raise AudioError(f"member {member!r} is cut off; replace the shard.", path=shard)
    return content


@lru_cache(maxsize=64)
def _tar_index(shard: str, stamp: tuple[int, int]) -> dict[str, tuple[int, int]]:
    """Byte ranges of a tar's files. ``stamp`` makes a changed shard a different one."""
    try:
        with _open_bytes(shard) as handle, tarfile.open(fileobj=handle, mode="r:") as archive:
            return {info.name: (info.offset_data, info.size) for info in archive if info.isfile()}
    except (tarfile.TarError, OSError, EOFError, ValueError, UnicodeError) as error:
        raise AudioError(f"is not a readable tar file ({error}).", path=shard) from error


def _parquet_row(shard: str, member: str) -> bytes:
    if not member.isdecimal() or len(member) > 12:
        raise AudioError(f"{member!r} is not a row number of a parquet shard.", path=shard)
    try:
        bounds = _parquet_bounds(shard, _stamp(shard))
        row = int(member)
        group = next((g for g, (first, end) in enumerate(bounds) if first <= row < end), None)
        if group is None:
            raise AudioError(
                f"the shard has no row {row}; it has {bounds[-1][1] if bounds else 0}.", path=shard
            )
        value = _parquet_group(shard, group, _stamp(shard))[row - bounds[group][0]].as_py()
    except ImportError as error:
        raise MissingExtraError("reading parquet", "parquet") from error
    except (OSError, ValueError, RuntimeError) as error:
        raise AudioError(f"row {member} cannot be read ({one_line(error)}).", path=shard) from error
    content = value.get("bytes") if isinstance(value, dict) else value
    if not isinstance(content, bytes) or not content:
        raise AudioError(f"row {member} holds no audio bytes.", path=shard)
    return content


@lru_cache(maxsize=64)
def _parquet_bounds(shard: str, stamp: tuple[int, int]) -> list[tuple[int, int]]:
    """First row and end of every row group."""
    with _open_bytes(shard) as handle:
        metadata = _parquet_file(handle).metadata
        sizes = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
    return [(sum(sizes[:group]), sum(sizes[: group + 1])) for group in range(len(sizes))]


@lru_cache(maxsize=2)
def _parquet_group(shard: str, group: int, stamp: tuple[int, int]) -> Any:
    """The audio column of one row group; two are kept, so that rows in order read each group once."""
    with _open_bytes(shard) as handle:
        table = _parquet_file(handle)
        names = [
            field.name for field in table.schema_arrow if "binary" in str(field.type).replace("large_", "")
        ]
        if not names:
            raise AudioError("has no column with audio bytes.", path=shard)
        column = next((name for name in names if name == "audio"), names[0])
        return table.read_row_group(group, columns=[column]).column(0)


def _parquet_file(handle: BinaryIO) -> Any:
    import pyarrow.parquet  # optional and heavy; only corpora in parquet need it

    return pyarrow.parquet.ParquetFile(handle)


def _stamp(shard: str) -> tuple[int, int]:
    if is_url(shard):
        return (0, 0)
    status = Path(shard).stat()
    return (status.st_size, status.st_mtime_ns)


def _open_bytes(address: str) -> BinaryIO:
    return _open_url(address) if is_url(address) else Path(address).open("rb")


def _read_range(address: str, offset: int, size: int) -> bytes:
    """One range request on an object store, so that rows in order fetch a shard once from front to back."""
    if not is_url(address):
        with Path(address).open("rb") as handle:
            handle.seek(offset)
            return handle.read(size)
    import fsspec

    try:
        store, path = fsspec.core.url_to_fs(address)
        content: bytes = store.cat_file(path, start=offset, end=offset + size)
        return content
    except (OSError, ValueError, ImportError, RuntimeError) as error:
        raise AudioError(f"cannot be read ({one_line(error)}).", path=address) from error


def _open_url(address: str) -> BinaryIO:
    import fsspec  # comes with torch; imported here because local corpora never need it

    opened: Callable[..., Any] = fsspec.open
    try:
        handle: BinaryIO = opened(address, "rb").open()
        return handle
    except (OSError, ValueError, ImportError, RuntimeError) as error:
        raise AudioError(f"cannot be opened ({one_line(error)}).", path=address) from error
