"""Labels for speech without transcripts: what a model hears, where it is sure and hears the same twice.

Knows how rows are heard and which are kept. Does not know recipes: what comes out is a manifest like any
other.

A row is kept where the model's confidence is high enough (Kahn et al., arXiv 1909.09116) and where a second
hearing, of the same clip a little faster or by another model, differs in few words (agreement, as by dropout
in Khurana et al., arXiv 2011.13439). A model is wrong in its own ways, so what is kept is biased towards what
it knew already: measure on speech with transcripts before you train on much of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from asr_adapt.audio.resample import resample
from asr_adapt.manifest import Manifest, Utterance, read_waveform
from asr_adapt.models import Hypothesis, Recogniser
from asr_adapt.scoring import word_errors
from asr_adapt.text import normalise
from asr_adapt.transcription.batching import batches

#: How much faster the second hearing is, where no other model gives it.
FASTER = 1.1
#: Seconds of sound in one batch.
BATCH_SECONDS = 160.0
KEPT = "kept"


@dataclass(frozen=True)
class KeepRules:
    """Least ``confidence`` 0…1, and most ``disagreement``: word errors of one hearing against the other."""

    confidence: float = 0.7
    disagreement: float = 0.1
    profile: str = "basic"


@dataclass(frozen=True)
class Labelled:
    """``rows`` that were kept, with ``text`` as heard; ``reasons`` counts all rows by what became of them.

    ``hours`` are of the kept rows. Where rows had transcripts, ``wer_kept`` and ``wer_dropped`` say how good
    the labels are, as fractions; what was dropped unheard is not in them.
    """

    rows: tuple[Utterance, ...]
    reasons: dict[str, int]
    hours: float
    wer_kept: float | None
    wer_dropped: float | None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        told = {"rows": len(self.rows), "hours": self.hours, "reasons": self.reasons}
        return told | {"wer_kept": self.wer_kept, "wer_dropped": self.wer_dropped}


def pseudo_label(
    rows: Manifest,
    model: Recogniser,
    rules: KeepRules,
    *,
    second: Recogniser | None = None,
    tell: Callable[[int], None] = lambda count: None,
) -> Labelled:
    """Label ``rows`` by ``model``; ``second`` hears them a second time, else ``model`` does, a little faster.

    A row's own transcript is not looked at for the choice; it stays as ``reference``. ``tell`` is given how
    many rows are done. Rows longer than the model hears at once are left out.
    """
    fate: dict[int, str] = {}
    heard: dict[int, Hypothesis] = {}
    fits = [n for n, row in enumerate(rows) if row.duration is None or row.duration <= model.window_seconds]
    fate.update({n: "too long" for n in range(len(rows)) if n not in set(fits)})
    budget = round(BATCH_SECONDS * model.sample_rate)
    lengths = [round((rows[n].duration or model.window_seconds) * model.sample_rate) for n in fits]
    done = 0
    for batch in batches(lengths, budget=budget):
        numbers = [fits[place] for place in batch]
        waves = [read_waveform(rows[n], model.sample_rate) for n in numbers]
        first = model.transcribe(waves, words=True)
        again = _second_hearing(waves, model, second)
        for number, one, other in zip(numbers, first, again, strict=True):
            heard[number] = one
            fate[number] = _fate(one, other, rules)
        done += len(batch)
        tell(done)
    kept = [n for n in sorted(heard) if fate[n] == KEPT]
    dropped = [n for n in sorted(heard) if fate[n] != KEPT]
    return Labelled(
        tuple(_labelled(rows[n], heard[n], model.name) for n in kept),
        dict(Counter(fate[n] for n in range(len(rows)))),
        float(np.nansum([rows[n].duration or np.nan for n in kept])) / 3600,
        _wer(rows, heard, kept, rules.profile),
        _wer(rows, heard, dropped, rules.profile),
    )


def _second_hearing(
    waves: Sequence[np.ndarray], model: Recogniser, second: Recogniser | None
) -> list[Hypothesis]:
    rate = model.sample_rate
    if second is None:
        return model.transcribe([resample(wave, round(rate * FASTER), rate) for wave in waves])
    return second.transcribe([resample(wave, rate, second.sample_rate) for wave in waves])


def _fate(one: Hypothesis, other: Hypothesis, rules: KeepRules) -> str:
    """What becomes of a row that was heard so."""
    if not normalise(one.text, rules.profile):
        return "nothing heard"
    if one.looped or other.looped:
        return "looped"
    if one.confidence is None or one.confidence < rules.confidence:
        return "unsure"
    if word_errors([one.text], [other.text], rules.profile).wer > rules.disagreement:
        return "heard otherwise"
    return KEPT


def _labelled(row: Utterance, heard: Hypothesis, model: str) -> Utterance:
    """The row with its label, by whom it is and how sure; an own transcript moves aside."""
    told: dict[str, Any] = {"labelled_by": model, "confidence": round(heard.confidence or 0.0, 4)}
    if row.text is not None:
        told["reference"] = row.text
    return row.replace(text=heard.text, extra={**row.extra, **told})


def _wer(rows: Manifest, heard: dict[int, Hypothesis], numbers: Sequence[int], profile: str) -> float | None:
    """WER of the labels of these rows, of those that have a transcript; None where none has."""
    known = [n for n in numbers if rows[n].text is not None]
    if not known:
        return None
    return word_errors([rows[n].text or "" for n in known], [heard[n].text for n in known], profile).wer
