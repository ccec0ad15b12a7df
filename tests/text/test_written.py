"""Capitals and marks are told apart from words, in one text and over a corpus."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr_adapt.text import normalise, tidy, writing_of, written_words
from asr_adapt.text.written import following_marks, has_case, has_marks


@given(st.text(max_size=60))
def test_written_words_are_the_words_of_basic_or_none(text: str) -> None:
    words = written_words(text)
    assert not words or [word.key for word in words] == normalise(text).split()


@given(st.text(alphabet=st.characters(codec="ascii"), max_size=60))
def test_every_ascii_text_has_its_words(text: str) -> None:
    assert [word.key for word in written_words(text)] == normalise(text).split()


@given(st.text(max_size=60))
def test_words_and_gaps_are_the_text(text: str) -> None:
    words = written_words(text)
    joined = "".join(word.text + word.gap for word in words)
    assert text.endswith(joined)


@pytest.mark.parametrize(
    ("text", "marks"),
    [
        ("Hello, world.", [",", "."]),
        ("Well-known at 3.5 km", [""] * 6),
        ("No — really?!", ["—", "?!"]),
        ("Wait -- what…", ["—", "."]),
        ("यह क्या है।", ["", "", "."]),
        ('He said "go!" and left.', ["", "", "!", "", "."]),
    ],
)
def test_marks_follow_their_words(text: str, marks: list[str]) -> None:
    assert following_marks(written_words(text)) == marks


@pytest.mark.parametrize(
    ("text", "case", "marks"),
    [
        ("WE CALL IT BEAR", False, False),
        ("we call it bear", False, False),
        ("i think I should and I'm sure", False, False),
        ("We call it bear", True, False),
        ("we call it bear.", False, True),
        ("48 Ridge Road 407", True, False),
        ("...", False, False),
        ("", False, False),
    ],
)
def test_case_and_marks_of_a_text(text: str, case: bool, marks: bool) -> None:
    assert (has_case(text), has_marks(text)) == (case, marks)


def test_a_corpus_is_written_when_half_of_its_rows_are() -> None:
    rows = ["We call it bear.", "WE CALL IT BEAR", "so it is", "So it is"]
    assert writing_of(rows).written
    assert not writing_of([*rows, "one more"]).written
    assert not writing_of([]).written


def test_tidy_changes_nothing_but_composition_and_spaces() -> None:
    assert tidy("  E\u0301te\u0301,\tHello  World. ") == "Été, Hello World."
