"""Long audio to text: inputs, segments, batches, merging, writers; and manifests to predictions.

Knows files, windows, words with times and output formats. Does not know networks beyond the recogniser's
contract, nor training and scoring.
"""

from asr_adapt.transcription.api import stream_segments, transcribe_all
from asr_adapt.transcription.engine import Engine
from asr_adapt.transcription.inputs import expand
from asr_adapt.transcription.processes import ALONE, Processes, launched
from asr_adapt.transcription.result import Segment, Transcript
from asr_adapt.transcription.rows.encoder_contexts import ContextEvaluation, evaluate_contexts
from asr_adapt.transcription.rows.evaluation import EvaluatedRows, evaluate_rows
from asr_adapt.transcription.source_state import HearingProgress, SourceResult
from asr_adapt.transcription.sources import Failure, Source
from asr_adapt.transcription.writing.subtitles import CueRules
from asr_adapt.transcription.writing.writers import WRITERS, WriterOptions, render

__all__ = [
    "ALONE",
    "WRITERS",
    "ContextEvaluation",
    "CueRules",
    "Engine",
    "EvaluatedRows",
    "Failure",
    "HearingProgress",
    "Processes",
    "Segment",
    "Source",
    "SourceResult",
    "Transcript",
    "WriterOptions",
    "evaluate_contexts",
    "evaluate_rows",
    "expand",
    "launched",
    "render",
    "stream_segments",
    "transcribe_all",
]
