"""How windows follow each other through one source: what is heard next, again, and with which context.

Knows pieces, what was said in their windows, and what a voice-activity detector called speech. Does not know
recognisers, files or batches. Seeking from the last timestamp and the use of previous text are those of
OpenAI's whisper/transcribe.py; that speech without words is heard again is ours.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from asr_adapt.decoding import Decoding
from asr_adapt.models import HeardWindow, Hypothesis, Phrase, Window
from asr_adapt.transcription.windows import Piece

Span = tuple[int, int]

#: A window moves on by at least so many seconds, so that every audio comes to an end.
LEAST_STEP = 0.5
#: Text found at a higher temperature is no context for what follows (OpenAI's value).
RESET_TEMPERATURE = 0.5


@dataclass(frozen=True)
class Turn:
    """A window to hear, and where it starts in its piece (samples).

    ``hole``: speech inside a window heard before, in which no word was found.
    """

    window: Window
    piece: Piece
    start: int
    hole: bool = False


class Track(ABC):
    """One source on its way; ``known`` are spans that an earlier run heard, ``finished`` all heard."""

    def __init__(self, options: Decoding, rate: int, known: Mapping[Span, Hypothesis]) -> None:
        self.options, self.rate, self.known = options, rate, known
        self.finished: dict[Span, Hypothesis] = {}
        self.ended = False
        self.detects = options.language == "auto"
        #: That of the first window; where every window is asked, that of the last one.
        self.language = None if self.detects else options.language
        self._previous: tuple[int, ...] = ()

    @abstractmethod
    def add(self, piece: Piece) -> None:
        """Audio that follows what was added before."""

    @abstractmethod
    def ready(self) -> Iterator[Turn]:
        """Turns that can be taken now, each given once."""

    @abstractmethod
    def take(self, turn: Turn, heard: HeardWindow) -> None:
        """What was heard in a turn."""

    @property
    @abstractmethod
    def done(self) -> bool:
        """Whether the source ended and all of it is heard."""

    def end(self) -> None:
        """No more audio follows."""
        self.ended = True

    def _turn(self, piece: Piece, start: int, samples: np.ndarray) -> Turn:
        rate = self.rate
        spoken = [(max(0, a - start), min(b - start, len(samples))) for a, b in piece.speech]
        speech = tuple((a / rate, b / rate) for a, b in spoken if b > a)
        return Turn(Window(samples, self._previous, self.language, self.detects, speech), piece, start)

    def _remember(self, hypothesis: Hypothesis) -> None:
        """Language and context for what follows."""
        for phrase in hypothesis.phrases:
            if not self.options.condition_on_previous_text or hypothesis.looped or self._doubtful(phrase):
                self._previous = ()
            else:
                self._previous += phrase.tokens
            if self.language is None or self.detects:
                self.language = phrase.decoded.language or self.language

    def _doubtful(self, phrase: Phrase) -> bool:
        """Whether a phrase would lead what follows astray: drawn, improbable or repetitive."""
        own, options = phrase.decoded, self.options
        likely, packed = options.log_prob_threshold, options.compression_ratio_threshold
        return (
            own.temperature > RESET_TEMPERATURE
            or (likely is not None and own.mean_score < likely)
            or (packed is not None and own.compression is not None and own.compression > packed)
        )
