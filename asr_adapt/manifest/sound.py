"""The sound of a row: its segment and channel, decoded, with errors that name the row; what identifies it.

Knows where a row says its sound is. Does not know decoders, models or what the samples are for.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from asr_adapt.audio import read_audio
from asr_adapt.errors import DataError
from asr_adapt.manifest.utterance import Utterance


def read_waveform(row: Utterance, sample_rate: int | None) -> np.ndarray:
    """The float32 mono samples (samples,) of one row; raises :class:`DataError` naming its line.

    ``sample_rate`` in Hz; None is the file's own.
    """
    try:
        return read_audio(
            row.audio_path,
            sample_rate=sample_rate,
            offset=row.offset,
            duration=row.duration,
            channel=row.channel,
        )
    except DataError as error:
        raise row.error(f"{error}", "audio_filepath") from error


def sound_fields(row: Utterance) -> dict[str, Any]:
    """What identifies the sound of a row: its file as it is now, segment and channel."""
    return {"file": file_print(row.audio_path), "segment": [row.offset, row.duration, row.get("channel")]}


def sound_print(row: Utterance) -> str:
    """:func:`sound_fields` as text."""
    return json.dumps(sound_fields(row), sort_keys=True, default=str)


def file_print(path: Path) -> list[Any]:
    """Place, size and time of change of the file, or of the shard that holds it; a URL by its name alone."""
    for candidate in (path, *path.parents):
        try:
            status = candidate.stat()
        except (OSError, ValueError):
            continue
        if candidate.is_dir():
            break
        return [os.path.realpath(candidate), str(path.name), status.st_size, status.st_mtime_ns]
    return [str(path)]
