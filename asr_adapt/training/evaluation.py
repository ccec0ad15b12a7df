"""WER during training: greedy transcripts of a manifest, scored.

Knows how to measure a recogniser that is being trained. Does not know intervals, reports or files.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from asr_adapt.manifest import Manifest
from asr_adapt.models import Recogniser
from asr_adapt.scoring import word_errors
from asr_adapt.text import normalise
from asr_adapt.training.batching import BatchLimits, BatchPlan
from asr_adapt.training.data import prefetched, read_waveform


@dataclass(frozen=True)
class Measured:
    """Scores of one manifest; rates are fractions."""

    wer: float
    errors: int
    words: int
    rows: int
    empty_rate: float
    hypotheses: list[str]


def spread(manifest: Manifest, rows: int | None) -> Manifest:
    """At most ``rows`` rows, evenly spread over the manifest."""
    if rows is None or rows >= len(manifest):
        return manifest
    return manifest.select(np.linspace(0, len(manifest) - 1, rows).round().astype(int).tolist())


def measure(recogniser: Recogniser, manifest: Manifest, profile: str, batch_seconds: float) -> Measured:
    """Transcribe every row, in length-sorted batches, and count word errors; modes are put back."""
    texts: list[str] = [""] * len(manifest)
    durations = np.nan_to_num(manifest.durations, nan=10.0)
    batches = BatchPlan(durations, BatchLimits(batch_seconds), seed=0).epoch(0)
    rows = list(manifest)

    def load(batch: list[int]) -> list[np.ndarray]:
        return [read_waveform(rows[i], recogniser.sample_rate) for i in batch]

    for batch, waveforms in prefetched(batches, load, depth=2):
        for number, hypothesis in zip(batch, recogniser.transcribe(waveforms), strict=True):
            texts[number] = hypothesis.text
    counts = word_errors([row.text or "" for row in rows], texts, profile)
    empty = sum(not normalise(text, profile) for text in texts) / max(len(texts), 1)
    wer = counts.errors / max(counts.words, 1)
    return Measured(wer, counts.errors, counts.words, len(rows), empty, texts)
