"""Consecutive clips of one recording, joined into windows: what a network that hears 30 s should learn from.

Knows which rows follow each other in a recording, and the fields ``segments`` (times and text of each clip
in a window) and ``previous_text`` (what was said before it). Does not know models or labels.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from asr_adapt.manifest.utterance import Utterance

#: Fields of a row that holds several clips.
SEGMENTS, PREVIOUS = "segments", "previous_text"
#: Longest pause between two clips of one window, in seconds, and how far clips may overlap by rounding.
LONGEST_PAUSE, OVERLAP = 3.0, 0.05


class TimedText(NamedTuple):
    """A text and where it is said, in seconds from the start of its row."""

    text: str
    start: float
    end: float


def joined_rows(
    rows: Iterable[Utterance], seconds: float, pause: float = LONGEST_PAUSE
) -> Iterator[Utterance]:
    """Windows of at most ``seconds`` made of clips of one recording that follow each other.

    A pause longer than ``pause`` ends a window; so does a clip that overlaps the one before, another speaker,
    language or accent. A window has the sound from its first clip's start
    to its last clip's end, the clips' texts with times in ``segments``, and the text of the window before it
    in ``previous_text`` where that ended no more than ``pause`` earlier. Rows without a length or transcript,
    which no window can hold, and single clips stay as they are but for ``previous_text``.
    Recordings come in the order in which their first row stands.
    """
    recordings: dict[tuple[Any, ...], list[Utterance]] = defaultdict(list)
    for row in rows:
        recordings[str(row.audio_path), row.channel].append(row)
    for own in recordings.values():
        before: Utterance | None = None
        for window in _windows(sorted(own, key=lambda row: row.offset), seconds, pause):
            row = _joined(window)
            if before is not None and before.text and 0 <= _gap(before, row) + OVERLAP <= pause + OVERLAP:
                row = row.replace(extra={**row.extra, PREVIOUS: before.text})
            yield row
            before = row


def _windows(rows: Sequence[Utterance], seconds: float, pause: float) -> Iterator[list[Utterance]]:
    window: list[Utterance] = []
    for row in rows:
        if window and not _belongs(window, row, seconds, pause):
            yield window
            window = []
        window.append(row)
    if window:
        yield window


def _belongs(window: Sequence[Utterance], row: Utterance, seconds: float, pause: float) -> bool:
    last = window[-1]
    if not (last.text and row.text and last.duration and row.duration):
        return False
    if any(getattr(last, name) != getattr(row, name) for name in ("speaker", "lang", "accent")):
        return False
    return -OVERLAP <= _gap(last, row) <= pause and row.offset + row.duration - window[0].offset <= seconds


def _gap(before: Utterance, after: Utterance) -> float:
    return after.offset - before.offset - (before.duration or 0.0)


def _joined(window: Sequence[Utterance]) -> Utterance:
    first, last = window[0], window[-1]
    if len(window) == 1:
        return first
    start = first.offset
    segments = [
        {
            "start": round(r.offset - start, 3),
            "end": round(r.offset - start + (r.duration or 0.0), 3),
            "text": r.text,
        }
        for r in window
    ]
    return first.replace(
        id=f"{first.id}+{len(window) - 1}",
        duration=round(last.offset + (last.duration or 0.0) - start, 3),
        text=" ".join(row.text or "" for row in window),
        extra={**first.extra, SEGMENTS: segments},
    )


def segments_of(row: Utterance) -> list[TimedText]:
    """The texts of a row with their times: those of its ``segments``, else its text from start to end.

    Their words are those of the row's ``text``, whose letter case and punctuation may have been changed;
    where the number of words was changed too, the row is one segment. Raises
    :class:`~asr_adapt.errors.DataError` where ``segments`` cannot be read.
    """
    text, given = row.text or "", row.extra.get(SEGMENTS)
    whole = [TimedText(text, 0.0, row.duration or 0.0)]
    if given is None:
        return whole
    parts = [_segment(row, one) for one in given] if isinstance(given, list) else []
    if not parts or any(a.end > b.start + OVERLAP for a, b in itertools.pairwise(parts)):
        raise row.error("must be a list of texts with rising times: {start, end, text}.", SEGMENTS)
    words, counts = text.split(), [len(part.text.split()) for part in parts]
    if sum(counts) != len(words):
        return whole
    taken = iter(words)
    return [
        part._replace(text=" ".join(next(taken) for _ in range(count)))
        for part, count in zip(parts, counts, strict=True)
    ]


def _segment(row: Utterance, given: Any) -> TimedText:
    try:
        found = TimedText(str(given["text"]), float(given["start"]), float(given["end"]))
    except (TypeError, KeyError, ValueError):
        raise row.error("each needs numbers start and end, in seconds, and a text.", SEGMENTS) from None
    if not 0.0 <= found.start < found.end <= (row.duration or found.end) + OVERLAP:
        raise row.error(f"{found.start:g} to {found.end:g} s is not within the row's sound.", SEGMENTS)
    return found


def previous_text(row: Utterance) -> str:
    """What was said before the row; empty where that is not known."""
    return str(row.extra.get(PREVIOUS) or "")
