"""Parts of transcripts that matter more than others: names, numbers, places, words of another language.

Knows where such spans stand in a reference and whether they were recognised. Does not know files or how a
result is shown.

A span is right where every word of it was recognised and nothing was put in between; words inserted before
its first or behind its last word are not its own. Spans come from fields of the rows:

- a list: phrases of the reference, or objects with ``text`` (or ``start`` and ``end``, characters of the
  reference) and a ``kind``;
- a word: the whole transcript is one span of that kind (``kind: phone``);
- ``numbers`` asks for every run of digits and number words, where rows have no field of that name.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jiwer
import numpy as np

from asr_adapt.errors import DataError
from asr_adapt.scoring.bootstrap import Interval, speaker_blocks, wer_interval
from asr_adapt.scoring.predictions import Predictions
from asr_adapt.text import profile as profile_named
from asr_adapt.text.spoken import is_number_word

NUMBERS = "numbers"


@dataclass(frozen=True)
class SpanScore:
    """Spans of one kind: how many, how many are right, their words and word errors; rates are fractions.

    ``interval`` is of the share that is wrong, over speakers where six are known.
    """

    spans: int
    right: int
    words: int
    errors: int
    interval: Interval

    @property
    def accuracy(self) -> float:
        """Share of the spans that are right."""
        return self.right / max(self.spans, 1)

    @property
    def wer(self) -> float:
        """Word error rate inside the spans."""
        return self.errors / max(self.words, 1)

    def to_json(self) -> dict[str, Any]:
        """Plain values, rates first; the interval is of the accuracy."""
        bounds = self.interval.to_json()
        bounds |= {"low": 1 - self.interval.high, "high": 1 - self.interval.low}
        own = {name: getattr(self, name) for name in ("spans", "right", "words", "errors")}
        return {"accuracy": self.accuracy, "wer": self.wer, **own, "interval": bounds}


@dataclass(frozen=True)
class SpanScores:
    """Scores by kind, and the words outside of all spans with their errors."""

    kinds: Mapping[str, SpanScore]
    outside_words: int
    outside_errors: int

    @property
    def outside_wer(self) -> float:
        """Word error rate of everything else, a fraction."""
        return self.outside_errors / max(self.outside_words, 1)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        outside = {"wer": self.outside_wer, "words": self.outside_words, "errors": self.outside_errors}
        return {"kinds": {kind: own.to_json() for kind, own in self.kinds.items()}, "outside": outside}


@dataclass(frozen=True)
class _Placed:
    """A span of normalised words ``start`` … ``stop`` - 1 of a row."""

    kind: str
    start: int
    stop: int


def score_spans(
    predictions: Predictions, fields: Sequence[str], profile: str, *, seed: int = 0
) -> SpanScores:
    """Score the spans that ``fields`` of the rows name; both sides are normalised by ``profile`` first.

    Raises :class:`DataError` for a field without spans and for a phrase that is not in its transcript.
    """
    apply = profile_named(profile).apply
    rows = len(predictions)
    wrong: dict[str, np.ndarray] = defaultdict(lambda: np.zeros(rows, dtype=np.int64))
    count: dict[str, np.ndarray] = defaultdict(lambda: np.zeros(rows, dtype=np.int64))
    words: dict[str, int] = defaultdict(int)
    errors: dict[str, int] = defaultdict(int)
    outside = [0, 0]
    columns = {field: _column(predictions, field) for field in fields}
    for row, (reference, hypothesis) in enumerate(
        zip(predictions.references, predictions.hypotheses, strict=True)
    ):
        said, heard = apply(reference).split(), apply(hypothesis).split()
        amiss, inserted = _errors(said, heard)
        covered = np.zeros(len(said), dtype=bool)
        within = np.zeros(len(said) + 1, dtype=bool)
        for field, column in columns.items():
            for span in _spans(
                column[row],
                field,
                reference,
                said,
                apply,
                f"{predictions.source}: row {predictions.ids[row]}",
            ):
                own = int(amiss[span.start : span.stop].sum() + inserted[span.start + 1 : span.stop].sum())
                count[span.kind][row] += 1
                wrong[span.kind][row] += own > 0
                words[span.kind] += span.stop - span.start
                errors[span.kind] += own
                covered[span.start : span.stop] = True
                within[span.start + 1 : span.stop] = True
        outside[0] += int((~covered).sum())
        outside[1] += int(amiss[~covered].sum() + inserted[~within].sum())
    if not count:
        raise DataError(f"no row has a span in {', '.join(fields)}.", path=predictions.source)
    blocks = speaker_blocks(predictions.speakers, rows)
    kinds = {}
    for kind in sorted(count):
        interval = wer_interval(wrong[kind], count[kind], blocks, seed=seed)
        total = int(count[kind].sum())
        right = total - int(wrong[kind].sum())
        kinds[kind] = SpanScore(total, right, words[kind], errors[kind], interval)
    return SpanScores(kinds, *outside)


def _column(predictions: Predictions, field: str) -> Sequence[Any]:
    """The values of a field; of ``numbers``, where rows have none, a mark that asks for them."""
    if field in predictions.lists:
        return predictions.lists[field]
    if field == NUMBERS and field not in predictions.columns:
        return [NUMBERS_WANTED] * len(predictions)
    return predictions.column(field)


#: Stands for the value of a field that asks for runs of number words.
NUMBERS_WANTED = object()


def _errors(said: Sequence[str], heard: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Whether each reference word is wrong, and how many words were inserted before each and at the end."""
    amiss = np.zeros(len(said), dtype=np.int64)
    inserted = np.zeros(len(said) + 1, dtype=np.int64)
    if not said:
        inserted[0] = len(heard)
        return amiss, inserted
    for chunk in jiwer.process_words(" ".join(said), " ".join(heard)).alignments[0]:
        if chunk.type == "insert":
            inserted[chunk.ref_start_idx] += chunk.hyp_end_idx - chunk.hyp_start_idx
        elif chunk.type != "equal":
            amiss[chunk.ref_start_idx : chunk.ref_end_idx] = 1
    return amiss, inserted


