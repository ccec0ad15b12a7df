"""What becomes of the phrases of a window: how sure they are, where the last ends, which have text.

Knows phrases and seconds. Does not know tokens' meaning, nor how a window is heard.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from asr_adapt.models.hypothesis import HeardWindow

#: A transcript that ends so many seconds before its window, without a timestamp, may have ended early …
UNHEARD = 2.0
#: … and the rest is heard again from so many seconds behind its last word.
MARGIN = 0.3


def confidence_of(scores: Sequence[float]) -> float | None:
    """The geometric mean of the probabilities of a phrase's tokens, timestamps not counted."""
    return math.exp(sum(scores) / len(scores)) if scores else None


def ended(heard: HeardWindow, end: float) -> HeardWindow:
    """The same with its one phrase ended at second ``end``; what lies far behind that is heard again."""
    phrase = heard.phrases[0]
    end = min(max(end, phrase.start), heard.until)
    until = heard.until if heard.until - end < UNHEARD else end + MARGIN
    return replace(heard, phrases=(replace(phrase, end=end),), until=until)


def spoken_only(heard: HeardWindow) -> HeardWindow:
    """Without the phrases that have no text."""
    return replace(heard, phrases=tuple(phrase for phrase in heard.phrases if phrase.text))
