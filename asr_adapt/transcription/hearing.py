"""What a recogniser takes of a recording: how much at once, timed or not, with the text before or not.

Knows capabilities and the options that leave something to the recogniser. Does not know how audio is read.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from asr_adapt.decoding import Decoding
from asr_adapt.models import Recogniser
from asr_adapt.transcription.sources import Source


@dataclass(frozen=True)
class Hearing:
    """What the recogniser can take: samples a second, seconds in one piece, and whether it is one that hears
    windows and says when what was said; ``words``: whether it tells when words were said; ``previous_text``:
    whether what was said before is context where nobody asked."""

    sample_rate: int
    window_seconds: float
    timed: bool = False
    words: bool = True
    previous_text: bool = False

    @staticmethod
    def of(recogniser: Recogniser) -> Hearing:
        """What ``recogniser`` takes."""
        able, rate = recogniser.capabilities, recogniser.sample_rate
        return Hearing(
            rate, recogniser.window_seconds, able.hears_windows, able.word_times, able.previous_text
        )

    def settled(self, options: Decoding) -> Decoding:
        """The options with the recogniser's own choice where they leave it open."""
        if options.condition_on_previous_text is not None:
            return options
        return replace(options, condition_on_previous_text=self.previous_text)

    def timed_windows(self, source: Source) -> bool:
        """Whether ``source`` is heard in windows with timestamps: a manifest's clip that fits into one window
        is not, since it is heard as in training, whether or not its row says how long it is."""
        if not self.timed or source.row is None:
            return self.timed
        return source.seconds is None or source.seconds > self.window_seconds
