"""One model's view of a row: labels, unknown characters, frames.

Splits :class:`~asr_adapt.manifest.limits.ModelLimits` into a part that can be sent to worker processes
(characters) and a part that stays with the caller (functions of the model). Knows no model.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from asr_adapt.manifest.limits import ModelLimits
from asr_adapt.text import Spelling, normalise


@dataclass(frozen=True, slots=True)
class LabelRules:
    """How a transcript becomes labels; ``spelling`` is None when the model writes any character, ``cased``
    says whether it writes capitals and punctuation."""

    profile: str
    spelling: Spelling | None
    cased: bool = False

    @classmethod
    def of(cls, limits: ModelLimits, profile: str) -> LabelRules:
        """Rules of a model: its own spelling, else that of the characters that it can write."""
        known = limits.vocabulary
        plain = None if known is None else Spelling(frozenset(known))
        return cls(profile, limits.spelling or plain, limits.cased)

    def prepare(self, text: str) -> str:
        """The normalised transcript."""
        return normalise(text, self.profile)

    def unknown(self, prepared: str) -> Counter[str]:
        """Characters, or phonemes, without a label: how often each, in order of appearance."""
        return Counter() if self.spelling is None else Counter(self.spelling.unknown(prepared))

    def frames(self, prepared: str) -> int:
        """CTC frames that the transcript needs, one label a character where no spelling is known."""
        if self.spelling is not None:
            return self.spelling.frames(prepared)
        return len(prepared) + sum(a == b for a, b in pairwise(prepared))


def limit_findings(
    limits: ModelLimits, duration: float, needed: int, text: str | None
) -> Iterator[tuple[str, str]]:
    """Codes and sentences for one row. ``duration`` in seconds (NaN: unknown), ``needed`` CTC frames."""
    if limits.max_seconds is not None and duration > limits.max_seconds:
        yield (
            "too-long",
            f"{duration:.1f} s of audio, the model takes at most {limits.max_seconds:g} s.",
        )
    if limits.frames is not None and not math.isnan(duration):
        frames = limits.frames(duration)
        if frames < needed:
            yield (
                "ctc-infeasible",
                f"the transcript needs {needed} frames, {duration:.2f} s of audio give {frames}.",
            )
    if text is not None and limits.max_labels is not None and limits.count_labels is not None:
        labels = limits.count_labels(text)
        if labels > limits.max_labels:
            yield "too-many-labels", f"{labels} labels, the model takes at most {limits.max_labels}."
