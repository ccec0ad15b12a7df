"""What one model asks of a manifest row.

Knows plain numbers and functions that the models room hands over. Knows no model and needs no torch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from asr_adapt.text import Spelling


@dataclass(frozen=True)
class ModelLimits:
    """Limits of the model ``name``; ``None`` means no such limit.

    ``vocabulary`` holds the characters that the model can write, ``frames`` turns seconds into CTC frames,
    ``max_seconds`` and ``max_labels`` bound one row, ``count_labels`` counts the labels of a transcript.
    ``spelling`` is how the vocabulary writes a text, and can be pickled; ``count_frames`` says how many CTC
    frames a transcript needs where that does not follow from its spelling (word pieces).
    """

    name: str = ""
    vocabulary: frozenset[str] | None = None
    frames: Callable[[float], int] | None = None
    max_seconds: float | None = None
    max_labels: int | None = None
    count_labels: Callable[[str], int] | None = None
    spelling: Spelling | None = None
    count_frames: Callable[[str], int] | None = None

    @property
    def cased(self) -> bool:
        """Whether the model can write capitals and punctuation: every character, or letters in both cases
        and a full stop."""
        known = self.vocabulary
        if known is None:
            return True
        upper, lower = (any(getattr(c, f"is{case}")() for c in known) for case in ("upper", "lower"))
        return upper and lower and "." in known