def _spans(
    value: Any, field: str, reference: str, said: list[str], apply: Any, place: str
) -> Iterator[_Placed]:
    """The spans of one row, in the words of its normalised reference."""
    if value is None or value == "":
        return
    if value is NUMBERS_WANTED:
        yield from _number_runs(said)
    elif isinstance(value, list):
        for item in value:
            yield from _listed(item, field, reference, said, apply, place)
    elif said:
        yield _Placed(str(value), 0, len(said))


def _number_runs(said: Sequence[str]) -> Iterator[_Placed]:
    start = None
    for at, word in enumerate([*said, ""]):
        if is_number_word(word):
            start = at if start is None else start
        elif start is not None:
            yield _Placed(NUMBERS, start, at)
            start = None


def _listed(
    item: Any, field: str, reference: str, said: list[str], apply: Any, place: str
) -> Iterator[_Placed]:
    """Where one item of a list stands: at its offsets, or wherever its phrase occurs."""
    item = {"text": item} if isinstance(item, str) else item
    if not isinstance(item, dict) or not ({"text"} <= item.keys() or {"start", "end"} <= item.keys()):
        raise DataError(f"{place}: {field} must list phrases, or objects with text, or with start and end.")
    at = item.get("start")
    phrase = item["text"] if at is None else reference[at : item["end"]]
    wanted = apply(str(phrase)).split()
    size = len(wanted)
    found = [n for n in range(len(said) - size + 1) if size and said[n : n + size] == wanted]
    if not found:
        raise DataError(f"{place}: {field}: {phrase!r} is not in the normalised text.")
    if at is not None:
        before = len(apply(reference[:at]).split())
        found = [min(found, key=lambda n: abs(n - before))]
    for start in found:
        yield _Placed(str(item.get("kind", field)), start, start + size)
