"""One manifest row: who said what, where.

Knows the field names (NeMo's), their types and units, and how a JSON object becomes a typed row and back.
Does not know files of rows, foreign layouts, or how audio is decoded.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from asr_adapt.errors import DataError

#: Optional fields that describe the speaker or the recording; all strings.
LABEL_FIELDS = ("speaker", "accent", "lang", "gender", "age")
#: Every field with a meaning of its own, in the order rows are written.
ROW_FIELDS = ("audio_filepath", "id", "duration", "text", "offset", *LABEL_FIELDS)
_ROW_FIELDS = frozenset(ROW_FIELDS)


@dataclass(frozen=True, slots=True)
class Utterance:
    """One row. ``duration`` and ``offset`` are seconds; ``extra`` keeps unknown fields untouched.

    ``audio_filepath`` stays as written; relative paths start at ``root``. ``line`` (1-based) and ``source``
    (the manifest's path) say where the row came from, for messages.
    """

    audio_filepath: str
    id: str = ""
    duration: float | None = None
    text: str | None = None
    offset: float = 0.0
    speaker: str | None = None
    accent: str | None = None
    lang: str | None = None
    gender: str | None = None
    age: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    root: Path = Path()
    line: int | None = None
    source: str | None = None

    def __post_init__(self) -> None:
        if not self.id:
            object.__setattr__(self, "id", self._default_id())

    def _default_id(self) -> str:
        channel = self.extra.get("channel")
        return default_id(self.audio_filepath, self.offset, channel if isinstance(channel, int) else None)

    @property
    def audio_path(self) -> Path:
        """Where the audio is, seen from the working directory."""
        if "://" in self.audio_filepath:
            return Path(self.audio_filepath)
        return self.root / self.audio_filepath

    @property
    def channel(self) -> int | None:
        """The channel that the transcript is of, from 0; None: all of them, mixed.

        Raises :class:`~asr_adapt.errors.DataError` when the field ``channel`` is neither a number nor a list.
        """
        value = self.extra.get("channel")
        if isinstance(value, list):
            value = value[0] if len(value) == 1 else None
        if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
            return value
        raise self.error(f"{value!r} is not a channel: write its number, counted from 0.", "channel")

    def get(self, name: str) -> Any:
        """The value of any field, known or extra; None when absent."""
        return getattr(self, name) if name in _ROW_FIELDS else self.extra.get(name)

    def replace(self, **changes: Any) -> Utterance:
        """A copy with some fields changed."""
        return dataclasses.replace(self, **changes)

    def to_row(self) -> dict[str, Any]:
        """The JSON object of the row: absent fields and a zero offset left out, extra fields last."""
        row: dict[str, Any] = {"audio_filepath": self.audio_filepath, "id": self.id}
        for name in ("duration", "text"):
            if (value := getattr(self, name)) is not None:
                row[name] = value
        if self.offset:
            row["offset"] = self.offset
        for name in LABEL_FIELDS:
            if (value := getattr(self, name)) is not None:
                row[name] = value
        row.update(self.extra)
        return row

    def error(self, message: str, field: str | None = None) -> DataError:
        """A DataError that names this row's manifest and line."""
        if self.source is None:
            message = f"row {self.id!r}: {message}"
        return DataError(message, path=self.source, line=self.line, field=field)


def default_id(audio_filepath: str, offset: float, channel: int | None = None) -> str:
    """A stable id: the path without its suffix, the channel where one is named, a segment's start in ms."""
    head, dot, suffix = audio_filepath.rpartition(".")
    stem = head if dot and head and "/" not in suffix else audio_filepath
    stem = stem if channel is None else f"{stem}.channel{channel}"
    return f"{stem}@{round(offset * 1000)}" if offset else stem


@dataclass(frozen=True, slots=True)
class Place:
    """Where rows of one file come from: the folder relative paths start at, and the file's name."""

    root: Path
    source: str | None


def parse_line(raw: bytes, place: Place, line: int) -> Utterance:
    """One JSONL line to a row. Raises DataError naming file, line and field."""
    try:
        row = json.loads(raw.decode("utf-8"), parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise DataError(
            f"byte {error.start + 1} of the line is not UTF-8; save the manifest as UTF-8.",
            path=place.source,
            line=line,
        ) from error
    except (ValueError, RecursionError) as error:
        reason = str(error).split(": line 1")[0] or type(error).__name__
        column = getattr(error, "colno", None)
        where = f" at column {column}" if column else ""
        raise DataError(
            f"the line is not valid JSON{where} ({reason}); each line must be one JSON object.",
            path=place.source,
            line=line,
        ) from error
    return from_row(row, place, line)


def from_row(row: Any, place: Place, line: int | None = None) -> Utterance:
    """A decoded JSON object to a row. Raises DataError naming file, line and field."""
    if not isinstance(row, dict):
        raise DataError(
            f"the line holds {_kind(row)}, not an object with 'audio_filepath'.", path=place.source, line=line
        )
    reader = _FieldReader(row, place, line)
    label = reader.label
    return Utterance(
        audio_filepath=reader.audio_filepath(),
        id=label("id") or "",
        duration=reader.seconds("duration"),
        text=reader.text(),
        offset=reader.seconds("offset") or 0.0,
        speaker=label("speaker"),
        accent=label("accent"),
        lang=label("lang"),
        gender=label("gender"),
        age=label("age"),
        extra={name: value for name, value in row.items() if name not in _ROW_FIELDS},
        root=place.root,
        line=line,
        source=place.source,
    )


class _FieldReader:
    """Typed access to one JSON object; every failure names file, line and field."""

    __slots__ = ("line", "place", "row")

    def __init__(self, row: dict[str, Any], place: Place, line: int | None) -> None:
        self.row, self.place, self.line = row, place, line

    def audio_filepath(self) -> str:
        value = self.row.get("audio_filepath")
        if value is None:
            self.fail("audio_filepath", "the field is missing; every row names its audio file.")
        if not isinstance(value, str) or not value.strip():
            self.fail("audio_filepath", f"must be a path, not {_kind(value)}.")
        if "\0" in value:
            self.fail("audio_filepath", "holds a NUL character; correct the path.")
        return self._encodable("audio_filepath", value)

    def text(self) -> str | None:
        value = self.row.get("text")
        if value is None:
            return None
        if not isinstance(value, str):
            self.fail("text", f"must be a string, not {_kind(value)}; put the transcript in quotes.")
        return self._encodable("text", value)

    def label(self, name: str) -> str | None:
        value = self.row.get(name)
        if value is None or value == "":
            return None
        if isinstance(value, str):
            return self._encodable(name, value)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return str(value)
        self.fail(name, f"must be a string, not {_kind(value)}.")

    def seconds(self, name: str) -> float | None:
        value = self.row.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            self.fail(name, f"must be a number of seconds, not {_kind(value)}.")
        if not 0 <= value < math.inf or value > 1e9:
            self.fail(name, f"{value} is not a number of seconds; it must be 0 or more and finite.")
        return float(value)

    def _encodable(self, name: str, value: str) -> str:
        if not value.isascii():
            try:
                value.encode("utf-8")
            except UnicodeEncodeError:
                self.fail(name, "holds half of a surrogate pair; write the character itself.")
        return value

    def fail(self, name: str, message: str) -> NoReturn:
        raise DataError(message, path=self.place.source, line=self.line, field=name)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", bool: "true or false", int: "a number", float: "a number"}
    if value is None:
        return "null"
    if isinstance(value, str):
        return "a string" if value.strip() else "an empty string"
    return names[type(value)]
