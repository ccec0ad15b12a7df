"""Tuning a language model on a manifest: rows, their log-probabilities, and the search over weights.

Knows how these are put together. Does not know how the weights are searched (``tune``).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from asr_adapt.decoding import Decoding
from asr_adapt.errors import DataError
from asr_adapt.manifest import Manifest, read_waveform, require_rows
from asr_adapt.models import Recogniser
from asr_adapt.transcription.batching import batches
from asr_adapt.transcription.decoding.beam import BeamOptions
from asr_adapt.transcription.decoding.fusion import FusionRecogniser
from asr_adapt.transcription.decoding.tune import Tuned, tune

#: Padded seconds in one batch of the network.
BATCH_SECONDS = 40.0


def tune_on_manifest(
    manifest: str | Path | Manifest,
    language_model: str | Path,
    *,
    model: Recogniser,
    rows: int = 200,
    width: int = 32,
    profile: str = "basic",
) -> tuple[Tuned, int]:
    """The best weights and how many rows they were tuned on, without rows longer than the model's window.

    Raises DataError for a row without text, audio that cannot be read, or when no row is left.
    """
    dev = require_rows(manifest if isinstance(manifest, Manifest) else Manifest.open(manifest))
    fused = FusionRecogniser(model, Decoding(language_model=language_model), BeamOptions(width=width))
    waveforms, references = _read(dev, fused, rows)
    frames: list[np.ndarray] = [np.empty(0)] * len(waveforms)
    budget = round(BATCH_SECONDS * fused.sample_rate)
    for batch in batches([len(waveform) for waveform in waveforms], budget=budget):
        for index, row in zip(batch, fused.log_probabilities([waveforms[i] for i in batch]), strict=True):
            frames[index] = row
    return tune(frames, references, fused.beam, start=fused.options, profile=profile), len(frames)


def _read(dev: Manifest, recogniser: Recogniser, rows: int) -> tuple[list[np.ndarray], list[str]]:
    waveforms, references = [], []
    for number in np.unique(np.linspace(0, len(dev) - 1, min(rows, len(dev))).round().astype(int)):
        row = dev[int(number)]
        if row.text is None:
            raise row.error("missing: tuning needs the reference transcript.", "text")
        samples = read_waveform(row, recogniser.sample_rate)
        if len(samples) <= recogniser.window_seconds * recogniser.sample_rate:
            waveforms.append(samples)
            references.append(row.text)
    if not waveforms:
        raise DataError(f"Every row is longer than {recogniser.window_seconds:g} s; cut them first.")
    return waveforms, references
