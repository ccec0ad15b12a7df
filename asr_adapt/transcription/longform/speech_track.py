"""Packed speech through windows that follow each other: each begins where the one before was heard to.

Knows lanes of pieces, rests, holes, and what was said in their windows. Does not know recognisers, files or
batches. That what a decoder left at the end of a window is heard together with the audio that follows is
OpenAI's seeking (whisper/transcribe.py); that speech without words is heard again is ours.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise

from asr_adapt.decoding import Decoding
from asr_adapt.models import HeardWindow, Hypothesis, Phrase, Word
from asr_adapt.models.words.holes import hurried
from asr_adapt.transcription.longform.timeline import Cuts, Timeline
from asr_adapt.transcription.longform.times import Clock
from asr_adapt.transcription.longform.turns import LEAST_STEP, Span, Track, Turn
from asr_adapt.transcription.windows import Piece

#: Pieces of a lane. Lanes are heard side by side: more pieces leave fewer ends at which a rest has nothing
#: behind it, fewer make fuller batches of one file.
LANE = 6
#: A window of at least so many seconds that is not believed is heard in halves.
DIVISIBLE_SECONDS = 8.0
#: Seconds of speech behind the last word that are heard again: less is the ending of that word.
UNHEARD_SECONDS = 1.0
#: A window with so many seconds of speech in which nothing was heard is heard again, without its beginning.
SILENT_SECONDS = 5.0
#: A hole inside a hole is heard again where it is shorter by at least a fifth.
SHRINKS = 0.8


@dataclass
class _Lane:
    """Pieces that are heard one window after the other; the position of the next, and its most samples."""

    line: Timeline
    most: int
    position: int = 0
    pieces: int = 0
    closed: bool = False
    busy: bool = False

    @property
    def done(self) -> bool:
        return self.closed and not self.busy and self.line.next(self.position) is None


@dataclass
class _HeardSpeech:
    """A window that is being heard, with the turns of its holes that are not taken yet."""

    piece: Piece
    lane: _Lane
    begin: int  # its position in the lane
    stop: int = 0  # sample of the file to which it was heard
    said: list[Phrase] = field(default_factory=list)
    looped: bool = False
    unclear: float = 0.0  # seconds
    out: int = 1


class SpeechTrack(Track):
    """Lanes of pieces side by side; one after the other where previous text is context, where each window
    is asked for its language, and until the language is known."""

    def __init__(self, options: Decoding, rate: int, known: Mapping[Span, Hypothesis], window: int) -> None:
        super().__init__(options, rate, known)
        self._cuts = Cuts(window, round(options.speech_pad * rate), round(options.max_silence * rate))
        self._stops = {start: stop for start, stop in known}
        self._lanes: list[_Lane] = []
        self._hearing: dict[int, _HeardSpeech] = {}  # by the first sample of the window
        self._again: list[Turn] = []
        self._in_turn = bool(options.condition_on_previous_text) or self.detects

    def add(self, piece: Piece) -> None:
        if not self._lanes or self._lanes[-1].closed:
            self._lanes.append(_Lane(Timeline(self._cuts), self._cuts.window))
        lane = self._lanes[-1]
        lane.line.add(piece)
        lane.pieces += 1
        lane.closed = lane.pieces >= LANE and not self._in_turn

    def end(self) -> None:
        super().end()
        for lane in self._lanes:
            lane.closed = True

    @property
    def done(self) -> bool:
        return self.ended and not (self._again or self._hearing) and all(lane.done for lane in self._lanes)

    def ready(self) -> Iterator[Turn]:
        turns, self._again = self._again, []
        yield from turns
        for lane in self._lanes:
            if self._hearing and self.language is None:
                break
            turn = self._next(lane)
            if turn is not None:
                yield turn
        self._lanes = [lane for lane in self._lanes if not lane.done]

    def _next(self, lane: _Lane) -> Turn | None:
        """The next window of a lane, behind what is known already."""
        while not lane.busy:
            start = lane.line.next(lane.position)
            stop = None if start is None else lane.line.window(start, lane.most, last=lane.closed)
            if start is None or stop is None:
                return None
            piece = lane.line.piece(start, stop)
            if piece.start in self._stops:
                span = (piece.start, self._stops[piece.start])
                self._advance(lane, lane.line.position(span[1]))
                self._remember(self.known[span])
                self.finished[span] = self.known[span]
                continue
            lane.busy = True
            self._hearing[piece.start] = _HeardSpeech(piece, lane, start)
            return self._divisible(self._turn(piece, 0, piece.samples))
        return None

    def _divisible(self, turn: Turn) -> Turn:
        """The same, marked where it is long enough to be heard in halves."""
        long = len(turn.window.samples) >= DIVISIBLE_SECONDS * self.rate
        divisible = long and _middle_pause(turn) is not None
        return replace(turn, window=replace(turn.window, divisible=divisible))

    def _advance(self, lane: _Lane, position: int) -> None:
        lane.position, lane.most = position, self._cuts.window
        lane.line.forget(position)

    def take(self, turn: Turn, heard: HeardWindow) -> None:
        own, offset = self._hearing[turn.piece.start], turn.start / self.rate
        own.out -= 1
        if heard.doubted and turn.window.divisible:
            self._halve(turn, own)
            return
        left_out = heard.doubted and (turn.hole or _hurried(turn, heard))
        heard = replace(heard, phrases=()) if left_out else heard if turn.hole else _before_hole(heard)
        until = self._until(turn, heard)
        own.looped |= heard.looped
        own.said += [_moved(phrase, offset) for phrase in heard.phrases]
        own.unclear += _spoken(turn, 0.0, until) if left_out else 0.0
        self._hear_holes(turn, heard, own)
        if turn.hole:
            self._hear_rest(turn, until, own)
        else:
            self._hear_on(turn, heard, until, own)
        if not own.out:
            del self._hearing[turn.piece.start]
            said = sorted(own.said, key=lambda phrase: phrase.start)
            placed = Clock(own.piece, self.rate).placed(said, looped=own.looped)
            heard_all = self.finished[(own.piece.start, own.stop)] = replace(placed, unclear=own.unclear)
            if self._in_turn:  # holes included, as a run that goes on finds it in its journal
                self._remember(heard_all)
                own.lane.busy = False

    def _halve(self, turn: Turn, own: _HeardSpeech) -> None:
        """A window that is not believed is heard again as a smaller one, a hole as two of them."""
        pause = _middle_pause(turn)
        assert pause is not None
        if not turn.hole:
            own.lane.most, own.lane.busy = math.ceil(pause * self.rate), False
            del self._hearing[turn.piece.start]
            return
        cut, stop = turn.start + round(pause * self.rate), turn.start + len(turn.window.samples)
        for start, end in ((turn.start, cut), (cut, stop)):
            self._hear_again(self._turn(turn.piece, start, turn.piece.samples[start:end]), own)

    def _hear_on(self, turn: Turn, heard: HeardWindow, until: float, own: _HeardSpeech) -> None:
        """The lane goes on where this window was heard to: with its rest, or behind it."""
        step = len(turn.window.samples)
        if self._unheard(turn, until):
            step = min(step, round(max(LEAST_STEP, until) * self.rate))
        position, own.lane.busy = own.begin + step, self._in_turn
        own.stop = own.lane.line.file_sample(position)
        self._advance(own.lane, position)
        if not self._in_turn:
            self._remember(Hypothesis("", phrases=heard.phrases))

    def _hear_holes(self, turn: Turn, heard: HeardWindow, own: _HeardSpeech) -> None:
        """Speech without words inside the window; that of a hole's own window only where it is smaller."""
        most = len(turn.window.samples) * (SHRINKS if turn.hole else 1.0)
        pad = self.options.speech_pad
        for begin, end in heard.holes:
            start = turn.start + max(0, round((begin - pad) * self.rate))
            samples = turn.piece.samples[start : turn.start + round((end + pad) * self.rate)]
            if len(samples) < most:  # so that every piece comes to an end
                self._hear_again(self._turn(turn.piece, start, samples), own)

    def _hear_rest(self, turn: Turn, until: float, own: _HeardSpeech) -> None:
        """What was not heard of a hole."""
        if self._unheard(turn, until) and until >= LEAST_STEP:
            start = turn.start + self._next_speech(turn, until)
            samples = turn.piece.samples[start : turn.start + len(turn.window.samples)]
            self._hear_again(self._turn(turn.piece, start, samples), own)

    def _hear_again(self, turn: Turn, own: _HeardSpeech) -> None:
        """A turn of a hole, or of a part of one."""
        own.out += 1
        divisible = _middle_pause(turn) is not None
        self._again.append(replace(turn, window=replace(turn.window, divisible=divisible), hole=True))

    def _until(self, turn: Turn, heard: HeardWindow) -> float:
        """The second from which more is to be heard, if anything is.

        The decoder may have closed its last phrase long before speech ended: then it goes on there.
        """
        if not heard.phrases:
            return self._second_speech(turn, heard.until)
        return min(heard.until, heard.phrases[-1].end) if turn.piece.speech else heard.until

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
        return _spoken(turn, until, math.inf) > UNHEARD_SECONDS

    def _next_speech(self, turn: Turn, until: float) -> int:
        """The sample of the window at second ``until``, or a little before the speech behind it."""
        later = [begin for begin, stop in turn.window.speech if stop > until]
        return round(max([until, *(begin - self.options.speech_pad for begin in later[:1])]) * self.rate)


