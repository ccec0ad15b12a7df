"""Sound for the report page: embedded where a set is small, linked where it is not.

Knows how a row's segment becomes a URL. Does not know the page, nor what is said in the sound.
"""

from __future__ import annotations

import base64
import io
import os
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import numpy as np
import soundfile

from asr_adapt.audio import read_audio
from asr_adapt.errors import DataError, UsageError
from asr_adapt.scoring.predictions import Predictions

EMBED_SECONDS = 600.0  #: longest set that "auto" embeds: about 2 MB as MP3
RATE = 16_000
MODES = ("auto", "embed", "link", "none")


def audio_urls(predictions: Predictions, page: Path, mode: str) -> tuple[list[str], int]:
    """A URL per row ("" where there is no sound), and how many rows lack their file.

    ``embed`` puts an MP3 of the row's segment into a data URL, ``link`` points at the file relative to the
    page with a media fragment for the segment, ``auto`` chooses by length, ``none`` gives nothing.
    """
    if mode not in MODES:
        raise UsageError(f"unknown audio mode {mode!r}: choose one of {', '.join(MODES)}.")
    if mode == "none":
        return [""] * len(predictions), 0
    seconds = predictions.seconds("duration")
    if mode == "auto":
        mode = "embed" if np.nan_to_num(seconds, nan=np.inf).sum() <= EMBED_SECONDS else "link"
    offsets = np.nan_to_num(predictions.seconds("offset"))
    channels = predictions.columns.get("channel") or [None] * len(predictions)
    urls, missing = [], 0
    for name, offset, duration, channel in zip(predictions.audio, offsets, seconds, channels, strict=True):
        segment = _RowPlace(float(offset), None if np.isnan(duration) else float(duration), channel)
        url = _url(name, segment, page, mode)
        missing += not url
        urls.append(url)
    return urls, missing


class _RowPlace(NamedTuple):
    """Where a row is in its file; times in seconds."""

    offset: float
    duration: float | None
    channel: int | None

    @property
    def fragment(self) -> str:
        """The media fragment of the segment; a browser cannot choose a channel."""
        end = "" if self.duration is None else f",{self.offset + self.duration:.3f}"
        return f"#t={self.offset:.3f}{end}" if self.offset else ""


def _url(name: str, segment: _RowPlace, page: Path, mode: str) -> str:
    path = Path(name)
    if not name or not path.is_file():
        return ""
    if mode == "embed":
        return _embedded(path, segment)
    relative = Path(os.path.relpath(path.resolve(), page.resolve().parent)).as_posix()
    return quote(relative) + segment.fragment


def _embedded(path: Path, segment: _RowPlace) -> str:
    try:
        samples = read_audio(path, sample_rate=RATE, **segment._asdict())
    except DataError:
        return ""  # counted by the caller: a score must not fail for sound that is only shown
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, RATE, format="MP3", subtype="MPEG_LAYER_III")
    return "data:audio/mpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
