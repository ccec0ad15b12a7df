"""A manifest transcribed: its rows with ``pred_text``, ``confidence`` and ``time``.

Knows the predictions file. Does not know how it is scored; the same file serves every later scoring.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from asr_adapt.decoding import Decoding
from asr_adapt.files import write_json
from asr_adapt.manifest import Manifest, Utterance, require_rows, write_manifest
from asr_adapt.models import Recogniser
from asr_adapt.scoring.predictions import settings_path
from asr_adapt.scoring.score import Score, score
from asr_adapt.text import profile as profile_named
from asr_adapt.transcription.engine import Engine
from asr_adapt.transcription.known_states import UNKNOWN, KnownRows
from asr_adapt.transcription.processes import ALONE, Processes
from asr_adapt.transcription.result import Transcript, word_json
from asr_adapt.transcription.row_languages import language_of_row
from asr_adapt.transcription.rows.kept_predictions import KeptPredictions
from asr_adapt.transcription.rows.row_journal import RowJournal, run_key
from asr_adapt.transcription.source_state import HearingProgress
from asr_adapt.transcription.sources import Failure, source_of_row

#: Fields of an earlier prediction that say nothing about this one.
_OF_A_PREDICTION = ("confidence", "looped")
#: What was recognised in a row, as plain values: the fields that it gets.
Prediction = dict[str, Any]


@dataclass(frozen=True)
class EvaluatedRows:
    """Predictions of a manifest in its order, without the rows that failed, and those.

    Seconds: of audio, of the recogniser's work, and of the clock from first to last row.
    """

    rows: tuple[Utterance, ...]
    failures: tuple[Failure, ...]
    model: str
    audio_seconds: float
    compute_seconds: float
    wall_seconds: float
    #: Rows whose prediction was kept from an earlier run; they cost no time in this one.
    kept: int = 0
    #: Profile of :mod:`asr_adapt.text` under which it is scored.
    normalise: str = "basic"

    @property
    def references(self) -> list[str]:
        """Raw reference texts; an absent one is empty."""
        return [row.text or "" for row in self.rows]

    @property
    def hypotheses(self) -> list[str]:
        """Raw recognised texts."""
        return [str(row.extra["pred_text"]) for row in self.rows]

    @property
    def looped(self) -> list[bool]:
        """Whether each row's decoder looped; see :class:`~asr_adapt.models.Hypothesis`."""
        return [row.extra.get("looped") is True for row in self.rows]

    @cached_property
    def wer(self) -> float:
        """Word error rate over all rows, a fraction, under the profile of the evaluation."""
        return self.score().wer

    def score(self, by: Sequence[str] = (), normalise: str | None = None) -> Score:
        """Rates with intervals, overall and by field; ``normalise``: another profile than its own."""
        return score(self.rows, by, normalise or self.normalise)

    def _repr_html_(self) -> str:
        from asr_adapt.scoring.notebook import show_score

        return show_score(self.score().to_json())

    @property
    def real_time_factor(self) -> float:
        """Seconds of audio per second of the clock (RTFx)."""
        return self.audio_seconds / self.wall_seconds if self.wall_seconds else 0.0


def evaluate_rows(  # noqa: PLR0913 - what is read, how, with whom, and what is written
    manifest: str | Path | Manifest | Iterable[Utterance],
    recogniser: Recogniser,
    decoding: Decoding | None = None,
    *,
    output: str | Path | None = None,
    on_progress: Callable[[HearingProgress], None] | None = None,
    processes: Processes = ALONE,
    normalise: str | None = None,
    known: KnownRows = UNKNOWN,
) -> EvaluatedRows:
    """Transcribe every row of a manifest; rows are read and batched by length, results keep its order.

    ``output`` names a predictions file to write; ``normalise``, a profile, is noted beside it and is what
    scores of the file take unless told otherwise. What ``decoding`` says of the search must be the
    recogniser's own already. A row whose audio cannot be read becomes a failure, the others are done. Raises
    DataError for a manifest without rows.

    What is ``known`` of model and rows is not computed again. With ``output`` a killed run goes on where it
    was. Among several ``processes`` each does its share of the rows, all get the whole result, and the main
    one writes.
    """
    noted = {} if normalise is None else {"normaliser": profile_named(normalise).to_json()}
    rows = require_rows(_manifest(manifest))
    engine = Engine(recogniser, decoding, on_progress=on_progress, states=known.states)
    weights = known.weights
    kept = None if weights is None else KeptPredictions(recogniser, engine.options, weights)
    found = _evaluated(rows, engine, output, processes, noted, kept)
    return found if normalise is None else replace(found, normalise=normalise)


