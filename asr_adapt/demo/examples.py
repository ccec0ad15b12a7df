"""A few sentences that show what an adaptation did.

Knows predictions files of a result folder and how sentences are drawn. Does not know how they are shown.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

from asr_adapt.manifest import Manifest
from asr_adapt.scoring import word_errors

#: Sentences of fewer words show too little.
FEWEST_WORDS = 5


@dataclass(frozen=True, slots=True)
class HeardSentence:
    """One test sentence: the recording, what was said, and what the base and the adapted model wrote."""

    audio: Path
    said: str
    before: str
    after: str


def examples_of(result: Path, seed: int, count: int = 3, profile: str = "basic") -> list[HeardSentence]:
    """``count`` test sentences that the base got wrong, drawn at random rather than picked by their gain.

    ``result`` is the folder that ``train`` wrote.
    """
    before, after = (
        Manifest.open(result / "predictions" / f"target.{when}.jsonl") for when in ("before", "after")
    )
    wrong = [
        HeardSentence(
            row.audio_path, row.text or "", str(row.extra["pred_text"]), str(new.extra["pred_text"])
        )
        for row, new in zip(before, after, strict=True)
        if len((row.text or "").split()) >= FEWEST_WORDS
        and word_errors([row.text or ""], [str(row.extra["pred_text"])], profile).errors
    ]
    return random.Random(seed).sample(wrong, min(count, len(wrong)))
