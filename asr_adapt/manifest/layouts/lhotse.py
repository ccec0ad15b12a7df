"""Lhotse manifests: cuts, or recordings and supervisions, as JSONL, gzip or not.

Knows lhotse's keys and one row per supervision. Does not know features, mixed cuts or recordings made by a
command; those are refused by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from asr_adapt.errors import DataError
from asr_adapt.manifest.layouts.contract import ImportOptions, first_line
from asr_adapt.manifest.layouts.nemo import json_object, read_objects
from asr_adapt.manifest.utterance import Place, Utterance, from_row

_PARTS = ("recordings", "supervisions")


class LhotseLayout:
    """A cuts file, or a folder (or file of it) with recordings and supervisions."""

    name = "lhotse"
    description = "lhotse cuts, or recordings + supervisions (jsonl, jsonl.gz)"
    folders: tuple[str, ...] = ("",)

    def recognise(self, source: Path) -> str | None:
        """See :class:`~asr_adapt.manifest.layouts.contract.Layout`."""
        if source.is_dir():
            found = _cuts_file(source) or (_part(source, "recordings") and _part(source, "supervisions"))
            return None if found is None else f"it holds {found.name}"
        row = json_object(first_line(source)) if source.is_file() else {}
        if "supervisions" in row and ("recording" in row or "tracks" in row):
            return "its first line is a lhotse cut"
        if {"recording_id", "start", "duration"} <= row.keys():
            return "its first line is a lhotse supervision"
        return "its first line is a lhotse recording" if "sources" in row and "sampling_rate" in row else None

    def read(self, source: Path, options: ImportOptions) -> Iterator[Utterance]:
        """See :class:`~asr_adapt.manifest.layouts.contract.Layout`."""
        rows = self._rows(source)
        folder = source if source.is_dir() else source.parent
        for path, line, row in rows:
            row = {options.columns.get(key, key): value for key, value in row.items()}
            yield from_row(row, Place(folder, str(path)), line)

    def _rows(self, source: Path) -> Iterator[tuple[Path, int, dict[str, Any]]]:
        cuts = _cuts_file(source) if source.is_dir() else source
        if cuts is not None and "supervisions" in json_object(first_line(cuts)):
            for line, cut in read_objects(cuts):
                for row in _cut_rows(cut, _Where(cuts, line)):
                    yield cuts, line, row
            return
        folder = source if source.is_dir() else source.parent
        recordings, supervisions = _part(folder, "recordings"), _part(folder, "supervisions")
        if recordings is None or supervisions is None:
            missing = "recordings" if recordings is None else "supervisions"
            raise DataError(f"holds no {missing}.jsonl or {missing}.jsonl.gz.", path=folder)
        known = {str(row.get("id")): row for _, row in read_objects(recordings)}
        for line, supervision in read_objects(supervisions):
            where = _Where(supervisions, line)
            name = str(supervision.get("recording_id"))
            if name not in known:
                raise where.error(f"recording {name!r} is not in {recordings.name}.", "recording_id")
            yield supervisions, line, _supervision_row(supervision, known[name], 0.0, where)


class _Where:
    """Where a JSON object came from, for messages."""

    def __init__(self, path: Path, line: int) -> None:
        self.path, self.line = path, line

    def error(self, message: str, field: str | None = None) -> DataError:
        return DataError(message, path=self.path, line=self.line, field=field)

    def mapping(self, value: Any, field: str) -> Mapping[str, Any]:
        if not isinstance(value, dict):
            raise self.error("must be an object.", field)
        return value

    def objects(self, value: Any, field: str) -> list[Mapping[str, Any]]:
        if not isinstance(value, list):
            raise self.error("must be a list.", field)
        return [self.mapping(item, field) for item in value]

    def seconds(self, value: Any, field: str) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 1e9:
            raise self.error("must be a number of seconds.", field)
        return float(value)


def _cut_rows(cut: Mapping[str, Any], where: _Where) -> Iterator[dict[str, Any]]:
    if "recording" not in cut:
        raise where.error(
            "the cut has no recording (mixed or feature-only cut); export single cuts.", "recording"
        )
    recording = where.mapping(cut["recording"], "recording")
    start = where.seconds(cut.get("start", 0.0), "start")
    for supervision in where.objects(cut.get("supervisions"), "supervisions"):
        yield _supervision_row(supervision, recording, start, where)


def _supervision_row(
    supervision: Mapping[str, Any], recording: Mapping[str, Any], cut_start: float, where: _Where
) -> dict[str, Any]:
    """A supervision's times count from its cut; a row's offset counts from the file."""
    offset = max(0.0, round(cut_start + where.seconds(supervision.get("start", 0.0), "start"), 6))
    duration = where.seconds(supervision.get("duration"), "duration")
    row: dict[str, Any] = {"audio_filepath": _audio_source(recording, where), "offset": offset}
    whole = recording.get("duration")
    if not (
        offset == 0 and isinstance(whole, (int, float)) and abs(whole - duration) < 1e-3 and not duration
    ):
        row["duration"] = duration
    row |= {name: supervision[name] for name in ("id", "text", "speaker", "gender") if name in supervision}
    if supervision.get("language") is not None:
        row["lang"] = supervision["language"]
    channel = supervision.get("channel", 0)
    if channel is not None and _channels(recording) > 1:
        row["channel"] = channel[0] if isinstance(channel, list) and len(channel) == 1 else channel
    custom = supervision.get("custom")
    return row | {k: v for k, v in (custom if isinstance(custom, dict) else {}).items() if k not in row}


def _channels(recording: Mapping[str, Any]) -> int:
    """How many channels the recording has; lhotse before 1.12 says so by its sources only."""
    ids = recording.get("channel_ids")
    if not isinstance(ids, list):
        sources = recording.get("sources") or [{}]
        ids = sources[0].get("channels", [0]) if isinstance(sources[0], dict) else [0]
    return len(ids) if isinstance(ids, list) else 1


def _audio_source(recording: Mapping[str, Any], where: _Where) -> str:
    sources = where.objects(recording.get("sources"), "sources")
    if len(sources) != 1:
        raise where.error(f"the recording has {len(sources)} audio sources; one file is needed.", "sources")
    kind, value = sources[0].get("type"), sources[0].get("source")
    if kind not in ("file", "url") or not isinstance(value, str):
        raise where.error(
            f"an audio source of type {kind!r} cannot be read; write it to a file first.", "sources"
        )
    return value


def _cuts_file(folder: Path) -> Path | None:
    found = [path for path in sorted(folder.glob("*cuts*.jsonl*")) if path.is_file()]
    return found[0] if found else None


def _part(folder: Path, part: str) -> Path | None:
    found = [path for path in sorted(folder.glob(f"*{part}*.jsonl*")) if path.is_file()]
    return found[0] if found else None
