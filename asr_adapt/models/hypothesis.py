"""What was heard: words, phrases with times, and how a decoder came to them.

Knows the values that recognisers give. Does not know how they are computed, nor audio files: seconds count
from the first sample that the recogniser was given.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Word:
    """One recognised word: ``start`` and ``end`` in seconds, ``probability`` in 0…1."""

    text: str
    start: float
    end: float
    probability: float


@dataclass(frozen=True)
class Decoded:
    """How a decoder found the text of one window: the figures of OpenAI's JSON.

    ``mean_score`` is the mean log-probability of its tokens in nats, ``compression`` the text's bytes over
    its compressed bytes, ``no_speech`` and ``language_probability`` the model's own probabilities where
    known, ``seek`` the second in the file at which the window begins.
    """

    temperature: float = 0.0
    mean_score: float = 0.0
    compression: float | None = None
    no_speech: float | None = None
    language: str | None = None
    language_probability: float | None = None
    seek: float | None = None


@dataclass(frozen=True)
class Phrase:
    """A stretch of text that the decoder put between two timestamps, in seconds."""

    start: float
    end: float
    text: str
    words: tuple[Word, ...] = ()
    confidence: float | None = None
    tokens: tuple[int, ...] = ()
    decoded: Decoded = Decoded()


@dataclass(frozen=True)
class Hypothesis:
    """What was heard in one waveform; ``confidence`` is the mean probability of its words.

    ``looped``: the decoder repeated itself over and over, or spoke on beyond what the clip's seconds hold.
    Where such rows are checked (:class:`Search`), the text is what was found instead; else it is the loop.
    ``phrases`` are set where the recogniser tells when what was said. ``unclear``: seconds of speech of which
    nothing that would be believed was made out.
    """

    text: str
    words: tuple[Word, ...] = ()
    confidence: float | None = None
    looped: bool = False
    phrases: tuple[Phrase, ...] = ()
    unclear: float = 0.0


@dataclass(frozen=True)
class Window:
    """Audio that a recogniser hears at once, at most its ``window_seconds`` long.

    ``previous`` are tokens of what was said before. ``language`` is the one to expect (None: the one saved,
    else the most probable); where ``detect``, none is saved, and another one that is certain takes its place.
    ``speech`` are the seconds from and to which a detector heard somebody speak; empty: nobody asked one.
    ``divisible``: what is doubtful may be left, since it can be heard again in smaller windows.
    """

    samples: np.ndarray
    previous: tuple[int, ...] = ()
    language: str | None = None
    detect: bool = False
    speech: tuple[tuple[float, float], ...] = ()
    divisible: bool = False


@dataclass(frozen=True)
class HeardWindow:
    """What was said in a window, in ``phrases``, up to the second ``until``; what follows is heard again.

    ``holes`` are the seconds from and to which speech before that was passed over. ``doubted``: what was said
    is not believed; of a divisible window, where a loop is doubtful too, it is left out.
    """

    phrases: tuple[Phrase, ...]
    until: float
    decoded: Decoded
    looped: bool = False
    holes: tuple[tuple[float, float], ...] = ()
    doubted: bool = False

    @property
    def tokens(self) -> tuple[int, ...]:
        """Everything that was said, timestamps included: the context of what follows."""
        return tuple(token for phrase in self.phrases for token in phrase.tokens)
