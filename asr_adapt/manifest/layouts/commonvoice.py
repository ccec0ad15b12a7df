"""Common Voice tables: ``path`` and ``sentence``, clips in ``clips/``.

Knows the columns of Common Voice releases and of tables shaped like them. Does not know the archive's
other tables (validated hours, reported sentences).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from asr_adapt.errors import DataError
from asr_adapt.manifest.layouts.columns import plan_columns, require_text, row_from_columns
from asr_adapt.manifest.layouts.contract import ImportOptions, first_line, place_of
from asr_adapt.manifest.layouts.table import read_table, split_header
from asr_adapt.manifest.utterance import Utterance

_TABLES = ("validated.tsv", "train.tsv", "dev.tsv", "test.tsv", "other.tsv")


class CommonVoiceLayout:
    """One table of a Common Voice release."""

    name = "commonvoice"
    description = "Common Voice table (path, sentence) with clips/"
    folders: tuple[str, ...] = ("clips", "")

    def recognise(self, source: Path) -> str | None:
        """See :class:`~asr_adapt.manifest.layouts.contract.Layout`."""
        if source.is_dir():
            tables = [name for name in _TABLES if (source / name).is_file()]
            if (source / "clips").is_dir() and tables:
                return f"it has clips/ and {', '.join(tables)}"
            return None
        line = first_line(source)
        names = set(split_header(line)) if "\t" in line else set()
        if "path" in names and names & {"sentence", "client_id"}:
            return "its header has the Common Voice columns path and " + (
                "sentence" if "sentence" in names else "client_id"
            )
        if "path" in names and (source.parent / "clips").is_dir():
            return "its header has the column path and clips/ lies beside it"
        return None

    def read(self, source: Path, options: ImportOptions) -> Iterator[Utterance]:
        """See :class:`~asr_adapt.manifest.layouts.contract.Layout`."""
        if source.is_dir():
            tables = [name for name in _TABLES if (source / name).is_file()]
            raise DataError(
                f"holds several tables; name one, such as {source / (tables or _TABLES)[0]}.", path=source
            )
        place = place_of(source)
        rows = read_table(source)
        header = next(rows)[1]
        plan = plan_columns(header, options.columns, place)
        require_text(plan, place)
        for line, cells in rows:
            row = row_from_columns(zip(header, cells, strict=True), plan, place, line)
            yield row if "id" in plan.values() else row.replace(id=Path(row.audio_filepath).stem)
