"""How a baseline is written: a row of the test set a line, so that a diff of two versions can be reviewed.

Knows both formats of the file and what its fields must hold. Does not know what makes two runs comparable.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from asr_adapt.errors import DataError, UsageError

#: 1 held columns; 2 holds a row a line.
FORMAT = 2
FIX = "write one with `asr-adapt gate PREDICTIONS --baseline FILE --update`."
#: Columns of a baseline and what a row calls them.
COLUMNS = {
    "ids": "id",
    "references": "reference",
    "errors": "errors",
    "words": "words",
    "characters": "characters",
    "character_errors": "character_errors",
}
#: What a baseline of before may lack.
LATER = ("characters", "character_errors")
_ABOUT = ("normaliser", "settings", "software")


def written(values: Mapping[str, Any], wer: float) -> str:
    """The file's text: what it was made with, then the rows."""
    head = {"wer": wer, "format": FORMAT} | {name: values[name] for name in _ABOUT}
    text = json.dumps(head, ensure_ascii=False, indent=2, allow_nan=False).removesuffix("\n}")
    names = [name for name in COLUMNS if values[name] or name not in LATER]
    rows = zip(*(values[name] for name in names), strict=True)
    lines = (
        json.dumps(dict(zip((COLUMNS[name] for name in names), row, strict=True)), ensure_ascii=False)
        for row in rows
    )
    listed = ",\n".join(f"    {line}" for line in lines)
    return f'{text},\n  "rows": [\n{listed}\n  ]\n}}\n' if listed else f'{text},\n  "rows": []\n}}\n'


def read(text: str, path: str | Path) -> dict[str, Any]:
    """The columns and what they were made with, of either format; :class:`DataError` says what is wrong."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"is not JSON ({error}); {FIX}", path=path) from None
    if not isinstance(value, dict) or not {"format", *_ABOUT} <= value.keys():
        raise DataError(f"is not a baseline; {FIX}", path=path)
    if value["format"] not in (1, FORMAT):
        raise DataError(f"has format {value['format']}, this version reads {FORMAT}; {FIX}", path=path)
    if value["format"] == FORMAT:
        value |= _columns(value.get("rows"), path)
    if not COLUMNS.keys() - set(LATER) <= value.keys():
        raise DataError(f"is not a baseline; {FIX}", path=path)
    if (field := _unfit_field(value)) is not None:
        raise DataError(f"is damaged or edited by hand; {FIX}", path=path, field=field)
    found = {name: value.get(name) or [] for name in COLUMNS}
    if len({len(column) for name, column in found.items() if column or name not in LATER}) != 1:
        raise DataError(f"has columns of unequal length; {FIX}", path=path)
    return found | {name: value[name] for name in _ABOUT}


def _columns(rows: Any, path: str | Path) -> dict[str, list[Any]]:
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise DataError(f"is damaged or edited by hand; {FIX}", path=path, field="rows")
    names = [name for name in COLUMNS if name not in LATER or any(COLUMNS[name] in row for row in rows)]
    for number, row in enumerate(rows):
        if lacking := [COLUMNS[name] for name in names if COLUMNS[name] not in row]:
            place = f"rows[{number}].{lacking[0]}"
            raise DataError(f"is damaged or edited by hand; {FIX}", path=path, field=place)
    return {name: [row[COLUMNS[name]] for row in rows] for name in names}


def _unfit_field(value: Mapping[str, Any]) -> str | None:
    """The first field of a stored baseline that holds something else than it should."""
    for name in ("ids", "references"):
        if not isinstance(value[name], list) or not all(isinstance(item, str) for item in value[name]):
            return name
    for name in ("errors", "words", *LATER):
        numbers = value.get(name) or []
        if not isinstance(numbers, list) or not all(type(n) is int and 0 <= n < 2**31 for n in numbers):
            return name
    for name in _ABOUT:
        if not isinstance(value[name], dict):
            return name
    if not all(isinstance(value["normaliser"].get(part), str) for part in ("name", "version")):
        return "normaliser"
    noise = value["settings"].get("noise_floor")
    if noise is not None and not (type(noise) in (int, float) and 0 <= noise <= 1):
        return "settings.noise_floor"
    return None


def require_replaceable(path: Path) -> None:
    """Raise UsageError where a file is at ``path`` that holds something else than a baseline."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return
    except UnicodeDecodeError:
        text = "not JSON"
    try:
        value = json.loads(text) if text.strip() else {"rows": [], "normaliser": {}}
    except ValueError:
        value = None
    kinds = ({"errors", "words"}, {"rows", "normaliser"})
    if not isinstance(value, dict) or not any(kind <= value.keys() for kind in kinds):
        raise UsageError(f"{path} holds no baseline, so it is not replaced: name another file.")
