"""Hugging Face audiofolder: clips beside ``metadata.csv``, ``metadata.jsonl`` or ``metadata.parquet``.

Knows where metadata lies and that its paths start at its own folder. Does not know how tables or parquet
are read; see ``table`` and ``parquet``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from asr_adapt.manifest.layouts.columns import plan_columns, row_from_columns
from asr_adapt.manifest.layouts.contract import ImportOptions
from asr_adapt.manifest.layouts.nemo import read_objects
from asr_adapt.manifest.layouts.parquet import read_parquet_rows
from asr_adapt.manifest.layouts.table import read_table
from asr_adapt.manifest.utterance import Place, Utterance

_NAMES = ("metadata.csv", "metadata.jsonl", "metadata.parquet")


class AudioFolderLayout:
    """A folder with metadata files, in it or in its subfolders (``train/``, ``test/``)."""

    name = "audiofolder"
    description = "Hugging Face audiofolder (metadata.csv, .jsonl or .parquet beside the clips)"
    folders: tuple[str, ...] = ("",)

    def recognise(self, source: Path) -> str | None:
        """See :class:`~asr_adapt.manifest.layouts.contract.Layout`."""
        found = _metadata_files(source)
        return f"it holds {found[0].relative_to(source)}" if source.is_dir() and found else None

    def read(self, source: Path, options: ImportOptions) -> Iterator[Utterance]:
        """See :class:`~asr_adapt.manifest.layouts.contract.Layout`; a subfolder is kept as ``split``."""
        folder = source if source.is_dir() else source.parent
        for path in _metadata_files(source):
            below = path.parent.relative_to(folder).as_posix()
            for row in _read_metadata(path, options):
                if below != ".":
                    extra = {"split": below, **row.extra}
                    row = row.replace(
                        audio_filepath=f"{below}/{row.audio_filepath}", id=f"{below}/{row.id}", extra=extra
                    )
                yield row.replace(root=folder)


def _metadata_files(source: Path) -> list[Path]:
    if not source.is_dir():
        return [source]
    places = [source, *sorted(p for p in source.glob("*") if p.is_dir()), *sorted(source.glob("*/*/"))]
    return [place / name for place in places for name in _NAMES if (place / name).is_file()]


def _read_metadata(path: Path, options: ImportOptions) -> Iterator[Utterance]:
    place = Place(path.parent, str(path))
    plan: dict[str, str] | None = None
    for line, row in _metadata_rows(path):
        if plan is None or not row.keys() <= plan.keys():
            plan = plan_columns(list(row), options.columns, place)
        yield row_from_columns(row.items(), plan, place, line)


def _metadata_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    if path.suffix == ".jsonl":
        yield from read_objects(path)
    elif path.suffix == ".parquet":
        yield from read_parquet_rows(path)
    else:
        rows = read_table(path)
        header = next(rows)[1]
        for line, cells in rows:
            yield line, dict(zip(header, cells, strict=True))
