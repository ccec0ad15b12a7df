"""WER of a recogniser that is being trained.

Knows how a manifest becomes numbers for early stopping and for before/after; transcribes exactly as
``asr-adapt evaluate`` does. Does not know intervals, reports or what is done with the numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from asr_adapt.decoding import Decoding
from asr_adapt.manifest import Manifest
from asr_adapt.models import Recogniser
from asr_adapt.scoring import word_errors
from asr_adapt.text import normalise
from asr_adapt.training.watching import Phase
from asr_adapt.transcription import EvaluatedRows, Processes, evaluate_rows
from asr_adapt.transcription.known_states import UNKNOWN, KnownRows


@dataclass(frozen=True)
class Measured:
    """Scores of one manifest; rates are fractions, ``hypotheses`` and ``looped`` in the manifest's order."""

    wer: float
    errors: int
    words: int
    empty_rate: float
    hypotheses: list[str]
    #: Rows on which the decoder looped.
    looped: list[bool]


def spread(manifest: Manifest, rows: int | None) -> Manifest:
    """At most ``rows`` rows, evenly spread over the manifest."""
    if rows is None or rows >= len(manifest):
        return manifest
    return manifest.select(np.linspace(0, len(manifest) - 1, rows).round().astype(int).tolist())


def transcribed(
    recogniser: Recogniser,
    manifest: Manifest,
    batch_seconds: float,
    known: KnownRows = UNKNOWN,
    phase: Phase | None = None,
    language: str | None = None,
) -> EvaluatedRows:
    """What the recogniser writes for each row; raises the first error of a row that cannot be read.

    What is ``known`` is not computed again; ``phase`` is told the rows that are done. Without ``language``
    rows are decoded in their own. Processes that train together each transcribe a share and all get the
    whole.
    """
    before = 0.0 if phase is None else phase.count
    found = evaluate_rows(
        manifest,
        recogniser,
        Decoding(batch_seconds=batch_seconds, language=language),
        processes=Processes.current(),
        known=known,
        on_progress=None if phase is None else lambda progress: phase.done(before + progress.finished),
    )
    if phase is not None:
        phase.done(before + len(manifest))
    if found.failures:
        raise found.failures[0].error
    return found


def measure(
    recogniser: Recogniser,
    manifest: Manifest,
    profile: str,
    batch_seconds: float,
    known: KnownRows = UNKNOWN,
    phase: Phase | None = None,
    language: str | None = None,
) -> Measured:
    """Transcribe every row, as :func:`transcribed` does, and count word errors."""
    found = transcribed(recogniser, manifest, batch_seconds, known, phase, language)
    counts = word_errors(found.references, found.hypotheses, profile)
    empty = sum(not normalise(text, profile) for text in found.hypotheses) / max(len(found.hypotheses), 1)
    return Measured(counts.wer, counts.errors, counts.words, empty, found.hypotheses, found.looped)
