"""Calibrated word confidence: the map fitted on a manifest, found beside a model, applied to what was heard.

Knows where the map lies in a model directory and which fields of a hypothesis it changes. Does not know the
map itself (:mod:`asr_adapt.scoring.calibration`) nor families: it sees what every recogniser gives.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from asr_adapt.decoding import Decoding
from asr_adapt.files import user_path
from asr_adapt.manifest import Utterance
from asr_adapt.models import Hypothesis, Recogniser, Word, bundled_models
from asr_adapt.scoring.calibration import Calibration, fit
from asr_adapt.scoring.reliability import calibration_error, held_out, judge_words
from asr_adapt.transcription.result import mean_probability

#: The file in a model directory that is found by itself; it is for plain decoding.
CALIBRATION_FILE = "calibration.json"


@dataclass(frozen=True)
class Calibrated:
    """A fitted map, and its worth: words judged, the share right, mean confidence and ECE (fractions).

    ``before`` is of the raw confidences, ``after`` of those mapped without the word's own speaker.
    """

    calibration: Calibration
    words: int
    right: float
    confidence: float
    before: float
    after: float

    def to_json(self) -> dict[str, Any]:
        """What is kept beside the map's parameters."""
        ece = {"before": round(self.before, 4), "after": round(self.after, 4)}
        return {"right": round(self.right, 4), "confidence": round(self.confidence, 4), "ece": ece}


def calibrate(rows: Iterable[Utterance], *, model: str, decoding: str, profile: str = "basic") -> Calibrated:
    """A map from predictions with ``words``; raises DataError where they hold too few."""
    judged = judge_words(rows, profile)
    found = replace(fit(judged.probabilities, judged.right), model=model, decoding=decoding)
    return Calibrated(
        found,
        words=len(judged),
        right=float(judged.right.mean()),
        confidence=float(judged.probabilities.mean()),
        before=calibration_error(judged.probabilities, judged.right),
        after=calibration_error(held_out(judged), judged.right),
    )


def calibration_path(model: str | Path) -> Path:
    """Where the map of a model lies: in its directory; a hub id has none."""
    return bundled_models().get(str(model), user_path(model)) / CALIBRATION_FILE


def calibration_beside(model: str | Path) -> Calibration | None:
    """The map in a model's directory; None where there is none."""
    path = calibration_path(model)
    return Calibration.read(path) if path.is_file() else None


def with_map(decoding: Decoding, model: str | Path | None = None) -> Decoding:
    """``decoding`` with its map of word confidence read from the file that it names.

    Where it names none: the map in the directory of ``model``, for plain decoding. ``none`` asks for
    confidences as the model gives them. Raises DataError for a file that holds no map.
    """
    chosen = decoding.calibration
    found: Calibration | None
    if chosen == "none":
        found = None
    elif isinstance(chosen, (str, Path)):
        found = Calibration.read(chosen)
    elif chosen is None and model is not None and decoding.plain:
        found = calibration_beside(model)
    else:
        found = chosen
    return decoding if found is chosen else decoding.but(calibration=found)


def hear(
    recogniser: Recogniser, waveforms: Sequence[np.ndarray], options: Decoding, *, words: bool
) -> list[Hypothesis]:
    """Transcribe one batch; confidences are calibrated where ``options`` say how.

    Confidence is then the mean of the words', so that they are asked for even where nobody wants to see them.
    """
    calibration = options.confidence_map
    found = recogniser.transcribe(
        waveforms, words=words or calibration is not None, language=options.language
    )
    return found if calibration is None else [_mapped(row, calibration, words) for row in found]


def calibrated(hypothesis: Hypothesis, options: Decoding) -> Hypothesis:
    """A hypothesis with words, as ``options`` say: mapped, and without the words where nobody wants them."""
    if options.confidence_map is None:
        return hypothesis
    return _mapped(hypothesis, options.confidence_map, options.word_timestamps)


def _mapped(hypothesis: Hypothesis, calibration: Calibration, keep_words: bool) -> Hypothesis:
    words = _mapped_words(hypothesis.words, calibration)
    phrases = []
    for phrase in hypothesis.phrases:
        own = _mapped_words(phrase.words, calibration)
        phrases.append(replace(phrase, words=own if keep_words else (), confidence=mean_probability(own)))
    return replace(
        hypothesis,
        words=words if keep_words else (),
        confidence=mean_probability(words),
        phrases=tuple(phrases),
    )


def _mapped_words(words: Sequence[Word], calibration: Calibration) -> tuple[Word, ...]:
    return tuple(replace(word, probability=calibration(word.probability)) for word in words)