def _spoken(turn: Turn, start: float, end: float) -> float:
    """Seconds of speech between two moments of a window."""
    return sum(max(0.0, min(stop, end) - max(begin, start)) for begin, stop in turn.window.speech)


def _middle_pause(turn: Turn) -> float | None:
    """The second of the pause nearest to a window's middle, if one is at least a second from both ends."""
    last = turn.window.speech[-1][1] if turn.window.speech else 0.0
    pauses = [(a[1] + b[0]) / 2 for a, b in pairwise(turn.window.speech)]
    inside = [pause for pause in pauses if 1.0 <= pause <= last - 1.0]
    return min(inside, key=lambda pause: abs(pause - last / 2), default=None)


def _hurried(turn: Turn, heard: HeardWindow) -> bool:
    """Whether more was written than can be said in that time."""
    text = " ".join(phrase.text for phrase in heard.phrases)
    return bool(turn.window.speech) and hurried(text, turn.window.speech)


def _before_hole(heard: HeardWindow) -> HeardWindow:
    """What was said before a hole, where the next window begins; all if nothing was said before it."""
    for number, (hole, _) in enumerate(heard.holes):
        kept = tuple(phrase for phrase in heard.phrases if phrase.end <= hole)
        if kept:
            return replace(heard, phrases=kept, until=hole, holes=heard.holes[:number])
    return heard


def _moved(phrase: Phrase, seconds: float) -> Phrase:
    words = tuple(_later(word, seconds) for word in phrase.words)
    return replace(phrase, start=phrase.start + seconds, end=phrase.end + seconds, words=words)


def _later(word: Word, seconds: float) -> Word:
    return replace(word, start=word.start + seconds, end=word.end + seconds)
