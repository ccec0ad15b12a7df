"""Sound in, words out, as they become certain: the transcript of a stream that has not ended.

Knows when to hear what is kept of the sound, when speech has ended, and what of the sound may go. Does not
know where sound comes from (``sound``), clocks (``clock``), how words become certain (``settling``), nor
what is done with them.

What is heard follows from the sound and the step alone, not from the blocks in which it comes, unless
``may_skip`` leaves hearings out.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from asr_adapt.decoding import Decoding
from asr_adapt.errors import UsageError
from asr_adapt.models import Hypothesis, Recogniser, Word
from asr_adapt.text.spaces import joined, pieces
from asr_adapt.transcription.calibration import hear
from asr_adapt.transcription.engine import SHORTEST_SECONDS
from asr_adapt.transcription.live.activity import FRAME, activity_for
from asr_adapt.transcription.live.settling import HeldBack, LocalAgreement, Settling
from asr_adapt.transcription.longform.undetected import SHORT_SECONDS, SILENCE
from asr_adapt.transcription.result import Segment, Transcript, mean_probability

#: Seconds from one hearing to the next.
STEP = 1.0
#: A silence of so many seconds ends what is said: the rest is committed, and a line ends.
PAUSE = 0.8
#: No line holds more seconds than this.
LONGEST_LINE = 30.0
#: A network that hears frame by frame is believed about words that end so many seconds before the last sound.
MARGIN = 1.0


@dataclass(frozen=True)
class LiveUpdate:
    """What one hearing brought; seconds count from the start of the stream.

    ``words`` are committed now and never change; ``tentative`` are those that follow for the moment.
    ``segments`` ended with this update, ``text`` is committed of the one that is open. ``heard`` is the
    second up to which sound was heard.
    """

    words: tuple[Word, ...]
    tentative: tuple[Word, ...]
    segments: tuple[Segment, ...]
    text: str
    heard: float

    @property
    def tentative_text(self) -> str:
        """The words that may still change, as text."""
        return joined([word.text for word in self.tentative])


class Lines:
    """Committed words in segments, each ended by a pause or by its length."""

    def __init__(self) -> None:
        self.ended: list[Segment] = []
        self.open: list[Word] = []

    def add(self, words: Sequence[Word]) -> None:
        """Words that follow."""
        for word in words:
            if self.open and (
                word.start - self.open[-1].end >= PAUSE or word.end - self.open[0].start > LONGEST_LINE
            ):
                self.end()
            self.open.append(word)

    def end(self) -> None:
        """What is open is a whole segment."""
        if self.open:
            words = tuple(self.open)
            self.ended.append(
                Segment(words[0].start, words[-1].end, self.text, words, mean_probability(words))
            )
            self.open = []

    @property
    def text(self) -> str:
        """The words of the open segment."""
        return joined([word.text for word in self.open])


def _never(second: float) -> bool:
    del second
    return False


class LiveStream:
    """One stream through ``recogniser``, heard anew every ``step`` seconds while somebody speaks.

    ``may_skip`` is asked, with the second that has been reached, whether a hearing may be left out because
    later sound is waiting; what is left out is heard with the next. Raises UsageError for options that need
    the whole recording.
    """

    def __init__(
        self,
        recogniser: Recogniser,
        options: Decoding,
        *,
        step: float = STEP,
        may_skip: Callable[[float], bool] = _never,
    ) -> None:
        require_live(options, step)
        self.recogniser, self.options, self.may_skip = recogniser, options, may_skip
        self.rate = recogniser.sample_rate
        self.lines = Lines()
        self.remarks: list[str] = []
        self.compute_seconds, self.hearings = 0.0, 0
        self._settling = settling_for(recogniser, options)
        self._activity = activity_for(self.rate, options)
        self._sound = _Sound(self.rate, options, step, recogniser.window_seconds)
        self._start = _Beginning(self.rate)

    def feed(self, samples: np.ndarray) -> Iterator[LiveUpdate]:
        """Take float32 mono samples (n,) at the recogniser's rate; an update for each hearing."""
        for frame, speaks in self._activity.frames(samples):
            yield from self._frame(frame, speaks)

    def finish(self) -> Iterator[LiveUpdate]:
        """The stream has ended: hear the rest and commit everything."""
        for frame, speaks in self._activity.frames(np.empty(0, np.float32), last=True):
            yield from self._frame(frame, speaks)
        if self._sound.open:
            yield self._closed()
        elif not self._sound.opened and self._start.level > SILENCE:
            yield from self._undetected()

    def transcript(self, source: str) -> Transcript:
        """Everything that is committed so far."""
        open_line = Lines()
        open_line.add(self.lines.open)
        open_line.end()
        return Transcript(
            source,
            (*self.lines.ended, *open_line.ended),
            self._sound.end / self.rate,
            self.recogniser.name,
            None if self.options.language == "auto" else self.options.language,
            self.compute_seconds,
            tuple(self.remarks),
            {"audio_filepath": source},
        )

    def _frame(self, frame: np.ndarray, speaks: bool) -> Iterator[LiveUpdate]:
        self._start.add(frame)
        sound = self._sound
        sound.add(frame, speaks)
        if sound.silent_for(PAUSE):
            if sound.spoken_enough:
                yield self._closed()
            else:
                sound.drop()
        elif sound.full:
            yield self._heard(final=True)
        elif sound.stepped() and not (sound.has_room and self.may_skip(sound.end / self.rate)):
            yield self._heard()

    def _closed(self) -> LiveUpdate:
        """Somebody has finished: hear it once more, unless that was done, and commit the rest."""
        return self._heard(final=True, ends=True)

    def _heard(self, *, final: bool = False, ends: bool = False) -> LiveUpdate:
        """Hear what is kept and let go of what is not needed any more."""
        sound = self._sound
        start, heard = sound.start / self.rate, sound.heard_to / self.rate
        committed = self._settling.settle(self._words(sound.kept(), start), heard)
        if final:
            committed += self._settling.finish()
            sound.drop() if ends else sound.keep(heard)
        else:
            sound.keep(self._settling.keep_from(start, heard))
        return self._update(committed, ends=ends)

    def _update(self, committed: list[Word], *, ends: bool) -> LiveUpdate:
        lines, before = self.lines, len(self.lines.ended)
        lines.add(committed)
        tentative, heard = self._settling.tentative, self._sound.end / self.rate
        quiet = bool(lines.open) and not tentative and heard - MARGIN - lines.open[-1].end >= PAUSE
        if ends or quiet:
            lines.end()
        return LiveUpdate(tuple(committed), tentative, tuple(lines.ended[before:]), lines.text, heard)

    def _words(self, samples: np.ndarray, start: float) -> list[Word]:
        """The words of ``samples``, which begin at second ``start``."""
        began = time.perf_counter()
        padded = np.pad(samples, (0, max(0, round(SHORTEST_SECONDS * self.rate) - len(samples))))
        timed = self.recogniser.capabilities.word_times
        found = hear(self.recogniser, [padded], self.options, words=timed)[0]
        self.compute_seconds += time.perf_counter() - began
        self.hearings += 1
        words = found.words or _spread(found, len(samples) / self.rate)
        return [replace(word, start=word.start + start, end=word.end + start) for word in words]

    def _undetected(self) -> Iterator[LiveUpdate]:
        """Nobody was heard speaking in sound that is no silence; see ``longform.undetected``."""
        whole = self._start.whole
        if whole is None:
            seconds = self._sound.end / self.rate
            self.remarks.append(
                f"no speech was detected in {seconds:.1f} s of sound: "
                "--segmenter windows transcribes everything."
            )
            return
        committed = self._settling.settle(self._words(whole, 0.0), self._sound.end / self.rate)
        yield self._update(committed + self._settling.finish(), ends=True)


