"""Named columns of foreign tables to row fields.

Knows the names corpora give to their columns, and the caller's own ``theirs=ours`` mapping. Does not know
how a table is read from a file.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from asr_adapt.errors import DataError
from asr_adapt.manifest.utterance import ROW_FIELDS, Place, Utterance, from_row

#: Column names met in the wild, best first, for each row field.
SYNONYMS: Mapping[str, tuple[str, ...]] = {
    "audio_filepath": (
        "audio_filepath", "audio_path", "audio_file", "wav_filename", "wav_path", "filepath", "file_path",
        "file_name", "filename", "path", "file", "wav", "audio",
    ),
    "text": ("text", "sentence", "transcript", "transcription", "utterance_text", "normalized_text", "label"),
    "id": ("id", "utt_id", "utterance_id", "segment_id", "uttid"),
    "duration": ("duration", "duration_seconds", "dur"),
    "offset": ("offset", "start", "start_time", "begin"),
    "speaker": ("speaker", "speaker_id", "client_id", "spk", "spk_id", "user_id"),
    "accent": ("accent", "accents"),
    "lang": ("lang", "language", "locale", "lang_id"),
    "gender": ("gender", "sex"),
    "age": ("age", "age_group"),
}  # fmt: skip
_NUMBERS = frozenset({"duration", "offset"})


def plan_columns(header: Sequence[str], wanted: Mapping[str, str], place: Place) -> dict[str, str]:
    """Which column becomes which field: the caller's mapping first, then known names, the rest kept as is.

    Raises DataError naming the columns there are when a mapped one is absent, when two columns claim one
    field, or when none holds the audio path.
    """
    taken: dict[str, str] = {}
    for theirs, ours in wanted.items():
        if theirs not in header:
            raise DataError(_unknown_column(theirs, header), path=place.source, line=1)
        if ours in taken.values():
            raise DataError(f"two columns are mapped to {ours!r}; map one.", path=place.source, line=1)
        taken[theirs] = ours
    lowered = {name.strip().lower(): name for name in reversed(header)}
    for ours, names in SYNONYMS.items():
        if ours in taken.values():
            continue
        found = next((lowered[n] for n in names if n in lowered and lowered[n] not in taken), None)
        if found is not None:
            taken[found] = ours
    if "audio_filepath" not in taken.values():
        raise DataError(
            f"no column names the audio (columns: {', '.join(header)}); use --column THEIRS=audio_filepath.",
            path=place.source,
            line=1,
        )
    return {name: taken.get(name) or _extra_name(name) for name in header}


def require_text(plan: Mapping[str, str], place: Place) -> None:
    """Raise DataError when no column was recognised as the transcript."""
    if "text" not in plan.values():
        raise DataError(
            f"no column holds the transcript (columns: {', '.join(plan)}); use --column THEIRS=text.",
            path=place.source,
            line=1,
        )


def row_from_columns(
    values: Iterable[tuple[str, Any]], plan: Mapping[str, str], place: Place, line: int | None
) -> Utterance:
    """One table row to an Utterance; empty cells are absent, ``duration`` and ``offset`` become numbers."""
    row: dict[str, Any] = {}
    for theirs, value in values:
        ours = plan.get(theirs)
        if ours is None or value is None or (value == "" and ours != "text"):
            continue
        row[ours] = _seconds(value, theirs, place, line) if ours in _NUMBERS else value
    return from_row(row, place, line)


def rename_keys(row: Mapping[str, Any], columns: Mapping[str, str]) -> dict[str, Any]:
    """A JSON row with the caller's ``theirs=ours`` applied; a mapped key replaces one of the same name."""
    if not columns:
        return dict(row)
    kept = {key: value for key, value in row.items() if key not in columns}
    return kept | {columns[key]: value for key, value in row.items() if key in columns}


def _seconds(value: Any, column: str, place: Place, line: int | None) -> float:
    try:
        seconds = float(value)
    except (TypeError, ValueError, OverflowError):
        seconds = math.nan
    if not math.isfinite(seconds):
        raise DataError(
            f"{str(value)[:40]!r} is not a number of seconds.", path=place.source, line=line, field=column
        )
    return seconds


def _extra_name(name: str) -> str:
    """An unclaimed column must not overwrite a row field of the same name."""
    return f"source_{name}" if name in ROW_FIELDS else name


def _unknown_column(name: str, header: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, header, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    return f"there is no column {name!r} among {', '.join(header)}{hint}"
