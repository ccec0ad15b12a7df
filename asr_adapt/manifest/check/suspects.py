"""The worst-aligned transcripts, and rows that are too long cut at their pauses.

Knows scores and word times that an aligner hands in, as plain numbers. Does not know any model and needs no
torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from asr_adapt.audio import Samples
from asr_adapt.errors import DataError
from asr_adapt.manifest.check.findings import Finding, Findings
from asr_adapt.manifest.manifest import Manifest
from asr_adapt.manifest.sound import read_waveform
from asr_adapt.manifest.utterance import Utterance

#: Score and what the model heard, for each waveform and text of a batch.
Scorer = Callable[[Sequence[Samples], Sequence[str]], Sequence[tuple[float, str]]]
#: ``(word, start, end)`` in seconds for a waveform and its words.
Aligner = Callable[[Samples, Sequence[str]], Sequence[tuple[str, float, float]]]

#: Scores above the median by this many robust standard deviations are suspect.
_SUSPECT = 4.0
#: Seconds of audio scored at once.
_BATCH_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Suspect:
    """A row's score (nats a label, larger is worse; infinity: no path) and what the model heard."""

    row: int
    score: float
    heard: str


def score_rows(
    manifest: Manifest,
    scorer: Scorer,
    *,
    sample_rate: int,
    prepare: Callable[[str], str],
    progress: Callable[[int], None] | None = None,
) -> list[Suspect]:
    """Score every row with text and readable audio, worst first. ``prepare`` normalises transcripts."""
    suspects: list[Suspect] = []
    done = 0
    for batch in _batches(manifest, sample_rate, prepare):
        results = scorer([samples for _, samples, _ in batch], [text for _, _, text in batch])
        for (row, _, _), (score, heard) in zip(batch, results, strict=True):
            suspects.append(Suspect(row, score, heard))
        done += len(batch)
        if progress is not None:
            progress(done)
    return sorted(suspects, key=lambda suspect: (-suspect.score, suspect.row))


def add_suspects(
    manifest: Manifest, suspects: Sequence[Suspect], findings: Findings, least: float = 0.0
) -> float:
    """Record outliers as findings; returns the score above which a row is suspect.

    The bound is median + 4 robust standard deviations (MAD) of the finite scores, since wrong transcripts are
    few, but at least ``least``.
    """
    scores = np.array([suspect.score for suspect in suspects if math.isfinite(suspect.score)])
    if not len(scores):
        return math.inf
    middle = float(np.median(scores))
    spread = 1.4826 * float(np.median(np.abs(scores - middle)))
    bound = max(middle + _SUSPECT * max(spread, 0.05), least)
    for suspect in suspects:
        if suspect.score > bound:
            row = manifest[suspect.row]
            message = f"score {suspect.score:.2f} for {row.text!r}; the model wrote {suspect.heard!r}."
            findings.add(Finding("suspect-transcript", suspect.row, message, row.source, row.line, row.id))
    return bound


def splitter(
    aligner: Aligner, *, sample_rate: int, max_seconds: float
) -> Callable[[Utterance], list[Utterance]]:
    """A function that cuts a row which is too long into rows of at most ``max_seconds`` at its pauses.

    It returns no rows where the audio cannot be read or aligned, or no pause is where one is needed.
    """

    def split(row: Utterance) -> list[Utterance]:
        words = (row.text or "").split()
        if not words:
            return []
        try:
            samples = read_waveform(row, sample_rate)
            times = aligner(samples, words)
        except DataError:
            return []
        return [
            row.replace(
                id=f"{row.id}-{number}",
                offset=round(row.offset + start, 3),
                duration=round(end - start, 3),
                text=" ".join(text),
            )
            for number, (start, end, text) in enumerate(
                cut_at_pauses(times, len(samples) / sample_rate, max_seconds), start=1
            )
        ]

    return split


def cut_at_pauses(
    times: Sequence[tuple[str, float, float]], total: float, max_seconds: float
) -> list[tuple[float, float, list[str]]]:
    """``(start, end, words)`` pieces of at most ``max_seconds`` that cover all words, cut in mid-pause.

    Each piece ends at the longest pause of the second half of what would fit. Empty when a stretch without a
    pause is longer than allowed.
    """
    pieces: list[tuple[float, float, list[str]]] = []
    start, first = 0.0, 0
    while first < len(times):
        if total - start <= max_seconds:
            return [*pieces, (start, total, [word for word, _, _ in times[first:]])]
        cuts = [
            (after[1] - before[2], (before[2] + after[1]) / 2, number)
            for number, (before, after) in enumerate(
                zip(times[first:], times[first + 1 :], strict=False), first + 1
            )
            if (before[2] + after[1]) / 2 - start <= max_seconds
        ]
        late = [cut for cut in cuts if cut[1] - start >= max_seconds / 2] or cuts
        if not late:
            return []
        _, end, following = max(late)
        pieces.append((start, end, [word for word, _, _ in times[first:following]]))
        start, first = end, following
    return pieces


def _batches(
    manifest: Manifest, sample_rate: int, prepare: Callable[[str], str]
) -> Iterator[list[tuple[int, Samples, str]]]:
    """Rows of similar length together, as many as make a minute of padded audio."""
    batch: list[tuple[int, Samples, str]] = []
    for number in _by_length(manifest):
        item = _read(manifest, number, sample_rate, prepare)
        if item is None:
            continue
        longest = max(len(item[1]), max((len(samples) for _, samples, _ in batch), default=0))
        if batch and longest * (len(batch) + 1) > _BATCH_SECONDS * sample_rate:
            yield batch
            batch = []
        batch.append(item)
    if batch:
        yield batch


def _by_length(manifest: Manifest) -> Iterable[int]:
    order: list[int] = np.argsort(manifest.durations, kind="stable").tolist()
    return order


def _read(
    manifest: Manifest, number: int, sample_rate: int, prepare: Callable[[str], str]
) -> tuple[int, Samples, str] | None:
    """None for rows that other findings already name: broken lines, no text, unreadable audio."""
    row = next(iter(manifest.scan(number, number + 1)))
    if isinstance(row, DataError) or row.text is None or not (text := prepare(row.text)).strip():
        return None
    try:
        samples = read_waveform(row if row.duration else row.replace(duration=None), sample_rate)
    except DataError:
        return None
    return number, samples, text
