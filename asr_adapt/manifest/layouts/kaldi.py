"""Kaldi data directories: ``wav.scp``, ``text``, ``segments``, ``utt2*`` and ``spk2*`` tables.

Knows Kaldi's files. Does not run the commands that a ``wav.scp`` may hold: pipes and ark offsets are refused
by name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asr_adapt.errors import DataError
from asr_adapt.manifest.layouts.contract import ImportOptions, read_lines
from asr_adapt.manifest.utterance import ROW_FIELDS, Place, Utterance, from_row

_ARK_OFFSET = re.compile(r"\.ark(:\d+)?$")
#: ``spk2X``/``utt2X`` files whose X is another name of a row field, or that hold no field at all.
_FIELD_NAMES = {"spk": "speaker", "language": "lang"}
_SKIPPED = {"spk2utt", "utt2dur", "utt2num_frames", "utt2uniq"}
_CLAIMED = frozenset(ROW_FIELDS) - {"speaker", "accent", "lang", "gender", "age"}


class KaldiLayout:
    """A Kaldi data directory, or its ``wav.scp``."""

    name = "kaldi"
    description = "Kaldi data directory (wav.scp, text, utt2spk, …)"
    folders: tuple[str, ...] = ("",)

    def recognise(self, source: Path) -> str | None:
        """See :class:`~asr_adapt.manifest.layouts.contract.Layout`."""
        if source.is_dir() and (source / "wav.scp").is_file():
            present = [n for n in ("text", "segments", "utt2spk") if (source / n).is_file()]
            return f"it has wav.scp{' and ' if present else ''}{', '.join(present)}"
        return "it is a wav.scp" if source.name == "wav.scp" else None

    def read(self, source: Path, options: ImportOptions) -> Iterator[Utterance]:
        """See :class:`~asr_adapt.manifest.layouts.contract.Layout`."""
        folder = source.parent if source.name == "wav.scp" else source
        recordings = _read_recordings(folder / "wav.scp")
        utterances = (
            _read_segments(folder / "segments", recordings)
            if (folder / "segments").is_file()
            else {name: _KaldiSegment(path, line=line) for name, (path, line) in recordings.items()}
        )
        texts = _read_pairs(folder / "text") if (folder / "text").is_file() else {}
        for name, (_, line) in texts.items():
            if name not in utterances:
                raise DataError(f"utterance {name!r} has no audio.", path=folder / "text", line=line)
        tables = _read_tables(folder)
        place = Place(folder, str(folder / ("segments" if (folder / "segments").is_file() else "wav.scp")))
        for name, segment in utterances.items():
            row = segment.to_row(name)
            if name in texts:
                row["text"] = texts[name][0]
            row |= tables.fields(name)
            if row.get("speaker") == name:  # Kaldi's way of saying that the speaker is unknown
                del row["speaker"]
            yield from_row(
                {options.columns.get(key, key): value for key, value in row.items()}, place, segment.line
            )


@dataclass(frozen=True, slots=True)
class _KaldiSegment:
    path: str
    start: float = 0.0
    end: float | None = None
    line: int | None = None

    def to_row(self, name: str) -> dict[str, Any]:
        row: dict[str, Any] = {"audio_filepath": self.path, "id": name}
        if self.end is not None:
            row |= {"offset": self.start, "duration": round(self.end - self.start, 6)}
        return row


@dataclass(frozen=True, slots=True)
class _Tables:
    """Fields by utterance, and by speaker."""

    by_utterance: Mapping[str, Mapping[str, Any]]
    by_speaker: Mapping[str, Mapping[str, Any]]

    def fields(self, utterance: str) -> dict[str, Any]:
        own = self.by_utterance.get(utterance, {})
        return {**self.by_speaker.get(own.get("speaker", ""), {}), **own}


def _read_recordings(path: Path) -> dict[str, tuple[str, int]]:
    recordings: dict[str, tuple[str, int]] = {}
    for name, (value, line) in _read_pairs(path).items():
        if value.endswith("|"):
            raise DataError(
                f"recording {name!r} is a pipe ({value[:60]}); run the command and name its output file.",
                path=path,
                line=line,
            )
        if _ARK_OFFSET.search(value) or not value:
            raise DataError(
                f"recording {name!r} is not an audio file ({value or 'empty'}); name one.",
                path=path,
                line=line,
            )
        recordings[name] = (value, line)
    return recordings


def _read_segments(path: Path, recordings: Mapping[str, tuple[str, int]]) -> dict[str, _KaldiSegment]:
    segments: dict[str, _KaldiSegment] = {}
    for name, (value, line) in _read_pairs(path).items():
        parts = value.split()
        try:
            recording, start, end = parts[0], float(parts[1]), float(parts[2])
        except (IndexError, ValueError) as error:
            raise DataError(
                "must read: utterance recording start end.", path=path, line=line, field="segments"
            ) from error
        if recording not in recordings:
            raise DataError(f"recording {recording!r} is not in wav.scp.", path=path, line=line)
        if end == -1:  # Kaldi: up to the end of the recording
            segments[name] = _KaldiSegment(recordings[recording][0], start, None, line)
        elif not 0 <= start < end < 1e9:
            raise DataError(f"segment {start:g} to {end:g} s is empty or negative.", path=path, line=line)
        else:
            segments[name] = _KaldiSegment(recordings[recording][0], start, end, line)
    return segments


def _read_tables(folder: Path) -> _Tables:
    by_utterance: dict[str, dict[str, Any]] = {}
    by_speaker: dict[str, dict[str, Any]] = {}
    for path in sorted(folder.glob("*2*")):
        kind, _, label = path.name.partition("2")
        if kind not in ("utt", "spk") or path.name in _SKIPPED or not path.is_file():
            continue
        label = _FIELD_NAMES.get(label, label)
        if label in _CLAIMED or not label:
            continue
        target = by_utterance if kind == "utt" else by_speaker
        for name, (value, _) in _read_pairs(path).items():
            target.setdefault(name, {}).update(_label_and_score(label, value))
    return _Tables(by_utterance, by_speaker)


def _label_and_score(label: str, value: str) -> dict[str, Any]:
    """``mild 8.45`` in an accent table is a label and a score; any other value is taken whole."""
    head, _, tail = value.rpartition("\t") if "\t" in value else value.rpartition(" ")
    if label == "accent" and head:
        try:
            score = float(tail)
        except ValueError:
            return {label: value}
        if 0 <= score < 1e9:
            return {label: head.strip(), "score": score}
    return {label: value} if value else {}


def _read_pairs(path: Path) -> dict[str, tuple[str, int]]:
    """``key value…`` lines; raises DataError on a key that occurs twice."""
    pairs: dict[str, tuple[str, int]] = {}
    for number, line in read_lines(path):
        key, *rest = line.split(maxsplit=1)
        if key in pairs:
            raise DataError(f"{key!r} occurs twice; every line needs its own key.", path=path, line=number)
        pairs[key] = (rest[0].strip() if rest else "", number)
    return pairs
