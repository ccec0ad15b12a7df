"""Parquet shards with embedded audio bytes, as the Hugging Face hub stores data sets.

Knows the ``audio`` struct (``bytes``, ``path``) and that row ``n`` of a shard becomes the audio path
``shard.parquet/n``, which the audio room reads. Does not decode audio.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asr_adapt.audio.containers import one_line
from asr_adapt.audio.media import files_below
from asr_adapt.errors import DataError, MissingExtraError
from asr_adapt.manifest.layouts.columns import SYNONYMS, plan_columns, row_from_columns
from asr_adapt.manifest.layouts.contract import ImportOptions, first_file
from asr_adapt.manifest.utterance import Place, Utterance

if TYPE_CHECKING:
    import pyarrow.parquet

_ROWS_AT_ONCE = 1024


class ParquetLayout:
    """A parquet file, or a folder of shards."""

    name = "parquet"
    description = "parquet shards with embedded audio bytes, or with audio paths"
    folders: tuple[str, ...] = ("",)

    def recognise(self, source: Path) -> str | None:
        """See :class:`~asr_adapt.manifest.layouts.contract.Layout`."""
        if source.is_dir():
            found = first_file(source, {".parquet"})
            return None if found is None else f"it holds {found.relative_to(source)}"
        return "it is a parquet file" if source.suffix == ".parquet" else None

    def read(self, source: Path, options: ImportOptions) -> Iterator[Utterance]:
        """See :class:`~asr_adapt.manifest.layouts.contract.Layout`."""
        folder = source if source.is_dir() else source.parent
        for path in files_below(source, {".parquet"}) if source.is_dir() else [source]:
            yield from _read_shard(path, folder, options)


def read_parquet_rows(path: Path, skip: str | None = None) -> Iterator[tuple[int, dict[str, Any]]]:
    """Rows as dicts with their number from 1, without the column ``skip``. Raises DataError."""
    with open_parquet(path) as table:
        names = [name for name in table.schema_arrow.names if name != skip]
        number = 0
        try:
            for batch in table.iter_batches(batch_size=_ROWS_AT_ONCE, columns=names):
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
        except (OSError, ValueError, RuntimeError, OverflowError) as error:
            raise DataError(f"is damaged after row {number} ({one_line(error)}).", path=path) from error


def open_parquet(path: Path) -> pyarrow.parquet.ParquetFile:
    """Open a parquet file. Raises DataError, or MissingExtraError without pyarrow."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError("reading parquet", "parquet") from error
    try:
        return pyarrow.parquet.ParquetFile(path)
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        raise DataError(f"is not a readable parquet file ({one_line(error)}).", path=path) from error


def _read_shard(path: Path, folder: Path, options: ImportOptions) -> Iterator[Utterance]:
    place = Place(folder, str(path))
    embedded = _embedded_column(path)
    relative = path.relative_to(folder).as_posix()
    plan: dict[str, str] | None = None
    for number, row in read_parquet_rows(path, skip=embedded):
        if embedded is not None:
            row = {
                "audio_filepath": f"{relative}/{number - 1}",
                **{k: v for k, v in row.items() if k not in _PATHS},
            }
        if plan is None:
            plan = plan_columns(list(row), options.columns, place)
        yield row_from_columns(row.items(), plan, place, number)


#: Columns that also name the audio; the embedded bytes win over them.
_PATHS = frozenset(SYNONYMS["audio_filepath"])


def _embedded_column(path: Path) -> str | None:
    """The column that holds audio bytes: a struct with a ``bytes`` field, or binary named like audio."""
    with open_parquet(path) as table:
        for field in table.schema_arrow:
            kind = str(field.type)
            if kind.startswith("struct<") and "bytes: binary" in kind.replace("large_", ""):
                return str(field.name)
            if kind in ("binary", "large_binary") and field.name in _PATHS:
                return str(field.name)
    return None
