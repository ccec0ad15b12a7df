"""Spans that matter: right only as a whole, wherever they stand, and the rest counted apart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from asr_adapt.cli.app import run
from asr_adapt.errors import DataError
from asr_adapt.scoring import score

ROWS: list[dict[str, Any]] = [
    {
        "text": "Take me to Nairobi West, please.",
        "pred_text": "take me to nairobi west please",
        "places": [{"text": "Nairobi West", "kind": "place"}],
    },
    {
        "text": "From Nairobi West to Kisumu.",
        "pred_text": "from nairobi best to the kisumu",
        "places": [{"start": 5, "end": 17, "kind": "place"}, {"start": 21, "end": 27, "kind": "town"}],
    },
    {"text": "Room forty two on floor 7", "pred_text": "room forty blue two on floor 7", "places": []},
    {"text": "Nothing here", "pred_text": "nothing hear"},
]


def scored(rows: list[dict[str, Any]], *spans: str, **options: Any) -> Any:
    return score(rows, spans=spans, **options).spans


def test_a_span_is_right_only_as_a_whole_and_what_stands_beside_it_is_not_its_own() -> None:
    found = scored(ROWS, "places")
    place, town = found.kinds["place"], found.kinds["town"]
    assert (place.spans, place.right, place.words, place.errors) == (2, 1, 4, 1)
    assert (town.spans, town.right, town.errors) == (1, 1, 0)  # "the" stands before it
    everything = score(ROWS).counts
    assert found.outside_words == everything.words - 5
    assert found.outside_errors == everything.errors - 1
    assert place.interval.low <= 0.5 <= place.interval.high


def test_numbers_are_found_by_themselves_and_an_insertion_within_is_an_error() -> None:
    found = scored(ROWS, "numbers").kinds["numbers"]
    assert (found.spans, found.right, found.words, found.errors) == (2, 1, 3, 1)


def test_a_kind_says_that_the_whole_row_is_one_span() -> None:
    rows = [
        {"text": "s a m", "pred_text": "S A M", "kind": "names", "speaker": "x"},
        {"text": "eight nine", "pred_text": "89", "kind": "numbers", "speaker": "y"},
        {"text": "four", "pred_text": "for", "kind": "numbers", "speaker": "z"},
    ]
    found = scored(rows, "kind", normalise="alnum-en")
    assert {kind: (own.right, own.spans) for kind, own in found.kinds.items()} == {
        "names": (1, 1),
        "numbers": (1, 2),
    }
    assert found.outside_words == 0


@pytest.mark.parametrize(
    ("spans", "words"),
    [([{"text": "Mombasa"}], "'Mombasa' is not in the normalised text"), ([{"text": "a"}, 3], "must list")],
)
def test_spans_that_cannot_be_placed_are_named(spans: list[Any], words: str) -> None:
    row = {"id": "r1", "text": "a trip", "pred_text": "a trip", "places": spans}
    with pytest.raises(DataError, match="row r1: places") as caught:
        scored([row], "places")
    assert words in str(caught.value)


def test_the_command_shows_them_and_writes_them_as_json(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "p.jsonl"
    rows = [{"audio_filepath": f"{number}.wav", **row} for number, row in enumerate(ROWS)]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    assert run(["score", str(path), "--spans", "places", "--spans", "numbers", "--json"]) == 0
    found = json.loads(capfd.readouterr().out)["spans"]
    assert found["kinds"]["place"]["accuracy"] == 0.5 and found["kinds"]["numbers"]["right"] == 1
    assert run(["score", str(path), "--spans", "places"]) == 0
    assert "50.00 %" in capfd.readouterr().out
    assert run(["score", str(path), "--spans", "absent"]) == 2
    assert "no field 'absent'" in capfd.readouterr().err
    path.write_text(json.dumps({"audio_filepath": "a.wav", "text": "a", "pred_text": "a"}), encoding="utf-8")
    assert run(["score", str(path), "--spans", "numbers"]) == 3
    assert "no row has a span" in capfd.readouterr().err
