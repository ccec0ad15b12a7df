"""Counting errors: one row of numbers per utterance, and their totals.

Knows transcripts, the normalisation profile under which they are compared and how jiwer aligns words.
Does not know speakers, groups, intervals or files.

Totals are what decisions rest on. How they divide into substitutions, deletions and insertions is not unique
(two correct aligners may split the same pair differently), so the split is shown and never decides.
An empty reference contributes no words; what was recognised there counts as insertions, as in jiwer and
sclite, and is reported apart as insertions on silence.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import jiwer
import numpy as np
from rapidfuzz.distance import Levenshtein
from rapidfuzz.process import cpdist

from asr_adapt.errors import DataError
from asr_adapt.text import profile as profile_named
from asr_adapt.text.spaces import UNSPACED

_SPACE_BESIDE_UNSPACED = re.compile(f"(?<={UNSPACED.pattern}) +| +(?={UNSPACED.pattern})")
BATCH = 2_000  #: utterances per jiwer call: its alignment objects live only that long


@dataclass(frozen=True)
class Counts:
    """Totals over some utterances; rates are fractions."""

    rows: int = 0
    words: int = 0
    hits: int = 0
    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0
    characters: int = 0
    character_errors: int = 0
    wrong_rows: int = 0
    empty_references: int = 0
    insertions_on_silence: int = 0
    empty_hypotheses: int = 0
    #: Rows on which the decoder repeated itself over and over, as far as the predictions say.
    looped_rows: int = 0

    @property
    def errors(self) -> int:
        """Word errors: substitutions + deletions + insertions."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def wer(self) -> float:
        """Corpus word error rate, Σ errors / Σ words; the number of insertions when there are no words."""
        return self.errors / max(self.words, 1)

    @property
    def cer(self) -> float:
        """Corpus character error rate; spaces between words are characters, as in jiwer.

        Beside a letter of a script that puts none between words a space is not: there, writers set them as
        they like, and punctuation becomes one. Profile ``none`` counts every character.
        """
        return self.character_errors / max(self.characters, 1)

    @property
    def ser(self) -> float:
        """Sentence error rate: share of rows with at least one word error."""
        return self.wrong_rows / max(self.rows, 1)

    def to_json(self) -> dict[str, Any]:
        """Plain values, rates first."""
        names = ("wer", "cer", "ser", "errors")
        return {name: getattr(self, name) for name in names} | dict(vars(self))


@dataclass(frozen=True)
class Confusions:
    """Which words were confused, dropped and added, with counts."""

    substitutions: Counter[tuple[str, str]]
    deletions: Counter[str]
    insertions: Counter[str]

    def missed(self) -> Counter[str]:
        """How often each reference word was substituted or deleted."""
        missed = Counter(self.deletions)
        for (reference, _), count in self.substitutions.items():
            missed[reference] += count
        return missed

    def to_json(self, top: int = 20) -> dict[str, list[dict[str, Any]]]:
        """The ``top`` most frequent of each kind; ties in alphabetical order, so that output is stable."""
        return {
            "substitutions": [
                {"reference": pair[0], "hypothesis": pair[1], "count": n}
                for pair, n in _most_common(self.substitutions, top)
            ],
            "deletions": [{"word": word, "count": n} for word, n in _most_common(self.deletions, top)],
            "insertions": [{"word": word, "count": n} for word, n in _most_common(self.insertions, top)],
        }


def _most_common(counter: Counter[Any], top: int) -> list[tuple[Any, int]]:
    return sorted(counter.items(), key=lambda item: (-item[1], item[0]))[:top]


