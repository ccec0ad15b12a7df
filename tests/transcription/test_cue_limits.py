"""Subtitles that people can read, whatever the words' times: no flash, no overlap, no line too long."""

from __future__ import annotations

from itertools import pairwise

import srt
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_adapt.models import Word
from asr_adapt.transcription.result import Segment, Transcript
from asr_adapt.transcription.writing.subtitles import CueRules, cues
from asr_adapt.transcription.writing.writers import render

TEXTS = st.text("abcdefg.,?é", min_size=1, max_size=20)


@st.composite
def transcripts(draw: st.DrawFn) -> Transcript:
    """Segments with words of any length and pause, some of no length at all, some without word times."""
    segments, time = [], 0.0
    for _ in range(draw(st.integers(1, 4))):
        words, start = [], time
        for text in draw(st.lists(TEXTS, min_size=1, max_size=25)):
            time += draw(st.sampled_from((0.0, 0.0, 0.05, 0.9, 4.0)))
            end = time + draw(st.sampled_from((0.0, 0.02, 0.2, 0.6, 9.0)))
            words.append(Word(text, time, end, 0.5))
            time = end
        kept = tuple(words) if draw(st.booleans()) else ()
        segments.append(Segment(start, time, " ".join(word.text for word in words), kept))
    return Transcript("talk", tuple(segments), time)


@settings(max_examples=150)
@given(transcripts(), st.sampled_from((None, 1, 3)))
def test_no_cue_flashes_overlaps_or_overflows(transcript: Transcript, most: int | None) -> None:
    rules = CueRules(line_words=most)
    found = cues(transcript, rules)
    for cue in found:
        assert 1 <= len(cue.lines) <= 2
        assert all(len(line) <= 42 for line in cue.lines)
        assert most is None or all(len(row) <= most for row in cue.rows)
        assert cue.end - cue.start >= 0.3 - 1e-9
    for before, after in pairwise(found):
        assert before.end <= after.start + 1e-9
    said = [text for segment in transcript.segments for text in segment.text.split()]
    assert " ".join(line for cue in found for line in cue.lines).split() == said


@settings(max_examples=50)
@given(transcripts())
def test_nor_does_it_in_the_file(transcript: Transcript) -> None:
    shown = list(srt.parse(render(transcript, "srt")))
    assert all((cue.end - cue.start).total_seconds() >= 0.299 for cue in shown)
    assert all(a.end <= b.start for a, b in pairwise(shown))