class _Sound:
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


class _Beginning:
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


def require_live(options: Decoding, step: float) -> None:
    """Raise UsageError for what only a whole recording can have."""
    if options.diarize:
        raise UsageError("speaker labels need the whole recording: remove --diarize.")
    if options.clips:
        raise UsageError("--clip-timestamps cuts recordings: remove it from live transcription.")
    if options.condition_on_previous_text:
        raise UsageError("--condition-on-previous-text does not work live: remove it.")
    if not 0.1 <= step <= 10.0:
        raise UsageError(f"the step of live transcription is 0.1 to 10 seconds, not {step:g}.")


def settling_for(recogniser: Recogniser, options: Decoding) -> Settling:
    """LocalAgreement for what has a decoder, which may change its mind; else words are held back."""
    able = recogniser.capabilities
    if able.decoder:
        return LocalAgreement(timed=able.word_times)
    return HeldBack(MARGIN, options.overlap_seconds)


def _spread(found: Hypothesis, seconds: float) -> list[Word]:
    """Words of a text without times, evenly over its seconds."""
    parts = pieces(found.text)
    length = seconds / max(1, len(parts))
    sure = found.confidence if found.confidence is not None else 0.0
    return [Word(text, n * length, (n + 1) * length, sure) for n, text in enumerate(parts)]
