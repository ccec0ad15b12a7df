"""Predictions to verdicts: WER with intervals, comparison, regression gate, report page.

Knows rows with ``text`` and ``pred_text``. Does not know audio, networks or training, never imports torch.
"""

from asr_adapt.scoring.baseline import Baseline, make_baseline, noise_floor
from asr_adapt.scoring.bootstrap import Interval
from asr_adapt.scoring.compare import Comparison, compare
from asr_adapt.scoring.counts import Counts, count_errors, word_errors
from asr_adapt.scoring.estimate import Estimate, wer_with_interval
from asr_adapt.scoring.gap import Gap
from asr_adapt.scoring.gate import GateResult, gate
from asr_adapt.scoring.predictions import Predictions, read_predictions
from asr_adapt.scoring.report import write_report
from asr_adapt.scoring.report_data import ReportOptions
from asr_adapt.scoring.rules import GateRules, load_rules
from asr_adapt.scoring.score import Score, score
from asr_adapt.scoring.written import WrittenForm, written_form

__all__ = [
    "Baseline",
    "Comparison",
    "Counts",
    "Estimate",
    "Gap",
    "GateResult",
    "GateRules",
    "Interval",
    "Predictions",
    "ReportOptions",
    "Score",
    "WrittenForm",
    "compare",
    "count_errors",
    "gate",
    "load_rules",
    "make_baseline",
    "noise_floor",
    "read_predictions",
    "score",
    "wer_with_interval",
    "word_errors",
    "write_report",
    "written_form",
]
