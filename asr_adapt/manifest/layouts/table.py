"""Plain tables: CSV, TSV or semicolon-separated, with a header line.

Knows delimiters, quoting and line numbers. Does not know what a column means; see ``columns``.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from asr_adapt.errors import DataError
from asr_adapt.manifest.layouts.columns import SYNONYMS, plan_columns, row_from_columns
from asr_adapt.manifest.layouts.contract import ImportOptions, first_line, place_of, read_text
from asr_adapt.manifest.utterance import Utterance

TABLE_SUFFIXES = (".csv", ".tsv", ".txt", ".tab", ".psv")


class TableLayout:
    """A table whose columns are recognised by name or mapped with ``--column``."""

    name = "table"
    description = "CSV or TSV with a header line"
    folders: tuple[str, ...] = ("", "clips", "wavs", "audio")

    def recognise(self, source: Path) -> str | None:
        """See :class:`~asr_adapt.manifest.layouts.contract.Layout`."""
        if not source.is_file() or source.suffix.lower() not in TABLE_SUFFIXES:
            return None
        header = split_header(first_line(source))
        names = {name.strip().lower() for name in header}
        if len(header) < 2 or not names & set(SYNONYMS["audio_filepath"]):
            return None
        return f"it is a table with the columns {', '.join(header[:6])}"

    def read(self, source: Path, options: ImportOptions) -> Iterator[Utterance]:
        """See :class:`~asr_adapt.manifest.layouts.contract.Layout`."""
        place = place_of(source)
        rows = read_table(source)
        header = next(rows)[1]
        plan = plan_columns(header, options.columns, place)
        for line, cells in rows:
            yield row_from_columns(zip(header, cells, strict=True), plan, place, line)


def read_table(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The header and then every row with its line number; raises DataError for ragged rows and no header."""
    text = read_text(path)
    delimiter = sniff_delimiter(text.split("\n", 1)[0])
    rows = _split_tabs(text) if delimiter == "\t" else _parse_csv(text, delimiter, path)
    width: int | None = None
    for line, cells in rows:
        if width is None:
            cells = [name.strip() for name in cells]
            _check_header(cells, path, line)
            width = len(cells)
        elif len(cells) != width:
            raise DataError(
                f"the row has {len(cells)} fields but the header has {width}; correct the row.",
                path=path,
                line=line,
            )
        yield line, cells
    if width is None:
        raise DataError("the table is empty; it needs a header line.", path=path)


def split_header(line: str) -> list[str]:
    """Column names of a header line."""
    delimiter = sniff_delimiter(line)
    return [name.strip().strip('"') for name in line.split(delimiter)]


def sniff_delimiter(header: str) -> str:
    """The separator that occurs most in the header; a comma when none does."""
    return max("\t,;|", key=lambda mark: (header.count(mark), mark == ","))


def _split_tabs(text: str) -> Iterator[tuple[int, list[str]]]:
    """Tab-separated lines. A quote is an ordinary character, as in Common Voice, unless it wraps a cell."""
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield number, [_unquote(cell) for cell in line.rstrip("\r").split("\t")]


def _unquote(cell: str) -> str:
    if len(cell) >= 2 and cell[0] == cell[-1] == '"' and '"' not in cell[1:-1].replace('""', ""):
        return cell[1:-1].replace('""', '"')
    return cell


def _parse_csv(text: str, delimiter: str, path: Path) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(text.splitlines(keepends=True), delimiter=delimiter)
    while True:
        begin = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise DataError(f"the line is not valid CSV ({error}).", path=path, line=begin) from error
        if cells:
            yield begin, cells


def _check_header(cells: list[str], path: Path, line: int) -> None:
    repeated = sorted({name for name in cells if cells.count(name) > 1})
    if repeated:
        raise DataError(f"the header names {repeated[0]!r} twice; rename one.", path=path, line=line)
