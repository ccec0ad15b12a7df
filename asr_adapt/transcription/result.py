"""What a transcription is: segments with times, words and confidence.

Knows the result types, how words become segments, and the JSON form that openai-whisper made common.
Does not know how anything was recognised, nor any subtitle format.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asr_adapt.errors import UsageError
from asr_adapt.files import atomic_write
from asr_adapt.models import Decoded, Word
from asr_adapt.text.spaces import joined

if TYPE_CHECKING:
    from asr_adapt.transcription import CueRules

#: Mel frames a second in whisper; its JSON counts ``seek`` in them.
WHISPER_FRAMES_PER_SECOND = 100


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of speech: times in seconds from the start of the file, confidence 0…1 where known.

    ``tokens`` and ``decoded`` are set by recognisers with a decoder that tells times.
    """

    start: float
    end: float
    text: str
    words: tuple[Word, ...] = ()
    confidence: float | None = None
    tokens: tuple[int, ...] = ()
    decoded: Decoded | None = None
    #: Who speaks, where it was asked; see :mod:`asr_adapt.transcription.voice.speakers`.
    speaker: str | None = None


@dataclass(frozen=True, slots=True)
class Transcript:
    """One source, transcribed.

    ``duration`` is seconds of decoded audio, ``compute_seconds`` this source's share of the recogniser's
    time, ``warnings`` sentences on what of the file could not be heard, ``fields`` those of a manifest row
    that say what was transcribed (``audio_filepath``, ``channel``, and all of the row that named it).
    """

    source: str
    segments: tuple[Segment, ...]
    duration: float
    model: str = ""
    language: str | None = None
    compute_seconds: float = 0.0
    warnings: tuple[str, ...] = ()
    fields: Mapping[str, Any] = field(default_factory=dict)
    #: Whether the decoder looped in some part of it; see :class:`~asr_adapt.models.Hypothesis`.
    looped: bool = False
    #: The model's probability of ``language``, where it was heard.
    language_probability: float | None = None
    #: ``transcribe`` or ``translate``, where the recogniser can do both.
    task: str | None = None

    @property
    def text(self) -> str:
        """The whole transcript on one line."""
        return joined([segment.text for segment in self.segments if segment.text])

    @property
    def words(self) -> tuple[Word, ...]:
        """Every word with its times; empty when word times were not asked for."""
        return tuple(word for segment in self.segments for word in segment.words)

    @property
    def confidence(self) -> float | None:
        """Mean confidence of the segments, weighted by their length; None when unknown."""
        known = [
            (s.confidence, max(s.end - s.start, 1e-3)) for s in self.segments if s.confidence is not None
        ]
        if not known:
            return None
        return sum(value * weight for value, weight in known) / sum(weight for _, weight in known)

    def to_txt(self) -> str:
        """One segment a line."""
        return self._rendered("txt")

    def to_srt(self, rules: CueRules | None = None) -> str:
        """SubRip subtitles; ``rules`` say how long lines may be."""
        return self._rendered("srt", rules)

    def to_vtt(self, rules: CueRules | None = None) -> str:
        """WebVTT subtitles; ``rules`` say how long lines may be."""
        return self._rendered("vtt", rules)

    def _rendered(self, format: str, rules: CueRules | None = None) -> str:
        from asr_adapt.transcription import CueRules, WriterOptions, render

        return render(self, format, WriterOptions(rules or CueRules()))

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write a file in the format of its ending: txt, srt, vtt, tsv, json, csv, lrc or jsonl.

        Raises UsageError for another ending and, without ``overwrite``, for a file that is there.
        """
        target = Path(path)
        text = self._rendered(target.suffix.removeprefix(".").lower())
        if target.exists() and not overwrite:
            raise UsageError(f"{target} already exists: give overwrite=True, or another name.")
        with atomic_write(target) as handle:
            handle.write(text)

    def _repr_html_(self) -> str:
        from asr_adapt.notebook import framed, table

        spoken = any(segment.speaker for segment in self.segments)
        rows = [
            {"start": round(s.start, 2), "end": round(s.end, 2)}
            | ({"speaker": s.speaker} if spoken else {})
            | {"text": s.text, "confidence": None if s.confidence is None else round(s.confidence, 2)}
            for s in self.segments
        ]
        return framed(table(rows, self.source))

    def to_json(self) -> dict[str, Any]:
        """Whisper's schema (text, segments, language) plus ``duration``, ``model``, ``confidence``.

        Whisper's fields that a CTC recogniser has no number for are null; ``task``, ``warnings`` and
        ``looped`` come only where there are any.
        """
        remarks = {"warnings": list(self.warnings)} if self.warnings else {}
        share = self.language_probability
        return (
            remarks
            | {
                "text": self.text,
                "segments": [
                    _segment_json(n, segment, self.language) for n, segment in enumerate(self.segments)
                ],
                "language": self.language,
                "duration": round(self.duration, 3),
                "model": self.model,
                "confidence": _rounded(self.confidence),
            }
            | ({"language_probability": _rounded(share)} if share is not None else {})
            | ({"task": self.task} if self.task is not None else {})
            | ({"looped": True} if self.looped else {})
        )


def phrases(
    words: Sequence[Word], *, pause: float = 0.8, longest: float = 30.0
) -> Iterator[tuple[Word, ...]]:
    """Words grouped at every silence of ``pause`` seconds, and wherever a group would exceed ``longest``."""
    if not words:
        return
    group = [words[0]]
    for before, word in pairwise(words):
        if word.start - before.end >= pause or word.end - group[0].start > longest:
            yield tuple(group)
            group = []
        group.append(word)
    yield tuple(group)


def mean_probability(words: Sequence[Word]) -> float | None:
    """Mean word probability; None without words."""
    known = [word.probability for word in words if word.probability is not None]
    return sum(known) / len(known) if known else None


def _segment_json(number: int, segment: Segment, language: str | None) -> dict[str, Any]:
    found = segment.decoded
    score = math.log(segment.confidence) if segment.confidence else None
    seek = segment.start if found is None or found.seek is None else found.seek
    row: dict[str, Any] = {
        "id": number,
        "seek": round(seek * WHISPER_FRAMES_PER_SECOND),
        "start": round(segment.start, 3),
        "end": round(segment.end, 3),
        "text": segment.text,
        "tokens": list(segment.tokens),
        "temperature": 0.0 if found is None else found.temperature,
        "avg_logprob": _rounded(score if found is None else found.mean_score),
        "compression_ratio": _compression_ratio(segment.text)
        if found is None
        else _rounded(found.compression),
        "no_speech_prob": None if found is None else _rounded(found.no_speech),
        "confidence": _rounded(segment.confidence),
    }
    if found is not None and found.language is not None and found.language != language:
        row["language"], row["language_probability"] = found.language, _rounded(found.language_probability)
    row |= _said_by(segment.speaker)
    if segment.words:
        row["words"] = [word_json(word) | _said_by(segment.speaker) for word in segment.words]
    return row


def _said_by(speaker: str | None) -> dict[str, str]:
    return {} if speaker is None else {"speaker": speaker}


def word_json(word: Word) -> dict[str, Any]:
    """``{word, start, end, probability}`` with times in seconds."""
    return {
        "word": word.text,
        "start": round(word.start, 3),
        "end": round(word.end, 3),
        "probability": _rounded(word.probability),
    }


def _compression_ratio(text: str) -> float | None:
    """Bytes over zlib-compressed bytes: whisper's sign of a repetition loop."""
    raw = text.encode()
    return round(len(raw) / len(zlib.compress(raw)), 4) if raw else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
