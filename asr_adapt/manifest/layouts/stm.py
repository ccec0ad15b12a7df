"""STM files: ``audio channel speaker start end <labels> transcript``.

Knows STM's line and its ``;;`` comments. Does not know which labels a corpus puts between ``< >``; they are
kept as one extra field.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from asr_adapt.audio.media import MEDIA_SUFFIXES, files_below
from asr_adapt.errors import DataError
from asr_adapt.manifest.layouts.contract import ImportOptions, first_file, place_of, read_lines
from asr_adapt.manifest.utterance import Utterance, from_row

_LINE = re.compile(r"(\S+)\s+(\S+)\s+(\S+)\s+(-?[\d.]+)\s+(-?[\d.]+)(?:\s+<([^>]*)>)?(?:\s+(.*))?$")
_SUFFIXES = frozenset({".stm"})
_IGNORED = "ignore_time_segment_in_scoring"


#: STM counts channels from 1, or from A. Most files say 1 throughout, which means the only one.
_CHANNELS = {str(n + 1): n for n in range(64)} | {"A": 0, "B": 1}


class StmLayout:
    """An STM file, or a folder of them; audio is named with or without its suffix."""

    name = "stm"
    description = "NIST STM (audio channel speaker start end transcript)"
    folders: tuple[str, ...] = ("",)

    def recognise(self, source: Path) -> str | None:
        """See :class:`~asr_adapt.manifest.layouts.contract.Layout`."""
        if source.is_dir():
            found = first_file(source, _SUFFIXES)
            return None if found is None else f"it holds {found.relative_to(source)}"
        return "it is a .stm file" if source.suffix.lower() in _SUFFIXES else None

    def read(self, source: Path, options: ImportOptions) -> Iterator[Utterance]:
        """See :class:`~asr_adapt.manifest.layouts.contract.Layout`."""
        for path in files_below(source, _SUFFIXES) if source.is_dir() else [source]:
            yield from _read_file(path, options)


def _read_file(source: Path, options: ImportOptions) -> Iterator[Utterance]:
    place, by_stem = place_of(source), _audio_by_stem(source.parent)
    stereo = {name for _, (name, channel, *_) in _lines(source) if _CHANNELS.get(channel.upper(), 0)}
    for number, (name, channel, speaker, start, end, labels, text) in _lines(source):
        if text == _IGNORED:
            continue
        row: dict[str, Any] = {
            "audio_filepath": by_stem.get(name, name),
            "offset": _seconds(start, source, number),
            "text": text or "",
        }
        row["duration"] = round(_seconds(end, source, number) - row["offset"], 6)
        if name in stereo:
            row["channel"] = _channel(channel, source, number)
        if speaker != "unknown":
            row["speaker"] = speaker
        if labels:
            row["labels"] = labels
        yield from_row({options.columns.get(k, k): v for k, v in row.items()}, place, number)


def _lines(source: Path) -> Iterator[tuple[int, tuple[str, ...]]]:
    for number, line in read_lines(source):
        if line.startswith(";;"):
            continue
        match = _LINE.match(line.strip())
        if match is None:
            raise DataError(
                "must read: audio channel speaker start end transcript.", path=source, line=number
            )
        yield number, match.groups()


def _channel(text: str, path: Path, line: int) -> int:
    channel = _CHANNELS.get(text.upper())
    if channel is None:
        raise DataError(f"{text!r} is not a channel: write 1, 2 … or A, B.", path=path, line=line)
    return channel


def _audio_by_stem(folder: Path) -> dict[str, str]:
    """STM names audio without suffix; this finds the file below the STM's folder."""
    return {path.stem: path.relative_to(folder).as_posix() for path in files_below(folder, MEDIA_SUFFIXES)}


def _seconds(text: str, path: Path, line: int) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise DataError(f"{text!r} is not a time in seconds.", path=path, line=line) from error
