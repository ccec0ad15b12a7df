"""Rows to training examples: waveforms and label ids, decoded ahead on threads.

Knows how to check that each row can be learnt from and how to load a micro-batch. Does not know how batches
are chosen (:mod:`asr_adapt.training.data.batches`) nor what is done with them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
from torch import Tensor

from asr_adapt.audio.augment import Augmenter
from asr_adapt.audio.containers import audio_exists
from asr_adapt.errors import DataError
from asr_adapt.manifest import Manifest, Utterance, read_waveform
from asr_adapt.manifest.windows import previous_text, segments_of
from asr_adapt.models import Recogniser
from asr_adapt.text import Spelling, UnknownReport, normalise, unknown_characters
from asr_adapt.training.data.batches import BatchPlan

Item = TypeVar("Item")
Loaded = TypeVar("Loaded")


@dataclass(frozen=True)
class Example:
    """One row ready for the model; ``number`` is its place in the corpus, ``others`` are those joined to it.

    Either ``waveform`` (samples,) is there, or ``states`` (frames, width): what the frozen prefix gave.
    """

    number: int
    labels: list[int]
    seconds: float
    waveform: np.ndarray | None = None
    states: Tensor | None = None
    others: tuple[int, ...] = ()

    @property
    def samples(self) -> np.ndarray:
        """The waveform of an example that has one."""
        if self.waveform is None:
            raise ValueError(f"example {self.number} holds states, not sound")
        return self.waveform


class PrefixReader(Protocol):
    """Where outputs of the frozen prefix come from."""

    def read(self, number: int, epoch: int) -> Tensor | None:
        """States (frames, width) of a row of the corpus; None when they are not kept."""


class Pack(Protocol):
    """How examples are joined; see :class:`asr_adapt.training.data.windows.Packing`."""

    def heard(self, seconds: float) -> float:
        """Seconds that the network computes for a clip, about."""

    def __call__(self, examples: Sequence[Example], rows: Sequence[Utterance], epoch: int) -> list[Example]:
        """Fewer examples with the same sound and text."""


class Corpus:
    """Checked training rows with their labels; ``targets`` target rows (None: all), then replayed ones, then
    ``silent`` ones, in which nobody speaks."""

    def __init__(
        self,
        rows: Sequence[Utterance],
        labels: list[list[int]],
        sample_rate: int,
        augmenter: Augmenter | None = None,
        targets: int | None = None,
        silent: int = 0,
    ) -> None:
        self.rows, self.labels, self.sample_rate, self.augmenter = rows, labels, sample_rate, augmenter
        #: The numbers of the target rows, of the replayed and of the silent ones.
        spoken = len(rows) - silent
        own = spoken if targets is None else targets
        self.parts = [range(own), range(own, spoken), range(spoken, len(rows))]
        self.durations = np.array([row.duration for row in rows], dtype=np.float64)
        self.prefix: PrefixReader | None = None
        self.pack: Pack | None = None
        self._plan: BatchPlan | None = None

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def plan(self) -> BatchPlan:
        """Which rows make which micro-batch, once that is settled."""
        if self._plan is None:
            raise ValueError("the batches of this corpus are not planned yet")
        return self._plan

    @plan.setter
    def plan(self, plan: BatchPlan) -> None:
        self._plan = plan

    def example(self, number: int, epoch: int) -> Example:
        """One row of ``epoch``: states of the frozen prefix where they are kept, else its waveform.

        Raises :class:`DataError` naming the manifest line.
        """
        states = None if self.prefix is None else self.prefix.read(number, epoch)
        if states is not None:
            return Example(number, self.labels[number], float(self.durations[number]), states=states)
        waveform = self.waveform(number, epoch)
        return Example(number, self.labels[number], len(waveform) / self.sample_rate, waveform=waveform)

    def batch(self, numbers: Sequence[int], epoch: int) -> list[Example]:
        """Rows of a micro-batch, several in one window where they are packed."""
        examples = [self.example(number, epoch) for number in numbers]
        if self.pack is None:
            return examples
        return self.pack(examples, [self.rows[number] for number in numbers], epoch)

    def waveform(self, number: int, epoch: int) -> np.ndarray:
        """Decode one row and augment it for ``epoch``."""
        row = self.rows[number]
        waveform = read_waveform(row, self.sample_rate)
        if self.augmenter is None:
            return waveform
        return self.augmenter(waveform, self.sample_rate, epoch=epoch, utterance_id=row.id)


def check_rows(
    manifest: Manifest, recogniser: Recogniser, *, drop: bool, shortest: float = 1.0
) -> tuple[Corpus, list[str]]:
    """Labels for every row, or an error that names the first row that cannot be learnt from.

    A row's ``text`` is what it teaches (:mod:`asr_adapt.training.labels.choice`).
    With ``drop`` such rows are left out and their sentences returned. Missing audio, missing text and unknown
    characters are never dropped: they mean that the manifest or the vocabulary is the wrong one.
    ``shortest`` is the smallest length, relative to its own, that augmentation can give a clip.
    """
    rows, labels, problems = [], [], []
    for row in manifest:
        _require_fields(row)
        ids = recogniser.window_labels(segments_of(row), previous_text(row))
        problem = _infeasible(row, ids, recogniser, shortest)
        if problem is None:
            rows.append(row)
            labels.append(ids)
        elif drop:
            problems.append(str(row.error(problem.sentence, problem.field)))
        else:
            advice = "Correct the row or set invalid_rows: drop."
            raise row.error(f"{problem.sentence} {advice}", problem.field)
    if not rows:
        sources = dict.fromkeys(row.source for row in manifest if row.source)
        raise DataError("no training rows are left.", path=", ".join(sources) or None)
    return Corpus(rows, labels, recogniser.sample_rate), problems


def silent_rows(manifest: Manifest, recogniser: Recogniser) -> Corpus:
    """Rows in which nobody speaks, with the labels of no text.

    Raises :class:`DataError` naming the first row that has a transcript, no length or no audio file.
    """
    for row in manifest:
        if row.text:
            raise row.error("somebody speaks here, but rows of silence.manifest have no transcript.", "text")
        _require_fields(row.replace(text=""))
    return Corpus(list(manifest), recogniser.labels([""] * len(manifest)), recogniser.sample_rate)


def unwritable(manifest: Manifest, recogniser: Recogniser) -> UnknownReport:
    """The characters of label texts that the model cannot write."""
    limits = recogniser.limits()
    if limits.vocabulary is None:
        return UnknownReport(0, 0, 0, ())
    spelling = limits.spelling or Spelling(limits.vocabulary)
    return unknown_characters((row.text or "" for row in manifest), spelling)


def check_characters(manifest: Manifest, recogniser: Recogniser) -> None:
    """Raise :class:`DataError` when label texts hold characters that the model cannot write."""
    report = unwritable(manifest, recogniser)
    if not report.unknown:
        return
    shown = report.most_frequent()
    example = report.unknown[0].examples[0]
    line = next((r for r in manifest if report.unknown[0].character in (r.text or "")), None)
    other = (
        "set vocabulary: extend"
        if recogniser.capabilities.extendable_vocabulary
        else "correct it (this model cannot take new characters)"
    )
    raise DataError(
        f"characters outside the model's vocabulary: {shown}, first in {example!r}; "
        f"normalise the text or {other}.",
        path=None if line is None else line.source,
        line=None if line is None else line.line,
        field="text",
    )


def _require_fields(row: Utterance) -> None:
    if row.text is None:
        raise row.error("the transcript is missing: training needs it.", "text")
    if row.duration is None:
        raise row.error(
            "the duration is missing: rebuild the manifest with asr-adapt manifest build.", "duration"
        )
    if not audio_exists(row.audio_path):
        raise row.error(
            f"no such audio file ({row.audio_path}): was it moved? Rebuild the manifest with --root.",
            "audio_filepath",
        )


class _Problem(NamedTuple):
    """Why a row cannot be learnt from, and the field where that is."""

    field: str
    sentence: str


def _infeasible(row: Utterance, ids: list[int], recogniser: Recogniser, shortest: float) -> _Problem | None:
    if not ids or not normalise(row.text or ""):
        return _Problem("text", "the transcript is empty after normalisation.")
    limits = recogniser.limits()
    duration = row.duration or 0.0
    if limits.max_seconds is not None and duration > limits.max_seconds:
        longest = f"{limits.max_seconds:.0f} s"
        return _Problem("duration", f"{duration:.1f} s of audio, the model takes at most {longest}.")
    if limits.max_labels is not None and len(ids) > limits.max_labels:
        return _Problem("text", f"{len(ids)} labels, the model takes at most {limits.max_labels}.")
    if limits.frames is not None:
        needed = len(ids) + sum(a == b for a, b in pairwise(ids))
        frames = limits.frames(duration * shortest)
        if frames < needed:
            given = f"{duration:.2f} s of audio give {frames}"
            return _Problem("text", f"the transcript needs {needed} frames, {given}.")
    return None


def prefetched(
    items: Iterable[Item], load: Callable[[Item], Loaded], depth: int
) -> Iterator[tuple[Item, Loaded]]:
    """``(item, load(item))`` in order, with ``depth`` items being loaded ahead on threads.

    Decoding and resampling release the interpreter lock, so threads overlap with the model's step.
    """
    with ThreadPoolExecutor(max_workers=min(depth, 4), thread_name_prefix="decode") as pool:
        waiting: deque[tuple[Item, Future[Loaded]]] = deque()
        try:
            for item in items:
                waiting.append((item, pool.submit(load, item)))
                if len(waiting) > depth:
                    ready, future = waiting.popleft()
                    yield ready, future.result()
            while waiting:
                ready, future = waiting.popleft()
                yield ready, future.result()
        finally:
            for _, future in waiting:
                future.cancel()
