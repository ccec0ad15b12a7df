"""One thing to transcribe, and one that could not be.

Knows a file or its segment, samples, a manifest's row, and where it was named. Does not know how names become
sources (``inputs``), nor decodes audio; a header says how long a file is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from asr_adapt.audio import probe
from asr_adapt.errors import AsrAdaptError, DataError, shown, writable
from asr_adapt.manifest import Utterance

#: Characters of a row's id that must not reach a file name.
UNSAFE = re.compile(r"[\x00-\x1f/\\:*?\"<>|]")


@dataclass(frozen=True)
class Source:
    """One thing to transcribe: a segment of a file, or samples (float32 mono at the recogniser's rate).

    ``name`` is the path of its outputs without suffix, relative to the output folder. ``duration`` is seconds
    of audio where known, ``segment`` whether offset and duration cut the file, ``origin`` the file and line
    that named it. Damage fails a ``strict`` source; of any other, what can be decoded is heard.
    """

    label: str
    name: str
    path: Path | None = None
    samples: np.ndarray | None = None
    offset: float = 0.0
    duration: float | None = None
    segment: bool = False
    channel: int | None = None
    row: Utterance | None = None
    origin: str = ""
    strict: bool = False

    @cached_property
    def seconds(self) -> float | None:
        """Seconds of audio: ``duration``, else the file's behind ``offset``, counted where no header says.

        None for samples, and for a file that cannot be opened; the reader says why.
        """
        if self.duration is not None or self.path is None:
            return self.duration
        try:
            return probe(self.path).duration - self.offset
        except AsrAdaptError:
            return None

    @property
    def fields(self) -> dict[str, object]:
        """What a manifest row of this source says of it."""
        if self.row is not None:
            return self.row.to_row()
        own: dict[str, object] = {"audio_filepath": self.label}
        if self.path is not None and self.channel is not None:
            own = {"audio_filepath": writable(str(self.path)), "channel": self.channel}
        return own


@dataclass(frozen=True)
class Failure:
    """An input that could not be transcribed, and why in one sentence."""

    label: str
    message: str
    error: Exception = field(compare=False, repr=False, default=RuntimeError())

    def portable(self) -> Failure:
        """The same failure with an error that another process can read, whatever raised it."""
        kept = type(self.error) is DataError
        return self if kept else replace(self, error=DataError(self.message))


def failure_of(label: str, error: Exception) -> Failure:
    """The failure of an input, in one sentence that names it."""
    message = str(error) if isinstance(error, AsrAdaptError) else f"{type(error).__name__}: {error}"
    label, message = shown(label), shown(message)
    return Failure(label, message if label in message else f"{label}: {message}", error)


def source_failure(source: Source, error: Exception) -> Failure:
    """The failure of ``source``, naming the manifest or list and line that it comes from."""
    message = failure_of(source.label, error).message
    return Failure(source.label, f"{source.origin}: {message}" if source.origin else message, error)


def source_of_row(row: Utterance) -> Source:
    """The source that a manifest row points at."""
    segment = row.offset > 0 or row.duration is not None
    return Source(
        label=f"{row.audio_filepath} ({row.id})" if row.offset else row.audio_filepath,
        name=UNSAFE.sub("_", row.id) or "row",
        path=row.audio_path,
        offset=row.offset,
        duration=row.duration,
        channel=row.channel,
        segment=segment,
        row=row,
        origin="" if row.source is None else f"{row.source}:{row.line}: audio_filepath",
    )
