"""Predictions to verdicts: WER with intervals, comparison, regression gate, report page.

Knows rows with ``text`` and ``pred_text``. Does not know audio, networks or training, never imports torch.
"""

from asr_adapt.scoring.bootstrap import Interval
from asr_adapt.scoring.counts import Counts, count_errors, word_errors
from asr_adapt.scoring.estimate import Estimate, wer_with_interval

__all__ = ["Counts", "Estimate", "Interval", "count_errors", "wer_with_interval", "word_errors"]
