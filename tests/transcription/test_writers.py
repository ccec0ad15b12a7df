"""Every writer against its golden file, and read back by other people's parsers."""

from __future__ import annotations

import csv
import io
import itertools
import json
from datetime import timedelta
from pathlib import Path

import pytest
import srt
import webvtt
from hypothesis import given
from hypothesis import strategies as st

from asr_adapt.errors import UsageError
from asr_adapt.models import Word
from asr_adapt.transcription.result import Segment, Transcript
from asr_adapt.transcription.writing.subtitles import CueRules, cues
from asr_adapt.transcription.writing.writers import WRITERS, WriterOptions, clock, render

GOLDEN = Path(__file__).parent / "golden"
SPOKEN = 'we shall "see" whether <b> this & that --> hold together, quoth Özil.'


def word(text: str, start: float, end: float, probability: float = 0.9) -> Word:
    return Word(text, start, end, probability)


def transcript() -> Transcript:
    """Two phrases over the hour, an arrow, markup, quotes, tabs, an umlaut and a segment without words."""
    first = tuple(
        word(text, 1.0 + 0.4 * i, 1.3 + 0.4 * i, 0.5 + 0.01 * i) for i, text in enumerate(SPOKEN.split())
    )
    late = tuple(word(text, 3725.5 + 0.5 * i, 3725.9 + 0.5 * i) for i, text in enumerate(["one", "two"]))
    return Transcript(
        source="talks/one.wav",
        segments=(
            Segment(1.0, first[-1].end, " ".join(w.text for w in first), first, 0.56),
            Segment(60.0, 64.0, "no\tword times\nhere at all"),
            Segment(3725.5, 3726.4, "one two", late, 0.9),
        ),
        duration=3730.0,
        model="nano-en",
        language="en",
        compute_seconds=12.5,
    )


@pytest.mark.parametrize("format", list(WRITERS))
def test_golden(format):
    expected = (GOLDEN / f"talk.{format}").read_text(encoding="utf-8")
    assert render(transcript(), format) == expected


@pytest.mark.parametrize("format", ["srt", "vtt"])
def test_golden_highlighted(format):
    expected = (GOLDEN / f"highlighted.{format}").read_text(encoding="utf-8")
    assert render(transcript(), format, WriterOptions(highlight_words=True)) == expected


def test_srt_is_read_back_by_the_srt_package():
    read = list(srt.parse(render(transcript(), "srt")))
    shown = cues(transcript())
    assert [s.index for s in read] == list(range(1, len(shown) + 1))
    assert [s.content for s in read] == ["\n".join(c.lines).replace("-->", "->") for c in shown]
    assert read[-1].start == timedelta(seconds=3725.5)


def test_vtt_is_read_back_by_webvtt(tmp_path):
    path = tmp_path / "talk.vtt"
    path.write_text(render(transcript(), "vtt"), encoding="utf-8")
    read = webvtt.read(path)
    shown = cues(transcript())
    assert len(read) == len(shown)
    assert read[-1].start == "01:02:05.500"
    assert "&lt;b&gt;" in path.read_text() and "<b>" not in path.read_text()


def test_tsv_and_csv_hold_one_row_a_segment():
    rows = render(transcript(), "tsv").splitlines()
    assert rows[0] == "start\tend\ttext"
    assert [row.count("\t") for row in rows] == [2] * 4
    read = list(csv.DictReader(io.StringIO(render(transcript(), "csv"))))
    assert [row["text"] for row in read][1:] == ["no word times here at all", "one two"]
    assert read[2]["start"] == "3725500"


def test_json_has_whisper_fields():
    value = json.loads(render(transcript(), "json"))
    whisper = {
        "id", "seek", "start", "end", "text", "tokens", "temperature", "avg_logprob", "compression_ratio",
        "no_speech_prob",
    }  # fmt: skip
    assert {"text", "segments", "language"} <= value.keys()
    assert all(whisper <= segment.keys() for segment in value["segments"])
    assert value["text"] == transcript().text
    assert value["segments"][2]["words"][0] == {
        "word": "one", "start": 3725.5, "end": 3725.9, "probability": 0.9,
    }  # fmt: skip


def test_unknown_format_is_named():
    with pytest.raises(UsageError, match="'doc' is not one of txt"):
        render(transcript(), "doc")


@pytest.mark.parametrize(
    ("seconds", "hours", "expected"),
    [(0, True, "00:00:00.000"), (59.9996, True, "00:01:00.000"), (3599.9996, False, "01:00:00.000"),
     (61.25, False, "01:01.250"), (-1, True, "00:00:00.000"), (360000.5, True, "100:00:00.500")],
)  # fmt: skip
def test_clock(seconds, hours, expected):
    assert clock(seconds, hours=hours) == expected


def test_empty_transcript_is_a_valid_file_of_every_format(tmp_path):
    empty = Transcript("silence.wav", (), 3.0)
    for name in WRITERS:
        (tmp_path / f"x.{name}").write_text(render(empty, name), encoding="utf-8")
    assert list(srt.parse((tmp_path / "x.srt").read_text())) == []
    assert len(webvtt.read(tmp_path / "x.vtt")) == 0
    assert json.loads((tmp_path / "x.json").read_text())["segments"] == []


def test_cue_is_held_long_enough_to_read_but_not_into_the_next():
    quick = tuple(
        word(text, 0.1 * i, 0.1 * i + 0.08) for i, text in enumerate(["a", "fairly", "long", "line"])
    )
    later = (word("next", 0.9, 1.0),)
    shown = cues(Transcript("x", (Segment(0, 0.4, "", quick), Segment(0.9, 1.0, "", later)), 10.0))
    assert shown[0].end == pytest.approx(0.9 - CueRules().gap)
    assert shown[1].end == pytest.approx(0.9 + CueRules().shortest)


@given(
    st.lists(
        st.tuples(st.text(st.characters(categories=["Ll"]), min_size=1, max_size=60), st.floats(0.01, 3))
    ),
    st.integers(10, 60),
    st.integers(1, 3),
)
def test_cues_hold_every_word_once_within_the_rules(spoken, width, count):
    time, words = 0.0, []
    for text, seconds in spoken:
        words.append(word(text, time, time + seconds * 0.8))
        time += seconds
    segments = (Segment(0.0, time, " ".join(w.text for w in words), tuple(words)),) if words else ()
    shown = cues(Transcript("x", segments, time), CueRules(line_length=width, line_count=count))
    assert [w for cue in shown for w in cue.words] == words
    assert [text for cue in shown for line in cue.lines for text in line.split(" ")] == [
        w.text for w in words
    ]
    for cue in shown:
        assert len(cue.lines) <= count
        assert all(len(line) <= width or " " not in line for line in cue.lines)
    for before, after in itertools.pairwise(shown):
        assert before.start < before.end < after.start + 0.002
