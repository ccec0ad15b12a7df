"""Sound in, words out, as they become certain: the transcript of a stream that has not ended.

Knows when to hear what is kept of the sound, when speech has ended, and what of the sound may go. Does not
know where sound comes from (``sound``) or how it is kept (``kept_sound``), clocks (``clock``), how words
become certain (``settling``), nor when a line ends (``lines``).

What is heard follows from the sound and the step alone, not from the blocks in which it comes, unless
``may_skip`` leaves hearings out.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from asr_adapt.decoding import Decoding
from asr_adapt.errors import UsageError
from asr_adapt.models import Hypothesis, Recogniser, Word
from asr_adapt.text.spaces import pieces
from asr_adapt.transcription.calibration import hear
from asr_adapt.transcription.live.activity import activity_for
from asr_adapt.transcription.live.kept_sound import Beginning, KeptSound
from asr_adapt.transcription.live.lines import PAUSE, Lines, LiveUpdate
from asr_adapt.transcription.live.settling import HeldBack, LocalAgreement, Settling
from asr_adapt.transcription.longform.undetected import SILENCE
from asr_adapt.transcription.pieces import SHORTEST_SECONDS
from asr_adapt.transcription.result import Transcript

#: Seconds from one hearing to the next.
STEP = 1.0
#: A network that hears frame by frame is believed about words that end so many seconds before the last sound.
MARGIN = 1.0


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
        self._sound = KeptSound(self.rate, options, step, recogniser.window_seconds)
        self._start = Beginning(self.rate)

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
