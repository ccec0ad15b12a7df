"""The sound of a stream that is still needed: what may be heard again, and how a short stream began.

Knows samples and which of them are speech. Does not know when to hear them (``stream``), nor recognisers.
"""

from __future__ import annotations

import numpy as np

from asr_adapt.decoding import Decoding
from asr_adapt.transcription.live.activity import FRAME
from asr_adapt.transcription.longform.undetected import SHORT_SECONDS


class KeptSound:
    """The sound that may be heard again, by sample numbers of the stream."""

    def __init__(self, rate: int, options: Decoding, step: float, window_seconds: float) -> None:
        self.rate = rate
        self._pad = round(options.speech_pad * rate)
        self._shortest = round(options.min_speech * rate)
        self._step = round(step * rate)
        window = min(options.window_seconds or window_seconds, window_seconds)
        self._window = round(window * rate) - FRAME  # the next frame still fits
        self._frames: list[np.ndarray] = []
        self.start = self.end = 0
        self.open = self.opened = False
        self._speech_end = self._heard_speech = 0
        self._spoken = 0
        self._due = False

    def add(self, frame: np.ndarray, speaks: bool) -> None:
        """One more frame; speech opens what is kept, with some sound before it."""
        stepped = (self.end + len(frame)) // self._step > self.end // self._step
        self._due = self.open and (self._due or stepped)
        self._frames.append(frame)
        self.end += len(frame)
        if speaks:
            self.open = self.opened = True
            self._speech_end = self.end
            self._spoken += len(frame)
        elif not self.open:
            self._cut(self.end - self._pad)

    def silent_for(self, seconds: float) -> bool:
        """Whether speech ended so many seconds ago."""
        return self.open and self.end - self._speech_end >= seconds * self.rate

    @property
    def spoken_enough(self) -> bool:
        """Whether there is as much speech as counts."""
        return self._spoken >= self._shortest

    @property
    def full(self) -> bool:
        """Whether no more can be heard at once."""
        return self.open and self.end - self.start >= self._window

    @property
    def has_room(self) -> bool:
        """Whether two more steps fit into what can be heard at once."""
        return self.end - self.start + 2 * self._step <= self._window

    def stepped(self) -> bool:
        """Whether a step is over in which somebody spoke; asked once for each frame."""
        due, self._due = self._due, False
        return due and self.open and self.spoken_enough and self._speech_end > self._heard_speech

    @property
    def heard_to(self) -> int:
        """Where speech, with some sound behind it, ends."""
        return min(self.end, self._speech_end + self._pad)

    def kept(self) -> np.ndarray:
        """Samples (n,) up to :attr:`heard_to`; they count as heard."""
        self._heard_speech = self._speech_end
        return np.concatenate(self._frames)[: self.heard_to - self.start]

    def keep(self, second: float) -> None:
        """Let go of all before ``second``."""
        self._cut(round(second * self.rate))

    def drop(self) -> None:
        """Speech has ended: keep only what the next may begin with."""
        self._cut(max(self._speech_end, self.end - self._pad))
        self.open, self._spoken = False, 0

    def _cut(self, sample: int) -> None:
        """Let go of whole frames before ``sample``."""
        while self._frames and self.start + len(self._frames[0]) <= sample:
            self.start += len(self._frames.pop(0))


class Beginning:
    """The loudest sample of the stream, and its first seconds while they are all of it."""

    def __init__(self, rate: int) -> None:
        self._most = round(SHORT_SECONDS * rate)
        self._frames: list[np.ndarray] | None = []
        self._samples, self.level = 0, 0.0

    def add(self, frame: np.ndarray) -> None:
        """One more frame."""
        self.level = max(self.level, float(np.abs(frame).max(initial=0.0)))
        self._samples += len(frame)
        if self._samples > self._most:
            self._frames = None
        elif self._frames is not None:
            self._frames.append(frame)

    @property
    def whole(self) -> np.ndarray | None:
        """All samples of a short stream; None of a longer one."""
        return np.concatenate(self._frames) if self._frames else None
