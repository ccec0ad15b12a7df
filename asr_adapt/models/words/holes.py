"""Speech that a decoder passed over: stretches of a window in which somebody speaks and no word lies.

Knows phrases, their words, and what a voice-activity detector called speech. Does not know networks or audio.
A decoder that skips half a window still closes its phrase with timestamps as if it had heard all of it, so
that only its words, placed by cross-attention, tell what is missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from asr_adapt.models.hypothesis import Phrase

#: Seconds of speech without a word that are heard again.
LEAST = 3.0
#: A phrase of fewer text tokens a second of speech may hide a hole; slow readers say twice as many.
SLOW = 1.5

#: Text tokens a second of usual speech.
USUAL = 3.0
#: Characters a second of speech from which a text is too long to be said; quick speakers of English say 22.
HURRIED = 25.0

Stretch = tuple[float, float]


def shared(speech: Sequence[Stretch], start: float, end: float) -> list[Stretch]:
    """The parts of ``speech`` between ``start`` and ``end``, in seconds."""
    return [(max(start, a), min(end, b)) for a, b in speech if min(end, b) > max(start, a)]


def slow(phrase: Phrase, tokens: int, speech: Sequence[Stretch]) -> bool:
    """Whether a phrase of so many text ``tokens`` says little for the speech it spans."""
    seconds = sum(b - a for a, b in shared(speech, phrase.start, phrase.end))
    return seconds >= LEAST and tokens < SLOW * seconds


def hurried(text: str, speech: Sequence[Stretch]) -> bool:
    """Whether ``text`` is longer than anybody could say it in the seconds of ``speech``."""
    return len(text) > HURRIED * sum(end - start for start, end in speech)


def holes(spoken: Sequence[Stretch], speech: Sequence[Stretch]) -> tuple[Stretch, ...]:
    """Where ``LEAST`` seconds of ``speech`` or more lie in front of one of the stretches ``spoken``.

    What lies behind the last one is no hole: a window is heard on from there anyway.
    """
    found = []
    for (_, before), (after, _) in pairwise([(0.0, 0.0), *spoken]):
        missed = shared(speech, before, after)
        if sum(b - a for a, b in missed) >= LEAST:
            found.append((missed[0][0], missed[-1][1]))
    return tuple(found)


def early_end(tokens: int, speech: Sequence[Stretch]) -> float:
    """Where a decoder stopped that said so many text ``tokens`` and then nothing, in seconds.

    It began at the beginning: the pause is taken that lies nearest to as much speech as such a text fills, or
    a moment inside ``speech`` where no pause is near.
    """
    wanted, before = tokens / USUAL, 0.0
    ends: list[tuple[float, float]] = []  # seconds by which too much or too little is taken, and the end
    for start, end in speech:
        ends.append((abs(before + end - start - wanted), end))
        if before < wanted < before + end - start:
            ends.append((LEAST, start + wanted - before))
        before += end - start
    return min(ends)[1]
