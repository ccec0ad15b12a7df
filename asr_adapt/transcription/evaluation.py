"""A manifest transcribed: its rows with ``pred_text``, ``confidence`` and ``time``.

Knows the predictions file. Does not know how it is scored; the same file serves every later scoring.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from asr_adapt.files import write_json
from asr_adapt.manifest import Manifest, Utterance, require_rows, write_manifest
from asr_adapt.models import Recogniser
from asr_adapt.scoring.predictions import settings_path
from asr_adapt.transcription.api import DEFAULT_MODEL, load, make_options
from asr_adapt.transcription.engine import Engine, Outcome, Progress, decoding_name
from asr_adapt.transcription.inputs import Failure, source_of_row
from asr_adapt.transcription.options import TranscribeOptions
from asr_adapt.transcription.result import Transcript, word_json


@dataclass(frozen=True)
class Evaluation:
    """Predictions of a manifest in its order, without the rows that failed, and those.

    Seconds: of audio, of the recogniser's work, and of the clock from first to last row.
    """

    rows: tuple[Utterance, ...]
    failures: tuple[Failure, ...]
    model: str
    audio_seconds: float
    compute_seconds: float
    wall_seconds: float

    @property
    def references(self) -> list[str]:
        """Raw reference texts; an absent one is empty."""
        return [row.text or "" for row in self.rows]

    @property
    def hypotheses(self) -> list[str]:
        """Raw recognised texts."""
        return [str(row.extra["pred_text"]) for row in self.rows]

    @property
    def real_time_factor(self) -> float:
        """Seconds of audio per second of the clock (RTFx)."""
        return self.audio_seconds / self.wall_seconds if self.wall_seconds else 0.0


def evaluate(
    manifest: str | Path | Manifest | Iterable[Utterance],
    *,
    model: str | Path | Recogniser = DEFAULT_MODEL,
    output: str | Path | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    **options: Any,
) -> Evaluation:
    """Transcribe every row of a manifest; rows are read and batched by length, results keep its order.

    ``output`` names a predictions file to write. ``options`` as in :func:`transcribe`. A row whose audio
    cannot be read becomes a failure, the others are done. Raises DataError for a manifest without rows and
    ModelError for a model that cannot be loaded.
    """
    rows = require_rows(_manifest(manifest))
    recogniser = load(model, options)
    engine = Engine(recogniser, make_options(options), on_progress=on_progress)
    started = time.perf_counter()
    finished = run_rows(engine, rows)
    wall = time.perf_counter() - started
    predictions = tuple(
        predicted_row(rows[number], outcome.transcript)
        for number, outcome in sorted(finished.items())
        if outcome.transcript is not None
    )
    if output is not None:
        write_manifest(output, predictions)
        write_json(settings_path(output), _settings(recogniser, engine.options))
    return Evaluation(
        rows=predictions,
        failures=tuple(o.failure for _, o in sorted(finished.items()) if o.failure is not None),
        model=recogniser.name,
        audio_seconds=engine.progress.audio_seconds,
        compute_seconds=engine.progress.compute_seconds,
        wall_seconds=wall,
    )


def run_rows(engine: Engine, rows: Manifest) -> dict[int, Outcome]:
    """Outcomes by row number; the longest rows are read first, so that a pool holds rows of like length."""
    order = reading_order(rows.durations)
    sources = [source_of_row(rows[number]) for number in order]
    return {order[outcome.index]: outcome for outcome in engine.run(sources)}


def reading_order(durations: np.ndarray) -> list[int]:
    """Row numbers by falling duration; rows of unknown duration first, because they may be long."""
    return np.argsort(-np.nan_to_num(durations, nan=np.inf), kind="stable").tolist()


def predicted_row(row: Utterance, transcript: Transcript) -> Utterance:
    """The row with what was recognised; times of words are seconds from the row's start."""
    found: dict[str, Any] = {"pred_text": transcript.text}
    if transcript.words:
        found["words"] = [word_json(word) for word in transcript.words]
    if transcript.confidence is not None:
        found["confidence"] = round(transcript.confidence, 4)
    found["time"] = round(transcript.compute_seconds, 5)
    duration = transcript.duration if row.duration is None else row.duration
    return row.replace(duration=duration, extra={**row.extra, **found})


def _settings(recogniser: Recogniser, options: TranscribeOptions) -> dict[str, Any]:
    """What made the predictions, kept beside them, so that unlike runs are not compared."""
    return {
        "model": recogniser.name,
        "decoding": decoding_name(recogniser),
        "segmenter": options.segmenter,
        "language": options.language,
        "runtime": f"torch {str(recogniser.dtype).removeprefix('torch.')}",
        "device": recogniser.device.type,
    }


def _manifest(manifest: str | Path | Manifest | Iterable[Utterance] | Sequence[Utterance]) -> Manifest:
    if isinstance(manifest, Manifest):
        return manifest
    if isinstance(manifest, (str, Path)):
        return Manifest.open(manifest)
    return Manifest.of(manifest)
