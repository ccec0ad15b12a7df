"""CTC vocabularies: building, checking, letter case."""

import pytest

from asr_adapt.errors import DataError
from asr_adapt.text import (
    build_vocabulary,
    casing_for,
    fit_case,
    unknown_characters,
)


def test_characters_are_counted_and_sorted():
    vocabulary = build_vocabulary(["ab ba", "c a"])
    assert vocabulary.characters == ("a", "b", "c")
    assert vocabulary.counts == {"a": 3, "b": 2, "c": 1}


def test_rare_characters_are_reported_and_mapped():
    vocabulary = build_vocabulary(["een een een", "één ж"], minimum=3)
    assert vocabulary.characters == ("e", "n")
    assert vocabulary.rare == {"é": "e", "ж": ""}
    assert vocabulary.simplify("één ж") == "een ж"


def test_refusals():
    with pytest.raises(DataError, match="word delimiter"):
        build_vocabulary(["a|b"])
    with pytest.raises(DataError, match="no character"):
        build_vocabulary(["", " "])
    with pytest.raises(DataError, match="lower the minimum"):
        build_vocabulary(["abc"], minimum=5)


def test_unknown_report():
    report = unknown_characters(
        ["naïve über", "plain", "ünter"], {"<pad>": 0, "|": 1, **dict.fromkeys("naveplibrte", 2)}
    )
    assert [(u.character, u.count) for u in report.unknown] == [("ü", 2), ("ï", 1)]
    assert report.characters == 19
    assert report.rate == pytest.approx(3 / 19)
    assert (report.texts, report.texts_affected) == (3, 2)
    assert report.unknown[0].examples == ("naïve über", "ünter")
    assert report.unknown[0].name == "LATIN SMALL LETTER U WITH DIAERESIS"
    assert report.to_json()["unknown"][1]["rate"] == pytest.approx(1 / 19)


def test_white_space_and_delimiter():
    assert unknown_characters(["a b\tc"], "abc|").unknown == ()
    assert unknown_characters([], "abc").rate == 0.0
    assert unknown_characters(["a|b"], "ab|").unknown[0].character == "|"


@pytest.mark.parametrize(
    ("characters", "casing", "text"),
    [
        (["<pad>", "|", "A", "B", "'"], "upper", "AB"),
        (["<pad>", "<unk>", "a", "b"], "lower", "ab"),
        (["A", "b"], "as-is", "aB"),
        (["क", "ख"], "as-is", "aB"),
    ],
)
def test_case(characters, casing, text):
    assert casing_for(characters) == casing
    assert fit_case("aB", casing) == text
