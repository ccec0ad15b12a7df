"""How windows follow each other through one source: what is heard next, again, and with which context.

Knows pieces, what was said in their windows, and what a voice-activity detector called speech. Does not know
recognisers, files or batches. Seeking from the last timestamp and the use of previous text are those of
OpenAI's whisper/transcribe.py; that speech without words is heard again is ours.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from asr_adapt.decoding import Decoding
from asr_adapt.models import HeardWindow, Hypothesis, Phrase, Window, Word
from asr_adapt.transcription.longform.times import Clock
from asr_adapt.transcription.windows import Piece

Span = tuple[int, int]

#: Seconds of speech behind the last word that are heard again: less is the ending of that word.
UNHEARD_SECONDS = 1.0
#: A window with so many seconds of speech in which nothing was heard is heard again, without its beginning.
SILENT_SECONDS = 5.0
#: A window moves on by at least so many seconds, so that every audio comes to an end.
LEAST_STEP = 0.5
#: A hole is heard again where it is shorter than the window that it was found in, by at least a fifth.
SHRINKS = 0.8
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
        self.language = None if options.language == "auto" else options.language
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
        detect, rate = self.options.language == "auto", self.rate
        spoken = [(max(0, a - start), min(b - start, len(samples))) for a, b in piece.speech]
        speech = tuple((a / rate, b / rate) for a, b in spoken if b > a)
        return Turn(Window(samples, self._previous, self.language, detect, speech), piece, start)

    def _remember(self, hypothesis: Hypothesis) -> None:
        """Language and context for what follows."""
        for phrase in hypothesis.phrases:
            if not self.options.condition_on_previous_text or phrase.decoded.temperature > RESET_TEMPERATURE:
                self._previous = ()
            else:
                self._previous += phrase.tokens
            self.language = self.language or phrase.decoded.language


class PieceTrack(Track):
    """Pieces of speech, each for itself; in order only where previous text is context or language unknown."""

    def __init__(self, options: Decoding, rate: int, known: Mapping[Span, Hypothesis]) -> None:
        super().__init__(options, rate, known)
        self._waiting: list[Piece] = []
        self._said: dict[Span, list[Phrase]] = {}  # of pieces that are being heard
        self._looped: set[Span] = set()
        self._again: list[Turn] = []
        self._out: Counter[Span] = Counter()  # turns of a piece that are not taken yet

    def add(self, piece: Piece) -> None:
        self._waiting.append(piece)

    @property
    def done(self) -> bool:
        return self.ended and not (self._waiting or self._said or self._again)

    def ready(self) -> Iterator[Turn]:
        turns, self._again = self._again, []
        yield from turns
        while self._waiting and not (self._said and self._in_order):
            piece = self._waiting.pop(0)
            span = (piece.start, piece.stop)
            if span in self.known:
                self._finish(span, self.known[span])
                continue
            self._said[span] = []
            self._out[span] += 1
            yield self._turn(piece, 0, piece.samples)

    @property
    def _in_order(self) -> bool:
        return self.options.condition_on_previous_text or self.language is None

    def take(self, turn: Turn, heard: HeardWindow) -> None:
        piece, offset = turn.piece, turn.start / self.rate
        span = (piece.start, piece.stop)
        self._out[span] -= 1
        kept, until = self._kept(turn, heard)
        self._looped |= {span} if heard.looped else set()
        self._said[span] += [_moved(phrase, offset) for phrase in kept]
        self._hear_on(turn, heard, kept, until)
        if not self._out[span]:
            said = sorted(self._said.pop(span), key=lambda phrase: phrase.start)
            del self._out[span]
            self._finish(span, Clock(piece, self.rate).placed(said, looped=span in self._looped))

    def _hear_on(self, turn: Turn, heard: HeardWindow, kept: Sequence[Phrase], until: float) -> None:
        """Further turns of a piece: holes in what was heard, and what lies behind it."""
        whole = len(turn.window.samples)
        for hole in heard.holes:
            own = self._hole(turn, hole)
            if len(own.window.samples) < SHRINKS * whole:  # so that every piece comes to an end
                self._hear_again(own)
        if self._unheard(turn, until) and until >= LEAST_STEP:
            if not turn.hole:
                self._remember(Hypothesis("", phrases=tuple(kept)))
            start = turn.start + self._next_speech(turn, until)
            samples = turn.piece.samples[start : turn.start + whole]
            self._hear_again(replace(self._turn(turn.piece, start, samples), hole=turn.hole))

    def _hear_again(self, turn: Turn) -> None:
        self._out[(turn.piece.start, turn.piece.stop)] += 1
        self._again.append(turn)

    def _hole(self, turn: Turn, seconds: tuple[float, float]) -> Turn:
        """The window of a hole, with a little around it."""
        pad = self.options.speech_pad
        start = turn.start + max(0, round((seconds[0] - pad) * self.rate))
        stop = turn.start + round((seconds[1] + pad) * self.rate)
        return replace(self._turn(turn.piece, start, turn.piece.samples[start:stop]), hole=True)

    def _kept(self, turn: Turn, heard: HeardWindow) -> tuple[list[Phrase], float]:
        """What is believed of a window, and the second from which more is to be heard, if anything is.

        The decoder may have closed its last phrase long before speech ended: then it goes on there.
        """
        if not heard.phrases:
            return [], self._second_speech(turn, heard.until)
        until = min(heard.until, heard.phrases[-1].end) if turn.piece.speech else heard.until
        return list(heard.phrases), until

    def _second_speech(self, turn: Turn, until: float) -> float:
        """Where to go on in a window of much speech in which nothing was heard: at its second stretch."""
        speech = turn.window.speech
        if len(speech) < 2 or sum(stop - begin for begin, stop in speech) < SILENT_SECONDS:
            return until
        return speech[1][0] - self.options.speech_pad

    def _unheard(self, turn: Turn, until: float) -> bool:
        """Whether a second or more of a window's speech lies behind second ``until``."""
        if not turn.piece.speech:
            return len(turn.window.samples) / self.rate - until > UNHEARD_SECONDS
        left = sum(max(0.0, stop - max(begin, until)) for begin, stop in turn.window.speech)
        return left > UNHEARD_SECONDS

    def _next_speech(self, turn: Turn, until: float) -> int:
        """The sample of the window at second ``until``, or a little before the speech behind it."""
        later = [begin for begin, stop in turn.window.speech if stop > until]
        return round(max([until, *(begin - self.options.speech_pad for begin in later[:1])]) * self.rate)

    def _finish(self, span: Span, hypothesis: Hypothesis) -> None:
        self.finished[span] = hypothesis
        self._remember(hypothesis)


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
    return PieceTrack(options, rate, known or {})


def _moved(phrase: Phrase, seconds: float) -> Phrase:
    words = tuple(_later(word, seconds) for word in phrase.words)
    return replace(phrase, start=phrase.start + seconds, end=phrase.end + seconds, words=words)


def _later(word: Word, seconds: float) -> Word:
    return replace(word, start=word.start + seconds, end=word.end + seconds)
