"""Two systems on the same rows."""

import json

import pytest

from asr_adapt.errors import DataError, NotComparableError
from asr_adapt.scoring import compare
from tests.scoring.conftest import spoil


def test_a_change_in_one_accent_is_found_there_only(rows):
    result = compare(rows, spoil(rows, "us", 0.08), by=["accent"])
    assert result.groups["accent"]["us"].verdict == "worse"
    assert result.groups["accent"]["scottish"].difference.delta == 0
    assert result.groups["accent"]["scottish"].verdict == "no evidence"
    back = compare(spoil(rows, "us", 0.08), rows, by=["accent"])
    assert back.groups["accent"]["us"].verdict == "better"
    assert back.overall.difference.delta == pytest.approx(-result.overall.difference.delta)


def test_order_of_rows_does_not_matter(rows):
    other = spoil(rows, None, 0.05)
    assert compare(rows, other).to_json() == compare(rows, other[::-1]).to_json()


def test_words_that_changed():
    a = [{"id": str(i), "text": "red green", "pred_text": "red green"} for i in range(8)]
    b = [row | {"pred_text": "bed green"} for row in a]
    worse = compare(a, b).worse_words
    assert [vars(change) for change in worse] == [
        {"word": "red", "occurrences": 8, "missed_a": 0, "missed_b": 8}
    ]
    assert compare(b, a).better_words[0].word == "red"


def test_rows_must_be_the_same(rows):
    with pytest.raises(NotComparableError, match=r"2 rows are not in .*\(scottish-0, scottish-1\)"):
        compare(rows, rows[2:])
    changed = [rows[0] | {"text": "something else"}, *rows[1:]]
    with pytest.raises(NotComparableError, match=r"1 references differ \(scottish-0\)"):
        compare(rows, changed)
    with pytest.raises(DataError, match="'scottish-0' occurs twice"):
        compare([*rows, rows[0]], rows)


def test_json(rows):
    value = json.loads(json.dumps(compare(rows, spoil(rows, "us", 0.1), by=["accent"]).to_json()))
    assert value["verdict"] == "worse"
    assert value["words"] == 10 * len(rows)
    assert value["groups"]["accent"]["us"]["p_adjusted"] <= 0.05
    assert value["word_changes"]["worse"]
