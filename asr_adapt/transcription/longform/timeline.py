"""The speech of a source on one line, piece behind piece, and the windows that are cut from it.

Knows parts of audio, where they stand in their file, speech, and where a window may end. Does not know what
was said.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from asr_adapt.transcription.windows import Piece

#: A window ends at its longest pause behind this share of it; pauses longer than ``kept`` are alike.
FILLED = 0.6


@dataclass(frozen=True)
class Cuts:
    """Lengths in samples: a window, the padding around speech, and a pause from which all are alike."""

    window: int
    pad: int
    kept: int


@dataclass(frozen=True, slots=True)
class _TimelinePart:
    """Audio from sample ``start`` to ``stop`` of the line that begins at sample ``file`` of the source."""

    start: int
    stop: int
    file: int


class Timeline:
    """Pieces as they are added, without what lies between them; positions are samples of this line."""

    def __init__(self, cuts: Cuts) -> None:
        self.cuts = cuts
        self.end = 0
        self._samples = np.empty(0, np.float32)
        self._first = 0  # position of the first sample that is kept
        self._parts: list[_TimelinePart] = []
        self._speech: list[tuple[int, int]] = []
        self._stretches: list[tuple[int, int]] = []  # as speech; a piece without any is one stretch

    def add(self, piece: Piece) -> None:
        """Audio that follows in the file."""
        begin = self.end
        self._samples = np.concatenate([self._samples, piece.samples])
        for start, length in piece.parts or ((piece.start, len(piece.samples)),):
            self._parts.append(_TimelinePart(self.end, self.end + length, start))
            self.end += length
        speech = [(begin + a, begin + b) for a, b in piece.speech]
        self._speech += speech
        self._stretches += speech or [(begin, self.end)]

    def next(self, position: int) -> int | None:
        """Where a window begins that hears on at ``position``: a little before speech. None: no speech."""
        start = next((a for a, b in self._stretches if b > position), None)
        return None if start is None else max(position, start - self.cuts.pad)

    def window(self, start: int, most: int, *, last: bool) -> int | None:
        """Where the window of at most ``most`` samples from ``start`` ends, or that of its first stretch.

        One of less than the usual length is as long as it can be. None where audio that follows could still
        fill it; ``last``: none follows.
        """
        ends = list(self._ends(start, last=last))
        fitting = [(stop, pause) for stop, pause in ends if stop - start <= most]
        if not last and (len(fitting) == len(ends) or len(ends) == 1):
            return None
        if not fitting:
            return min(ends[0][0], start + self.cuts.window)
        if len(fitting) == len(ends) or most < self.cuts.window:
            return fitting[-1][0]
        late = [one for one in fitting if one[0] - start >= FILLED * most]
        return max(late, key=lambda one: (one[1], one[0]))[0] if late else fitting[-1][0]

    def _ends(self, start: int, *, last: bool) -> Iterator[tuple[int, int]]:
        """Where a window from ``start`` may end, and the pause there; at least, where speech may follow."""
        own = [stretch for stretch in self._stretches if stretch[1] > start]
        for (_, stop), after in zip(own, [*own[1:], None], strict=True):
            if after is None:
                whole = self.end - start <= self.cuts.window
                padded = self.end if whole else min(stop + self.cuts.pad, self.end)
                yield padded if last else stop, self.cuts.kept
                return
            pause = self.file_sample(after[0]) - self.file_sample(stop)
            yield min(stop + self.cuts.pad, (stop + after[0]) // 2), min(pause, self.cuts.kept)

    def piece(self, start: int, stop: int) -> Piece:
        """The audio between two positions, with its place in the file and its speech."""
        parts = [
            (part.file + max(start, part.start) - part.start, min(stop, part.stop) - max(start, part.start))
            for part in self._parts
            if part.stop > start and part.start < stop
        ]
        speech = tuple(
            (max(a, start) - start, min(b, stop) - start) for a, b in self._speech if b > start and a < stop
        )
        samples = self._samples[start - self._first : stop - self._first].copy()
        return Piece(parts[0][0], samples, parts=tuple(parts), speech=speech)

    def file_sample(self, position: int) -> int:
        """The sample of the file at ``position``; where audio was left out, the one before."""
        part = next((part for part in self._parts if position <= part.stop), self._parts[-1])
        return part.file + position - part.start

    def position(self, sample: int) -> int:
        """Where a sample of the file lies: :meth:`file_sample` the other way round."""
        for part in self._parts:
            if sample <= part.file + part.stop - part.start:
                return part.start + max(0, sample - part.file)
        return self.end

    def forget(self, position: int) -> None:
        """Drop what lies before ``position``."""
        self._parts = [part for part in self._parts if part.stop >= position]
        self._speech = [one for one in self._speech if one[1] > position]
        self._stretches = [one for one in self._stretches if one[1] > position]
        self._samples = self._samples[position - self._first :].copy()
        self._first = position
