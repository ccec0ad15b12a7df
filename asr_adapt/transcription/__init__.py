"""Long audio to text: inputs, segments, batches, merging, writers; and manifests to predictions.

Knows files, windows, words with times and output formats. Does not know networks beyond the recogniser's
contract, nor training and scoring.
"""

from asr_adapt.transcription.api import stream, transcribe
from asr_adapt.transcription.engine import Engine, Outcome, Progress
from asr_adapt.transcription.inputs import Failure, Source, expand
from asr_adapt.transcription.options import TranscribeOptions
from asr_adapt.transcription.processes import ALONE, Processes, launched
from asr_adapt.transcription.result import Segment, Transcript
from asr_adapt.transcription.rows.encoder_contexts import ContextEvaluation, evaluate_contexts
from asr_adapt.transcription.rows.evaluation import Evaluation, evaluate
from asr_adapt.transcription.writing.writers import WRITERS, WriterOptions, render

__all__ = [
    "ALONE",
    "WRITERS",
    "ContextEvaluation",
    "Engine",
    "Evaluation",
    "Failure",
    "Outcome",
    "Processes",
    "Progress",
    "Segment",
    "Source",
    "TranscribeOptions",
    "Transcript",
    "WriterOptions",
    "evaluate",
    "evaluate_contexts",
    "expand",
    "launched",
    "render",
    "stream",
    "transcribe",
]
