"""NeMo JSONL manifests, plain and tarred.

Knows NeMo's keys, ``shard_id`` and ``audio_N.tar`` shards; a tar member becomes the path
``audio_0.tar/clip.wav``, which the audio room reads. Does not know other JSON layouts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from asr_adapt.errors import DataError
from asr_adapt.manifest.layouts.columns import SYNONYMS, rename_keys
from asr_adapt.manifest.layouts.contract import ImportOptions, first_line, place_of, read_lines
from asr_adapt.manifest.utterance import Place, Utterance, from_row


class NemoLayout:
    """A NeMo manifest; ``--column`` renames keys."""

    name = "nemo"
    description = "NeMo JSONL (audio_filepath, duration, text), plain or tarred"
    folders: tuple[str, ...] = ("",)

    def recognise(self, source: Path) -> str | None:
        """See :class:`~asr_adapt.manifest.layouts.contract.Layout`."""
        if not source.is_file():
            return None
        row = json_object(first_line(source))
        if "audio_filepath" in row:
            tarred = " and shard_id, the key of tarred shards" if "shard_id" in row else ""
            return f"its first line is a JSON object with audio_filepath{tarred}"
        if source.suffix == ".jsonl" and row.keys() & set(SYNONYMS["audio_filepath"]):
            return "its first line is a JSON object that names an audio file"
        return None

    def read(self, source: Path, options: ImportOptions) -> Iterator[Utterance]:
        """See :class:`~asr_adapt.manifest.layouts.contract.Layout`."""
        place = place_of(source)
        for number, row in read_objects(source):
            row = rename_keys(row, options.columns)
            if "audio_filepath" not in row:
                found = next((n for n in SYNONYMS["audio_filepath"] if isinstance(row.get(n), str)), None)
                if found is not None:
                    row["audio_filepath"] = row.pop(found)
            if "shard_id" in row:
                row = _in_shard(row, place, number)
            yield from_row(row, place, number)


def read_objects(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """JSON objects of a JSONL file with their line numbers, gzip or not. Raises DataError."""
    for number, line in read_lines(path):
        try:
            row = json.loads(line, parse_constant=_refuse)
        except (ValueError, RecursionError) as error:
            raise DataError(
                f"the line is not valid JSON ({str(error)[:80]}); each line must be one JSON object.",
                path=path,
                line=number,
            ) from error
        if not isinstance(row, dict):
            raise DataError("the line is not a JSON object.", path=path, line=number)
        yield number, row


def json_object(line: str) -> dict[str, Any]:
    """A line as a JSON object, or an empty one when it is not; for recognition."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return row if isinstance(row, dict) else {}


def _in_shard(row: dict[str, Any], place: Place, line: int) -> dict[str, Any]:
    """The row with its audio path inside the tar shard that ``shard_id`` names."""
    shard, name = row["shard_id"], row.get("audio_filepath")
    if not isinstance(shard, (int, str)) or isinstance(shard, bool) or not isinstance(name, str):
        raise DataError(
            "must be a number beside a string audio_filepath.", path=place.source, line=line, field="shard_id"
        )
    candidates = [f"audio_{shard}.tar", f"audio__{shard}.tar", f"shard_{shard}.tar", f"{shard}.tar"]
    for candidate in candidates:
        if "\0" not in candidate and (place.root / candidate).is_file():
            kept = {key: value for key, value in row.items() if key != "shard_id"}
            return kept | {"audio_filepath": f"{candidate}/{name}"}
    raise DataError(
        f"shard {shard} is not beside the manifest; put {candidates[0]} there.",
        path=place.source,
        line=line,
        field="shard_id",
    )


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not a JSON value")
