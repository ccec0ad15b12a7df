"""One model's view of a row: labels, unknown characters, frames.

Splits :class:`~asr_adapt.manifest.limits.ModelLimits` into a part that can be sent to worker processes
(characters) and a part that stays with the caller (functions of the model). Knows no model.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from asr_adapt.manifest.limits import ModelLimits
from asr_adapt.text import normalise


@dataclass(frozen=True, slots=True)
class LabelRules:
    """How a transcript becomes labels; ``characters`` is None when the model writes any character."""

    profile: str
    characters: frozenset[str] | None

    @classmethod
    def of(cls, limits: ModelLimits, profile: str) -> LabelRules:
        """Characters count in either case, because labels are written in the model's case."""
        known = limits.vocabulary
        if known is None:
            return cls(profile, None)
        return cls(profile, known | {c.upper() for c in known} | {c.lower() for c in known} | {" "})

    def prepare(self, text: str) -> str:
        """The normalised transcript."""
        return normalise(text, self.profile)

    def unknown(self, prepared: str) -> list[str]:
        """Characters without a label, in order of appearance."""
        if self.characters is None:
            return []
        missing = set(prepared) - self.characters
        return [c for c in dict.fromkeys(prepared) if c in missing] if missing else []


def frames_needed(prepared: str) -> int:
    """CTC needs a frame for every label and a blank between equal neighbours."""
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