@dataclass(frozen=True)
class ErrorTable:
    """Per-utterance counts, int64 arrays of shape (utterances,), in the order of the input."""

    words: np.ndarray
    hits: np.ndarray
    substitutions: np.ndarray
    deletions: np.ndarray
    insertions: np.ndarray
    characters: np.ndarray
    character_errors: np.ndarray
    hypothesis_words: np.ndarray
    confusions: Confusions
    #: Rows on which the decoder looped, booleans; None where nothing is known of it.
    looped: np.ndarray | None = None

    @property
    def errors(self) -> np.ndarray:
        """Word errors per utterance, shape (utterances,)."""
        return self.substitutions + self.deletions + self.insertions

    def __len__(self) -> int:
        return len(self.words)

    def take(self, rows: Sequence[int] | np.ndarray) -> ErrorTable:
        """The counts of some rows, in the given order; the confusions stay those of all."""
        rows = np.asarray(rows, dtype=np.int64)
        counts = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "confusions"}
        taken: dict[str, Any] = {name: None if own is None else own[rows] for name, own in counts.items()}
        return replace(self, **taken)

    def counted_in(self, metric: str) -> ErrorTable:
        """The table itself for ``wer``; for ``cer`` one whose words are the characters of this one."""
        if metric == "wer":
            return self
        none = np.zeros_like(self.words)
        return replace(
            self,
            words=self.characters,
            hits=np.maximum(self.characters - self.character_errors, 0),
            substitutions=self.character_errors,
            deletions=none,
            insertions=none,
        )

    def total(self, rows: np.ndarray | slice = slice(None)) -> Counts:
        """Totals over ``rows`` (indices, a mask or a slice; default all)."""
        words, errors, insertions = self.words[rows], self.errors[rows], self.insertions[rows]
        return Counts(
            rows=len(words),
            words=int(words.sum()),
            hits=int(self.hits[rows].sum()),
            substitutions=int(self.substitutions[rows].sum()),
            deletions=int(self.deletions[rows].sum()),
            insertions=int(insertions.sum()),
            characters=int(self.characters[rows].sum()),
            character_errors=int(self.character_errors[rows].sum()),
            wrong_rows=int((errors > 0).sum()),
            empty_references=int((words == 0).sum()),
            insertions_on_silence=int(insertions[words == 0].sum()),
            empty_hypotheses=int((self.hypothesis_words[rows] == 0).sum()),
            looped_rows=0 if self.looped is None else int(self.looped[rows].sum()),
        )


def count_errors(references: Sequence[str], hypotheses: Sequence[str], profile: str = "basic") -> ErrorTable:
    """Count word and character errors of every pair under a normalisation profile.

    ``references`` and ``hypotheses`` are raw texts of equal number (:class:`DataError` otherwise); words are
    aligned by jiwer, character distances come from rapidfuzz, the engine inside jiwer.
    """
    if len(references) != len(hypotheses):
        raise DataError(
            f"{len(references)} references but {len(hypotheses)} hypotheses: they must be paired."
        )
    apply = profile_named(profile).apply
    reference = [" ".join(apply(text).split()) for text in references]
    hypothesis = [" ".join(apply(text).split()) for text in hypotheses]
    confusions = Confusions(Counter(), Counter(), Counter())
    counts = np.zeros((len(reference), 4), dtype=np.int64)
    for start in range(0, len(reference), BATCH):
        batch = slice(start, start + BATCH)
        _count_words(reference[batch], hypothesis[batch], counts[batch], confusions)
    hits, substitutions, deletions, insertions = counts.T
    if profile != "none":  # which leaves texts as they stand
        reference, hypothesis = list(map(_letters, reference)), list(map(_letters, hypothesis))
    distances = _distances(reference, hypothesis)
    return ErrorTable(
        words=hits + substitutions + deletions,
        hits=hits,
        substitutions=substitutions,
        deletions=deletions,
        insertions=insertions,
        characters=np.array([len(text) for text in reference], dtype=np.int64),
        character_errors=np.asarray(distances, dtype=np.int64),
        hypothesis_words=hits + substitutions + insertions,
        confusions=confusions,
    )


def _distances(references: list[str], hypotheses: list[str]) -> np.ndarray:
    """Character distances. From a small guess rapidfuzz widens the band that it computes until the distance
    lies in it, so that a row of 10^5 words costs its length times its errors, not its length squared."""
    few = 31
    return cpdist(
        references, hypotheses, scorer=Levenshtein.distance, score_hint=few, dtype=np.int32, workers=1
    )


def _letters(text: str) -> str:
    """What the characters of a normalised text are counted in."""
    return text if text.isascii() else _SPACE_BESIDE_UNSPACED.sub("", text)


def _count_words(
    references: list[str], hypotheses: list[str], counts: np.ndarray, confusions: Confusions
) -> None:
    output = jiwer.process_words(references, hypotheses)
    for row, chunks in enumerate(output.alignments):
        reference, hypothesis = output.references[row], output.hypotheses[row]
        for chunk in chunks:
            gone = reference[chunk.ref_start_idx : chunk.ref_end_idx]
            come = hypothesis[chunk.hyp_start_idx : chunk.hyp_end_idx]
            if chunk.type == "equal":
                counts[row, 0] += len(gone)
            elif chunk.type == "substitute":
                counts[row, 1] += len(gone)
                confusions.substitutions.update(zip(gone, come, strict=True))
            elif chunk.type == "delete":
                counts[row, 2] += len(gone)
                confusions.deletions.update(gone)
            else:
                counts[row, 3] += len(come)
                confusions.insertions.update(come)


def word_errors(references: Sequence[str], hypotheses: Sequence[str], profile: str = "basic") -> Counts:
    """Totals over all pairs: the short way for a training loop that only wants a WER."""
    return count_errors(references, hypotheses, profile).total()
