"""Predictions for other scorers: SCTK ``trn``, ``stm`` with ``ctm``, and SegLST.

Knows those layouts. Does not count errors. Texts are written normalised under the profile given, so that the
other scorer sees the same words as ours: sclite itself knows nothing of Unicode punctuation or case.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from asr_adapt.errors import DataError, UsageError
from asr_adapt.files import atomic_write
from asr_adapt.manifest import Manifest, Utterance
from asr_adapt.text import profile as profile_named

_UNSAFE = re.compile(r"[\s();]+")


@dataclass(frozen=True)
class _TimedUtterance:
    """One utterance with normalised texts; times in seconds within its recording."""

    name: str
    recording: str
    speaker: str
    begin: float
    duration: float | None
    reference: str
    hypothesis: str
    words: Sequence[dict[str, Any]]
    channel: int = 1

    def times(self) -> tuple[float, float]:
        if self.duration is None:
            raise DataError(
                f"the row {self.name!r} has no duration: build the manifest with `manifest build`."
            )
        return self.begin, self.begin + self.duration


def export(
    source: str | Path | Manifest, folder: str | Path, layout: str, normalise: str = "basic"
) -> list[Path]:
    """Write references and hypotheses of a predictions file in ``layout``; returns the files written.

    ``trn``: ``ref.trn``, ``hyp.trn``. ``stm-ctm``: ``ref.stm``, ``hyp.ctm`` (word times from the rows'
    ``words``, otherwise spread evenly over the utterance). ``seglst``: ``ref.seglst.json`` and its ``hyp``.
    Raises :class:`UsageError` for an unknown layout, :class:`DataError` for a row that lacks what it needs.
    """
    if layout not in LAYOUTS:
        raise UsageError(f"unknown layout {layout!r}: choose one of {', '.join(LAYOUTS)}.")
    manifest = source if isinstance(source, Manifest) else Manifest.open(source)
    written = []
    for name, write in LAYOUTS[layout].items():
        with atomic_write(Path(folder) / name) as handle:
            write(handle, _segments(manifest, profile_named(normalise).apply))
        written.append(Path(folder) / name)
    return written


def export_paths(folder: Path, layout: str) -> list[Path]:
    """The files that :func:`export` would write."""
    return [folder / name for name in LAYOUTS.get(layout, ())]


def _segments(manifest: Manifest, apply: Callable[[str], str]) -> Iterator[_TimedUtterance]:
    recordings: dict[str, str] = {}
    for row in manifest:
        yield _TimedUtterance(
            name=_UNSAFE.sub("_", row.id),
            recording=_recording(row.audio_filepath, recordings),
            speaker=_UNSAFE.sub("_", row.speaker or "unknown"),
            begin=row.offset,
            duration=row.duration,
            reference=apply(_text(row, "text")),
            hypothesis=apply(_text(row, "pred_text")),
            words=row.get("words") or (),
            channel=(row.channel or 0) + 1,
        )


def _recording(path: str, taken: dict[str, str]) -> str:
    """The file's name without its ending; longer by folders where another file has that name already."""
    parts = Path(path).with_suffix("").parts
    for count in range(1, len(parts) + 1):
        name = _UNSAFE.sub("_", "-".join(part.strip("/") for part in parts[-count:]))
        if taken.setdefault(name, path) == path:
            return name
    raise DataError(f"{path} has the name of another recording, {taken[name]}: rename one.")


def _text(row: Utterance, name: str) -> str:
    value = row.get(name)
    if not isinstance(value, str):
        raise row.error("the field is missing: run `asr-adapt evaluate` first.", name)
    return value


def _write_trn(field: str) -> Callable[[IO[str], Iterator[_TimedUtterance]], None]:
    def write(handle: IO[str], segments: Iterator[_TimedUtterance]) -> None:
        for segment in segments:  # sclite takes the part before the first dash as the speaker
            handle.write(f"{getattr(segment, field)} ({segment.speaker}-{segment.name})\n")

    return write


def _write_stm(handle: IO[str], segments: Iterator[_TimedUtterance]) -> None:
    rows = sorted((s.recording, s.channel, *s.times(), s.speaker, s.reference) for s in segments)
    for recording, channel, begin, end, speaker, reference in rows:
        handle.write(f"{recording} {channel} {speaker} {begin:.3f} {end:.3f} {reference}\n")


def _write_ctm(handle: IO[str], segments: Iterator[_TimedUtterance]) -> None:
    rows = sorted(row for segment in segments for row in _timed_words(segment))
    for recording, channel, begin, duration, word in rows:
        handle.write(f"{recording} {channel} {begin:.3f} {duration:.3f} {word}\n")


def _timed_words(segment: _TimedUtterance) -> Iterator[tuple[str, int, float, float, str]]:
    place = (segment.recording, segment.channel)
    words = segment.hypothesis.split()
    begin, end = segment.times()
    timed = [word for word in segment.words if word.get("start") is not None and word.get("end") is not None]
    if len(timed) == len(words):
        for word, timing in zip(words, timed, strict=True):
            yield *place, begin + timing["start"], timing["end"] - timing["start"], word
        return
    step = (end - begin) / max(len(words), 1)
    for position, word in enumerate(words):
        yield *place, begin + position * step, step, word


def _write_seglst(field: str) -> Callable[[IO[str], Iterator[_TimedUtterance]], None]:
    def write(handle: IO[str], segments: Iterator[_TimedUtterance]) -> None:
        rows = []
        for segment in segments:
            begin, end = segment.times()
            rows.append(
                {
                    "session_id": segment.recording,
                    "segment_id": segment.name,
                    "speaker": segment.speaker,
                    "start_time": begin,
                    "end_time": end,
                    "words": getattr(segment, field),
                }
            )
        json.dump(rows, handle, ensure_ascii=False, indent=1)
        handle.write("\n")

    return write


LAYOUTS: dict[str, dict[str, Callable[[IO[str], Iterator[_TimedUtterance]], None]]] = {
    "trn": {"ref.trn": _write_trn("reference"), "hyp.trn": _write_trn("hypothesis")},
    "stm-ctm": {"ref.stm": _write_stm, "hyp.ctm": _write_ctm},
    "seglst": {"ref.seglst.json": _write_seglst("reference"), "hyp.seglst.json": _write_seglst("hypothesis")},
}