def _evaluated(
    rows: Manifest,
    engine: Engine,
    output: str | Path | None,
    processes: Processes,
    noted: dict[str, Any],
    kept: KeptPredictions | None,
) -> EvaluatedRows:
    recogniser = engine.recogniser
    started = time.perf_counter()
    journal = None
    if output is not None:
        key = run_key(recogniser, engine.options, map(source_of_row, rows))
        journal = RowJournal(output, key, processes.index)
    known = {} if kept is None else kept.of(rows)
    found, failed = run_rows(engine, rows, processes, journal, known)
    if kept is not None and processes.main:
        kept.add(rows, {number: value for number, value in found.items() if number not in known})
    wall = time.perf_counter() - started
    predictions = tuple(with_prediction(rows[number], found[number]) for number in sorted(found))
    if output is not None and journal is not None and processes.main:
        write_manifest(output, predictions)
        write_json(settings_path(output), _settings(recogniser, engine.options, rows) | noted)
        journal.remove()
    progress = processes.gather(engine.progress)
    return EvaluatedRows(
        rows=predictions,
        failures=tuple(failed[number] for number in sorted(failed)),
        model=recogniser.name,
        audio_seconds=sum(part.audio_seconds for part in progress),
        compute_seconds=sum(part.compute_seconds for part in progress),
        wall_seconds=max(processes.gather(wall)),
        kept=len(known),
    )


def run_rows(
    engine: Engine,
    rows: Manifest,
    processes: Processes,
    journal: RowJournal | None,
    kept: Mapping[int, Prediction] | None = None,
) -> tuple[dict[int, Prediction], dict[int, Failure]]:
    """Predictions and failures by row number, from all processes, the journal and what was ``kept`` before.

    The longest rows are read first, so that a pool holds rows of like length and the shares are alike.
    """
    known = {**(kept or {}), **(journal.read() if journal is not None else {})}
    processes.wait()  # all have read before one writes, so that all deal out the same rows
    order = processes.share([number for number in reading_order(rows.durations) if number not in known])
    found: dict[int, Prediction] = {}
    failed: dict[int, Failure] = {}

    def keep(number: int, transcript: Transcript) -> None:
        found[number] = _prediction(rows[number], transcript)
        if journal is not None:
            journal.add(number, found[number])

    begun = [number for number in order if engine.knows(rows[number])]
    rest = [number for number in order if not engine.knows(rows[number])]
    for place, transcript in engine.run_states([rows[number] for number in begun]):
        keep(begun[place], transcript)
    # half a recording scored against a whole transcript would be a loss of the recogniser's
    sources = [replace(source_of_row(rows[number]), strict=True) for number in rest]
    for outcome in engine.run(sources):
        number = rest[outcome.index]
        if outcome.failure is not None:
            failed[number] = outcome.failure
        elif outcome.transcript is not None:
            keep(number, outcome.transcript)
    if processes.count > 1:
        failed = {number: failure.portable() for number, failure in failed.items()}
    for part, failures in processes.gather((found, failed)):
        known.update(part)
        failed.update(failures)
    return known, failed


def reading_order(durations: np.ndarray) -> list[int]:
    """Row numbers by falling duration; rows of unknown duration first, because they may be long."""
    return np.argsort(-np.nan_to_num(durations, nan=np.inf), kind="stable").tolist()


def with_prediction(row: Utterance, prediction: Prediction) -> Utterance:
    """The row with ``prediction``, and without what an earlier one said of itself."""
    fields = {**prediction}
    kept = {name: value for name, value in row.extra.items() if name not in _OF_A_PREDICTION}
    return row.replace(duration=fields.pop("duration", row.duration), extra={**kept, **fields})


def _prediction(row: Utterance, transcript: Transcript) -> Prediction:
    """The fields that a prediction adds to its row, and the row's duration."""
    found: dict[str, Any] = {"pred_text": transcript.text}
    if transcript.words:
        found["words"] = [word_json(word) for word in transcript.words]
    if transcript.confidence is not None:
        found["confidence"] = round(transcript.confidence, 4)
    if transcript.looped:
        found["looped"] = True
    found["time"] = round(transcript.compute_seconds, 5)
    return found | {"duration": transcript.duration if row.duration is None else row.duration}


def _settings(recogniser: Recogniser, options: Decoding, rows: Manifest) -> dict[str, Any]:
    """What made the predictions, kept beside them, so that unlike runs are not compared."""
    told = {language_of_row(recogniser, options.language, row) for row in rows} - {None}
    return {
        "model": recogniser.name,
        "decoding": recogniser.description,
        "segmenter": options.segmenter,
        "language": options.language or ", ".join(sorted(map(str, told))) or None,
        "runtime": recogniser.runtime,
        "device": recogniser.device.type,
    }


def _manifest(manifest: str | Path | Manifest | Iterable[Utterance] | Sequence[Utterance]) -> Manifest:
    if isinstance(manifest, Manifest):
        return manifest
    if isinstance(manifest, (str, Path)):
        return Manifest.open(manifest)
    return Manifest.of(manifest)
