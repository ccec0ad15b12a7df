"""An exported model against torch on real rows: the same rows through both, paired, and a verdict.

Knows when an export counts as worse. Does not know how a model is exported or shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asr_adapt.decoding import Decoding
from asr_adapt.errors import DataError
from asr_adapt.files import temporary_folder
from asr_adapt.manifest import Manifest
from asr_adapt.models import Recogniser
from asr_adapt.scoring.compare import Comparison, compare
from asr_adapt.scoring.percentages import bounds
from asr_adapt.transcription.rows.evaluation import evaluate_rows

#: A rise of WER by this many points is too much whatever its chance; int8 costs about a third of it.
TOLERANCE = 0.5


@dataclass(frozen=True)
class Verified:
    """The paired comparison of torch (A) with an exported ``graph`` (B); ``tolerance`` in points of WER."""

    graph: str
    comparison: Comparison
    tolerance: float

    @property
    def worse(self) -> bool:
        """Whether the export makes more errors: beyond the tolerance, or beyond chance."""
        rise = 100 * self.comparison.overall.difference.delta
        return rise > self.tolerance or self.comparison.verdict == "worse"

    @property
    def uncertain(self) -> bool:
        """Whether the rise is more than is tolerated, on so few rows that it may be none."""
        return self.worse and self.comparison.verdict != "worse"

    @property
    def sentence(self) -> str:
        """The figures, and what they mean."""
        difference, rows = self.comparison.overall.difference, self.comparison.overall.rows
        between = bounds(difference.interval.low, difference.interval.high, sign=True, between=" to ")
        return (
            f"{self.graph}: {'WORSE than torch' if self.worse else 'verified'} on {rows} rows: "
            f"WER {100 * difference.wer_a:.2f} → {100 * difference.wer_b:.2f} % "
            f"({100 * difference.delta:+.2f} points, {between}; "
            f"{self.tolerance:g} allowed)"
            f"{'; it may be chance: verify on more rows' if self.uncertain else ''}"
        )

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        told = {"graph": self.graph, "worse": self.worse, "uncertain": self.uncertain}
        return told | {"tolerance": self.tolerance} | self.comparison.overall.to_json()


def verify(
    torch_one: Recogniser,
    exported: Recogniser,
    graph: str,
    rows: Manifest,
    *,
    normalise: str = "basic",
    tolerance: float = TOLERANCE,
) -> Verified:
    """Evaluate both on ``rows``, which have texts. Raises DataError where a row's audio cannot be read."""
    with temporary_folder() as folder:
        paths: dict[str, Path] = {}
        for name, recogniser in (("torch", torch_one), ("export", exported)):
            path = Path(folder) / f"{name}.jsonl"
            whole = None if recogniser.capabilities.word_times else Decoding(segmenter="windows")
            found = evaluate_rows(rows, recogniser, whole, output=path, normalise=normalise)
            if found.failures:
                raise DataError(f"{len(found.failures)} rows cannot be read: {found.failures[0].message}")
            paths[name] = path
        compared = compare(paths["torch"], paths["export"], normalise=normalise)
        return Verified(graph, compared, tolerance)
