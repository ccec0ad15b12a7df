"""How far word confidences can be believed: words judged, calibration error, reliability by bin.

Knows predictions with ``words`` and their references, jiwer's alignment and equal-mass bins. Does not know
how a confidence is corrected beyond calling :mod:`asr_adapt.scoring.calibration`, nor audio and models.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import jiwer
import numpy as np

from asr_adapt.manifest import Utterance
from asr_adapt.scoring.bootstrap import LEVEL, REPLICATES, speaker_blocks
from asr_adapt.scoring.calibration import fit
from asr_adapt.text import profile as profile_named

BINS = 15
FOLDS = 10


@dataclass(frozen=True)
class JudgedWords:
    """Recognised words: ``probabilities`` float64 and ``right`` bool (words,), and the speaker of each.

    Words of an unknown speaker have their row's id instead.
    """

    probabilities: np.ndarray
    right: np.ndarray
    speakers: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.probabilities)


@dataclass(frozen=True)
class Bin:
    """Some words of like confidence: how many, their mean confidence, and the share that is right."""

    words: int
    confidence: float
    right: float


def judge_words(rows: Iterable[Utterance], profile: str = "basic") -> JudgedWords:
    """Every recognised word of predictions, right where jiwer aligns it with an equal reference word.

    A word is normalised by itself; one that becomes several is right when all are, one that becomes nothing
    (a dash) is left out. Rows without ``words`` or ``text`` count as empty.
    """
    apply = profile_named(profile).apply
    references: list[str] = []
    spoken: list[list[tuple[list[str], float]]] = []
    names: list[str] = []
    for row in rows:
        tokens = [(apply(w["word"]).split(), w["probability"]) for w in row.extra.get("words", ())]
        spoken.append([(parts, p) for parts, p in tokens if parts and p is not None])
        references.append(" ".join(apply(row.text or "").split()))
        names.append(row.speaker or row.id)
    texts = [" ".join(part for parts, _ in words for part in parts) for words in spoken]
    probabilities: list[float] = []
    right: list[bool] = []
    speakers: list[str] = []
    for words, hits, speaker in zip(spoken, _hits(references, texts), names, strict=True):
        place = 0
        for parts, probability in words:
            right.append(all(position in hits for position in range(place, place + len(parts))))
            place += len(parts)
            probabilities.append(probability)
            speakers.append(speaker)
    return JudgedWords(np.array(probabilities), np.array(right, dtype=bool), tuple(speakers))


def _hits(references: Sequence[str], texts: Sequence[str]) -> list[set[int]]:
    """Places of the recognised words of each text that the alignment finds in its reference."""
    if not references:
        return []
    return [
        {
            place
            for chunk in chunks
            if chunk.type == "equal"
            for place in range(chunk.hyp_start_idx, chunk.hyp_end_idx)
        }
        for chunks in jiwer.process_words(list(references), list(texts)).alignments
    ]


def reliability(probabilities: np.ndarray, right: np.ndarray, bins: int = BINS) -> list[Bin]:
    """Words sorted by confidence in ``bins`` bins of equally many; fewer where words are fewer."""
    order = np.argsort(probabilities, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    return [Bin(len(part), float(probabilities[part].mean()), float(right[part].mean())) for part in parts]


def calibration_error(probabilities: np.ndarray, right: np.ndarray, bins: int = BINS) -> float:
    """Expected calibration error (ECE): mean |confidence − share right| over bins, weighted by words.

    Equal-mass bins, as in Nguyen & O'Connor (2015); 0 is perfect, and small samples cannot reach it.
    """
    found = reliability(probabilities, right, bins)
    total = sum(part.words for part in found)
    return sum(part.words * abs(part.confidence - part.right) for part in found) / max(total, 1)


def error_interval(
    judged: JudgedWords, probabilities: np.ndarray, bins: int = BINS, *, seed: int = 0
) -> tuple[float, float]:
    """95 % percentile interval of the ECE of ``probabilities`` (words,), speakers resampled as blocks.

    A resample holds its words several times, which adds to the ECE: the interval lies rather too high.
    """
    blocks = speaker_blocks(judged.speakers, len(judged))
    members = [np.flatnonzero(blocks.index == number) for number in range(blocks.count)]
    generator = np.random.default_rng(seed)
    errors = []
    for _ in range(REPLICATES):
        chosen = np.concatenate([members[n] for n in generator.integers(0, blocks.count, blocks.count)])
        errors.append(calibration_error(probabilities[chosen], judged.right[chosen], bins))
    low, high = np.quantile(errors, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def held_out(judged: JudgedWords, folds: int = FOLDS) -> np.ndarray:
    """Calibrated probabilities (words,), each speaker's by a map fitted without that speaker.

    With a single speaker nobody can be left out, and the map has seen the words that it maps.
    """
    names, speakers = np.unique(np.array(judged.speakers), return_inverse=True)
    if len(names) < 2:
        return fit(judged.probabilities, judged.right).map(judged.probabilities)
    found = np.empty(len(judged))
    for fold in range(min(folds, len(names))):
        out = speakers % folds == fold
        others = fit(judged.probabilities[~out], judged.right[~out], minimum=1)
        found[out] = others.map(judged.probabilities[out])
    return found
