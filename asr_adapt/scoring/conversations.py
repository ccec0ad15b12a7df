"""Conversations: errors of words and speakers together (cpWER).

Knows rows with segments of several speakers. Does not know how they were heard. Source of the measure:
Watanabe et al., CHiME-6 (arXiv 2004.09249): each speaker's words are joined, and speakers are paired so that
the errors are fewest. It is computed by MeetEval (von Neumann et al., arXiv 2307.11394).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from asr_adapt.errors import DataError, MissingExtraError
from asr_adapt.text import normalise

REFERENCE, HYPOTHESIS = "segments", "pred_segments"
_FIELDS = (("speaker", str), ("text", str), ("start", int | float), ("end", int | float))


@dataclass(frozen=True)
class Conversation:
    """One recording: segments with speaker, text, start and end (seconds), as spoken and as heard."""

    name: str
    reference: Sequence[Mapping[str, Any]]
    hypothesis: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class SpeakerErrors:
    """Errors over all conversations; ``cpwer`` is a fraction of the reference's words."""

    conversations: int
    words: int
    insertions: int
    deletions: int
    substitutions: int
    missed_speakers: int
    invented_speakers: int

    @property
    def cpwer(self) -> float:
        """Errors a word."""
        return (self.insertions + self.deletions + self.substitutions) / max(1, self.words)

    def to_json(self) -> dict[str, Any]:
        """Counts and the rate."""
        return {
            "cpwer": self.cpwer,
            "conversations": self.conversations,
            "words": self.words,
            "insertions": self.insertions,
            "deletions": self.deletions,
            "substitutions": self.substitutions,
            "missed_speakers": self.missed_speakers,
            "invented_speakers": self.invented_speakers,
        }


def conversation(row: Mapping[str, Any], name: str, path: str, line: int) -> Conversation | None:
    """The conversation of a predictions row; None where it holds none.

    Raises DataError for segments that are no list of objects with speaker, text, start and end.
    """
    if REFERENCE not in row or HYPOTHESIS not in row:
        return None
    for field in (REFERENCE, HYPOTHESIS):
        _check(row[field], field, path, line)
    return Conversation(name, row[REFERENCE], row[HYPOTHESIS])


def _check(segments: Any, field: str, path: str, line: int) -> None:
    if not isinstance(segments, list):
        raise DataError("must be a list of segments.", path=path, line=line, field=field)
    for number, segment in enumerate(segments):
        for name, kind in _FIELDS:
            if not isinstance(segment, Mapping) or not isinstance(segment.get(name), kind):
                message = f"segment {number} needs {name}: write speaker, text, start and end."
                raise DataError(message, path=path, line=line, field=field)


def speaker_errors(found: Sequence[Conversation], profile: str) -> SpeakerErrors:
    """cpWER under a normalisation profile; raises MissingExtraError without the extra ``meetings``."""
    try:
        import meeteval
    except ModuleNotFoundError as missing:
        raise MissingExtraError("cpWER", "meetings") from missing
    sides = [meeteval.io.SegLST(list(_rows(found, side, profile))) for side in ("reference", "hypothesis")]
    rates = meeteval.wer.cpwer(*sides).values()

    def total(name: str) -> int:
        return sum(int(getattr(rate, name) or 0) for rate in rates)

    return SpeakerErrors(
        conversations=len(found),
        words=total("length"),
        insertions=total("insertions"),
        deletions=total("deletions"),
        substitutions=total("substitutions"),
        missed_speakers=sum(max(0, -_more(one)) for one in found),
        invented_speakers=sum(max(0, _more(one)) for one in found),
    )


def _more(one: Conversation) -> int:
    """How many more speakers were heard than speak."""
    heard, speak = ({segment["speaker"] for segment in side} for side in (one.hypothesis, one.reference))
    return len(heard) - len(speak)


def _rows(found: Sequence[Conversation], side: str, profile: str) -> Iterator[dict[str, Any]]:
    for number, one in enumerate(found):
        segments = getattr(one, side)
        if not segments:  # nobody spoke, or nothing was heard: the session is counted all the same
            yield {"session_id": str(number), "speaker": "", "words": "", "start_time": 0, "end_time": 0}
        for segment in segments:
            yield {
                "session_id": str(number),
                "speaker": segment["speaker"],
                "words": normalise(segment["text"], profile),
                "start_time": segment["start"],
                "end_time": segment["end"],
            }
