"""What was written, heard on some rows and compared with the result: the proof that it is the same model.

Knows how far two transcripts are apart. Does not know formats.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from asr_adapt.errors import DataError, UsageError
from asr_adapt.manifest import Manifest, Utterance
from asr_adapt.models import Recogniser
from asr_adapt.publishing.result import Result, spread
from asr_adapt.scoring import word_errors
from asr_adapt.transcription import evaluate_rows


@dataclass(frozen=True)
class Compared:
    """``same`` of ``rows`` have the result's text; ``apart`` is the share of words that differ."""

    name: str
    rows: int
    same: int
    apart: float
    tolerance: float

    @property
    def fits(self) -> bool:
        """Whether it is near enough."""
        return self.apart <= self.tolerance

    @property
    def sentence(self) -> str:
        """What was found, for a person."""
        texts = f"the text of {self.same} of {self.rows} rows is the result's own"
        if self.same == self.rows:
            return f"{self.name}: loaded back, {texts}"
        share = f"{self.apart:.1%} of the words differ ({self.tolerance:.0%} may)"
        return f"{self.name}: {'loaded back' if self.fits else 'NOT THE SAME MODEL'}, {texts}, {share}"

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self) | {"fits": self.fits}


def rows_to_hear(result: Result, manifest: str | None, most: int) -> list[Utterance]:
    """Rows with sound: of ``manifest``, else of the result's own test set, evenly spread.

    Raises :class:`UsageError` where none can be heard.
    """
    rows = (
        list(Manifest.open(manifest)) if manifest else [r for name in result.sets for r in result.rows(name)]
    )
    heard = [row for row in rows if Path(row.audio_path).is_file()]
    if not heard:
        where = manifest or f"the test rows of {result.folder}"
        raise UsageError(f"the sound of {where} is not there to compare transcripts: give --check MANIFEST.")
    return spread(heard, most)


def transcripts(recogniser: Recogniser, rows: Sequence[Utterance]) -> list[str]:
    """One text a row; raises :class:`DataError` for sound that cannot be read."""
    found = evaluate_rows(rows, recogniser)
    if found.failures:
        raise DataError(found.failures[0].message)
    return list(found.hypotheses)


def compared(name: str, ours: Sequence[str], theirs: Sequence[str], tolerance: float) -> Compared:
    """``theirs`` against ``ours``, which stand for the truth; equal texts are equal letter by letter."""
    same = sum(one.strip() == other.strip() for one, other in zip(ours, theirs, strict=True))
    counts = word_errors(list(ours), list(theirs), "basic")
    apart = counts.errors / max(counts.words, 1)
    if tolerance == 0 and same < len(ours):
        apart = max(apart, (len(ours) - same) / len(ours))  # marks and capitals count as well
    return Compared(name, len(ours), same, apart, tolerance)
