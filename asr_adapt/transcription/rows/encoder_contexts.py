"""A manifest transcribed in every context that a model can hear: WER side by side, and the one to keep.

Knows a recogniser's names of contexts, dearest first, and that a cheaper one may be kept only where its WER
is no worse. Does not know what a context is, nor how a row is transcribed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asr_adapt.models import Recogniser
from asr_adapt.scoring import word_errors
from asr_adapt.scoring.predictions import settings_path
from asr_adapt.transcription.processes import ALONE, Processes
from asr_adapt.transcription.rows.evaluation import EvaluatedRows


@dataclass(frozen=True)
class ContextEvaluation:
    """Evaluations by context, dearest first, their WER (fractions), and the context that is kept."""

    evaluations: Mapping[str, EvaluatedRows]
    wers: Mapping[str, float]
    chosen: str

    @property
    def kept(self) -> EvaluatedRows:
        """The evaluation in the chosen context."""
        return self.evaluations[self.chosen]

    def to_json(self) -> dict[str, Any]:
        """``wer`` and ``rtfx`` by context, and ``chosen``."""
        speeds = {name: run.real_time_factor for name, run in self.evaluations.items()}
        return {"wer": dict(self.wers), "rtfx": speeds, "chosen": self.chosen}


def cheapest_no_worse(wers: Mapping[str, float], *others: Mapping[str, float]) -> str:
    """The context of the lowest WER; of equals the last, which is the cheapest.

    ``wers`` begin with the dearest context, which is taken where ``others``, WERs on further sets, say that
    the one found is worse there.
    """
    best, dearest = min(reversed(list(wers)), key=wers.__getitem__), next(iter(wers))
    return dearest if any(found and found[best] > found[dearest] for found in others) else best


def evaluate_contexts(
    recogniser: Recogniser,
    run: Callable[[Path | None], EvaluatedRows],
    output: Path | None = None,
    *,
    names: Sequence[str],
    normalise: str = "basic",
    processes: Processes = ALONE,
) -> ContextEvaluation:
    """``run`` in each of the contexts ``names``, dearest first.

    The recogniser is left in the chosen one, whose predictions become ``output``; those of another context
    lie beside it, ``test.full.jsonl`` for ``test.jsonl``. Raises ModelError for a model that hears whole
    clips, and UsageError for a context that it has not learnt, before anything is heard.
    """
    evaluations: dict[str, EvaluatedRows] = {}
    for name in reversed(names):
        recogniser.use_context(name)  # what was not learnt is refused before the first run
    for name in names:
        recogniser.use_context(name)
        evaluations[name] = run(beside(output, name))
    wers = {
        name: word_errors(found.references, found.hypotheses, normalise).wer
        for name, found in evaluations.items()
    }
    chosen = cheapest_no_worse(wers)
    recogniser.use_context(chosen)
    own = beside(output, chosen)
    if output is not None and own is not None and processes.main:
        own.replace(output)
        settings_path(own).replace(settings_path(output))
    return ContextEvaluation(evaluations, wers, chosen)


def beside(output: Path | None, name: str) -> Path | None:
    """The predictions file of one context: ``test.full.jsonl`` for ``test.jsonl``."""
    return None if output is None else output.with_name(f"{output.stem}.{name}{output.suffix}")
