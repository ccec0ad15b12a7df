"""Audio without cuts, and the track that suits how audio is cut.

Knows audio and what was heard to. Does not know recognisers, files or batches. Seeking from the last
timestamp and the use of previous text are those of OpenAI's whisper/transcribe.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from asr_adapt.decoding import Decoding
from asr_adapt.models import HeardWindow, Hypothesis
from asr_adapt.transcription.longform.speech_track import SpeechTrack
from asr_adapt.transcription.longform.times import Clock
from asr_adapt.transcription.longform.turns import LEAST_STEP, Span, Track, Turn
from asr_adapt.transcription.windows import Piece


class StreamTrack(Track):
    """Audio without cuts: each window begins where the one before was heard to."""

    def __init__(self, options: Decoding, rate: int, known: Mapping[Span, Hypothesis], window: int) -> None:
        super().__init__(options, rate, known)
        self._window, self._audio, self._seek = window, np.empty(0, np.float32), 0
        self._starts = {start: stop for start, stop in known}
        self._out: Turn | None = None
        self._first: int | None = None

    def add(self, piece: Piece) -> None:
        if self._first is None:
            self._first = self._seek = piece.start
        self._audio = np.concatenate([self._audio, piece.samples])

    @property
    def done(self) -> bool:
        return self.ended and not len(self._audio) and self._out is None

    def ready(self) -> Iterator[Turn]:
        while self._out is None and len(self._audio) and (self.ended or len(self._audio) >= self._window):
            stop = self._starts.get(self._seek)
            if stop is not None and stop - self._seek <= len(self._audio):
                self._advance(stop - self._seek, self.known[(self._seek, stop)])
                continue
            samples = self._audio[: self._window]
            piece = Piece(self._seek, samples)
            self._out = self._turn(piece, 0, samples)
            yield self._out

    def take(self, turn: Turn, heard: HeardWindow) -> None:
        self._out = None
        length = len(turn.piece.samples)
        step = round(max(LEAST_STEP, heard.until) * self.rate)
        short = length - step < LEAST_STEP * self.rate  # what little is left is not heard for itself
        found = Clock(turn.piece, self.rate).placed(heard.phrases, looped=heard.looped)
        self._advance(length if short else step, found)

    def _advance(self, samples: int, hypothesis: Hypothesis) -> None:
        self.finished[(self._seek, self._seek + samples)] = hypothesis
        self._remember(hypothesis)
        self._seek += samples
        self._audio = self._audio[samples:]


def track_for(
    options: Decoding, rate: int, window: int, known: Mapping[Span, Hypothesis] | None = None
) -> Track:
    """The track that suits how the audio is cut."""
    if options.segmenter == "windows":
        return StreamTrack(options, rate, known or {}, window)
    return SpeechTrack(options, rate, known or {}, window)
