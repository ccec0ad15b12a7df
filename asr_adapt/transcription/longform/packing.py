"""Speech packed into windows: what is said fills them, long silences are cut out.

Knows frame scores of a voice-activity detector, pauses, and where a window may end. Does not know
recognisers. Hysteresis and padding follow silero-vad's ``get_speech_timestamps``; that silence is cut out
of what the recogniser hears is faster-whisper's ``vad_filter``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from asr_adapt.transcription.voice.speech import Detector, Thresholds, pieces_of
from asr_adapt.transcription.windows import Piece

#: A window ends at its longest pause behind this share of it; pauses longer than the seconds are alike.
FILLED = 0.6
#: A stretch of speech without a pause is cut at its weakest frame in the last part of a window.
CUT_SHARE = 0.25


@dataclass(frozen=True)
class PackingRules:
    """Lengths in samples: of a window, a pause that parts speech, the least speech, and padding around it.

    A silence longer than ``kept`` is cut out but for the padding.
    """

    window: int
    pause: int
    kept: int
    shortest: int
    pad: int
    thresholds: Thresholds = field(default_factory=Thresholds)


@dataclass(frozen=True, slots=True)
class _Speech:
    """Speech from sample ``start`` to ``stop``, without padding."""

    start: int
    stop: int


def packed_speech(blocks: Iterable[np.ndarray], detector: Detector, rules: PackingRules) -> Iterator[Piece]:
    """Pieces of at most a window, in order, that hold all speech of the stream; memory holds two windows."""
    return pieces_of(blocks, detector, _Packer(rules))


class _Packer:
    """The state between two frames: the audio kept, the open stretch, those that wait for a window."""

    def __init__(self, rules: PackingRules) -> None:
        self.rules = rules
        self.audio = np.empty(0, np.float32)
        self.audio_start = 0
        self.frontier = 0  # the end of the last piece: nothing before it is heard again
        self.waiting: list[_Speech] = []
        self.start: int | None = None
        self.speech_end = -1
        self.next_start: int | None = None  # where speech goes on, while a stretch without a pause is parted
        self.scores: list[tuple[float, int]] = []  # of the open stretch: score and end of each frame

    @property
    def end(self) -> int:
        """The number of samples seen."""
        return self.audio_start + len(self.audio)

    def feed(self, samples: np.ndarray, scores: np.ndarray, frame: int) -> Iterator[Piece]:
        position = self.end
        self.audio = np.concatenate([self.audio, samples])
        for score in scores:
            stop = min(position + frame, self.end)
            yield from self._step(position, stop, float(score))
            position = stop
        self._forget()

    def finish(self) -> Iterator[Piece]:
        yield from self._close()
        if self.waiting:
            yield self._piece(self.waiting)

    def _step(self, begin: int, stop: int, score: float) -> Iterator[Piece]:
        if self.rules.thresholds.speech(score, speaking=self.speech_end == begin):
            if self.start is None:
                self.start, self.scores = begin, []
            self.speech_end = stop
        if self.start is None:
            return
        self.scores.append((score, stop))
        if stop - self.speech_end >= self.rules.pause:
            yield from self._close()
        elif stop - self.start >= self.rules.window - 2 * self.rules.pad:
            yield from self._cut(stop)

    def _cut(self, stop: int) -> Iterator[Piece]:
        """Speech without a pause fills a window: it is parted at its weakest frame near the end."""
        assert self.start is not None
        late = [(s, at) for s, at in self.scores if stop - at < CUT_SHARE * self.rules.window and at < stop]
        _, at = min(late, key=lambda pair: (pair[0], -pair[1]))
        rest, speech_end = [(s, b) for s, b in self.scores if b > at], self.speech_end
        self.speech_end = self.next_start = at
        yield from self._close()
        self.next_start = None
        self.start, self.scores, self.speech_end = at, rest, max(at, speech_end)

    def _close(self) -> Iterator[Piece]:
        """The open stretch ends; it joins those that wait, and a window leaves where they no longer fit."""
        if self.start is None:
            return
        stretch, self.start = _Speech(self.start, self.speech_end), None
        if stretch.stop - stretch.start < self.rules.shortest:
            return
        self.waiting.append(stretch)
        while len(self.waiting) > 1 and self._length(self.waiting) > self.rules.window:
            count = self._full()
            yield self._piece(self.waiting[:count])
            self.waiting = self.waiting[count:]

    def _full(self) -> int:
        """How many of the stretches that wait make a window: up to the longest pause in its last part."""
        best, longest = 1, -1.0
        for count in range(1, len(self.waiting)):
            length = self._length(self.waiting[:count])
            if length > self.rules.window:
                break
            pause = min(self.waiting[count].start - self.waiting[count - 1].stop, self.rules.kept)
            if length < FILLED * self.rules.window:
                best = count
            elif pause >= longest:
                best, longest = count, pause
        return best

    def _parts(self, stretches: list[_Speech]) -> list[tuple[int, int]]:
        """First sample and length of each part of the audio that holds ``stretches`` and their padding."""
        pad, parts = self.rules.pad, []
        start = max(self.frontier, stretches[0].start - pad)
        for before, after in pairwise(stretches):
            if after.start - before.stop > max(self.rules.kept, 2 * pad):
                parts.append((start, before.stop + pad - start))
                start = after.start - pad
        return [*parts, (start, min(stretches[-1].stop + pad, self._limit(stretches[-1])) - start)]

    def _limit(self, last: _Speech) -> int:
        """Where the padding behind ``last`` must end: half-way to the next speech, or with the audio."""
        later = [s.start for s in self.waiting if s.start >= last.stop]
        later += [s for s in (self.start, self.next_start) if s is not None and s >= last.stop]
        return min(self.end, *((last.stop + start) // 2 for start in later)) if later else self.end

    def _length(self, stretches: list[_Speech]) -> int:
        return sum(length for _, length in self._parts(stretches))

    def _piece(self, stretches: list[_Speech]) -> Piece:
        parts = self._parts(stretches)
        cut = [self.audio[a - self.audio_start : a - self.audio_start + n] for a, n in parts]
        self.frontier = parts[-1][0] + parts[-1][1]
        speech = tuple((_placed(s.start, parts), _placed(s.stop, parts)) for s in stretches)
        return Piece(parts[0][0], np.concatenate(cut), parts=tuple(parts), speech=speech)

    def _forget(self) -> None:
        """Drop audio that no piece can need any more."""
        first = self.waiting[0].start if self.waiting else self.start
        keep = max(self.frontier, (self.end if first is None else first) - self.rules.pad)
        self.audio = self.audio[keep - self.audio_start :].copy()
        self.audio_start = keep


def _placed(sample: int, parts: list[tuple[int, int]]) -> int:
    """Where a sample of the file lies in the audio that is made of ``parts``."""
    before = 0
    for start, length in parts:
        if sample <= start + length:
            return before + max(0, sample - start)
        before += length
    return before
