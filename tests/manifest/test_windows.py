"""Clips of one recording joined into windows: nothing is lost, times are right, only neighbours join."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr_adapt.cli.app import run
from asr_adapt.errors import DataError
from asr_adapt.manifest import Manifest, Utterance, write_manifest
from asr_adapt.manifest.windows import TimedText, joined_rows, previous_text, segments_of


def clip(start: float, seconds: float, text: str, file: str = "a.wav", **more: str) -> Utterance:
    return Utterance(file, offset=start, duration=seconds, text=text, **more)  # type: ignore[arg-type]


clips = st.lists(st.tuples(st.floats(0.1, 5.0), st.floats(0.2, 40.0)), min_size=1, max_size=20)


@given(clips, st.floats(0.0, 4.0))
def test_every_word_is_in_one_window_at_its_time(found: list[tuple[float, float]], pause: float) -> None:
    rows, at = [], 0.0
    for number, (gap, seconds) in enumerate(found):
        at += gap
        rows.append(clip(round(at, 3), round(seconds, 3), f"word{number}"))
        at += seconds
    windows = list(joined_rows(rows, 30.0, pause))
    assert " ".join(w.text or "" for w in windows).split() == [f"word{n}" for n in range(len(rows))]
    told = {p.text: (w.offset + p.start, w.offset + p.end) for w in windows for p in segments_of(w)}
    for row in rows:
        start, end = told[row.text or ""]
        assert start == pytest.approx(row.offset, abs=2e-3)
        assert end == pytest.approx(row.offset + (row.duration or 0), abs=2e-3)
    assert all(len(segments_of(w)) == 1 or (w.duration or 0) <= 30.001 for w in windows)


def test_only_neighbours_of_one_speaker_and_recording_are_joined() -> None:
    rows = [
        clip(0, 2, "one", speaker="x"),
        clip(2.5, 2, "two", speaker="x"),
        clip(5, 2, "three", speaker="y"),
        clip(20, 2, "four", speaker="y"),
        clip(0, 2, "elsewhere", "b.wav"),
        clip(2, 2, "", "b.wav"),
    ]
    windows = list(joined_rows(rows, 30.0))
    assert [w.text for w in windows] == ["one two", "three", "four", "elsewhere", ""]
    assert [previous_text(w) for w in windows] == ["", "one two", "", "", "elsewhere"]


def test_texts_that_were_rewritten_keep_their_times() -> None:
    (window,) = joined_rows([clip(1, 2, "HELLO YOU"), clip(4, 1, "YES")], 30.0)
    assert segments_of(window.replace(text="Hello you. Yes.")) == [
        TimedText("Hello you.", 0.0, 2.0),
        TimedText("Yes.", 3.0, 4.0),
    ]
    assert segments_of(window.replace(text="Hello you yes indeed")) == [
        TimedText("Hello you yes indeed", 0.0, 4.0)
    ]


@pytest.mark.parametrize("given_", ["x", [], [{"start": 0}], [{"start": 0, "end": 9, "text": "a"}]])
def test_segments_that_cannot_be_read_are_an_error(given_: object) -> None:
    row = clip(0, 2, "a").replace(extra={"segments": given_})
    with pytest.raises(DataError, match="segments"):
        segments_of(row)


def test_the_command_writes_a_manifest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    write_manifest(source, [clip(0, 2, "one"), clip(3, 2, "two"), clip(60, 2, "three")])
    assert run(["manifest", "join", str(source), "-o", str(target)]) == 0
    assert "Joined 3 clips into 2 windows" in capsys.readouterr().err
    first, second = Manifest.open(target)
    assert first.text == "one two" and first.duration == 5.0 and "previous_text" not in second.extra
    assert json.loads(target.read_text().splitlines()[0])["segments"][1]["start"] == 3.0
    assert run(["manifest", "join", str(source), "-o", str(source)]) == 2
