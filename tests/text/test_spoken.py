"""Digits and spelled letters count one by one, whichever way they are written."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr_adapt.scoring import word_errors
from asr_adapt.text import normalise

PROFILES = ("alnum-en", "spelled-en")
DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
TEENS = ["ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen"]
TEENS += ["nineteen"]
TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
SALAD = [*DIGITS, *TEENS, *TENS, "hundred", "thousand", "lakh", "million", "and", "a", "o", "oh", "double",
         "triple", "point", "dash", "first", "second", "fifth", "twentieth", "Ridge", "Road", "M-A-R", "555",
         "0", "14th", "21st", "1st", "3.5", "I", "it's", "SU"]  # fmt: skip


def said(value: int) -> str:
    """A whole number below a million in words."""
    if value >= 1000:
        rest = value % 1000
        joint = "" if not rest else " and " if rest < 100 else " "
        return said(value // 1000) + " thousand" + (joint + said(rest) if rest else "")
    if value >= 100:
        rest = value % 100
        return DIGITS[value // 100] + " hundred" + (" and " + said(rest) if rest else "")
    if value >= 20:
        return TENS[value // 10 - 2] + (" " + DIGITS[value % 10] if value % 10 else "")
    return DIGITS[value] if value < 10 else TEENS[value - 10]


@pytest.mark.parametrize("profile", PROFILES)
@given(text=st.one_of(st.text(max_size=40), st.lists(st.sampled_from(SALAD), max_size=10).map(" ".join)))
def test_applied_twice_it_gives_the_same(profile: str, text: str) -> None:
    once = normalise(text, profile)
    assert normalise(once, profile) == once


@pytest.mark.parametrize("profile", PROFILES)
@given(
    digits=st.text(alphabet="0123456789", min_size=1, max_size=12),
    joints=st.lists(st.sampled_from(["", " ", "-", ", ", "."]), min_size=12, max_size=12),
)
def test_a_number_in_any_grouping_is_the_same(profile: str, digits: str, joints: list[str]) -> None:
    """Spoken digit by digit and written in any groups: no errors, in both directions."""
    grouped = "".join(digit + joint for digit, joint in zip(digits, joints, strict=False))
    spoken = " ".join(DIGITS[int(digit)] for digit in digits)
    assert word_errors([spoken], [grouped], profile).errors == 0
    assert word_errors([grouped], [spoken], profile).errors == 0
    assert normalise(spoken, profile).split() == list(digits)


@pytest.mark.parametrize("profile", PROFILES)
@given(value=st.integers(0, 999_999))
def test_a_number_in_words_is_its_digits(profile: str, value: int) -> None:
    assert normalise(said(value), profile).split() == list(str(value))


@given(
    letters=st.text(alphabet="ABCDEFGHIJKLMNPQRSTUVWXYZ", min_size=3, max_size=12),
    joint=st.sampled_from([" ", "-", ", ", ". "]),
)
def test_a_spelled_name_in_any_form_is_the_same(letters: str, joint: str) -> None:
    wanted = list(letters.lower())
    for profile in PROFILES:
        for text in (joint.join(letters), joint.join(letters.lower()), joint.join(letters) + "."):
            assert normalise(text, profile).split() == wanted
    assert normalise(letters, "spelled-en").split() == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("double five one two", "5 5 1 2"),
        ("1, 8, triple 2.", "1 8 2 2 2"),
        ("R double O P", "r o o p"),
        ("seventy two oh four", "7 2 0 4"),
        ("oh oh seven", "0 0 7"),
        ("nine eighty two", "9 8 2"),
        ("eighteen hundred and twelve", "1 8 1 2"),
        ("five thousand five thousand", "5 0 0 0 5 0 0 0"),
        ("three lakh fifty thousand", "3 5 0 0 0 0"),
        ("20 thousand", "2 0 0 0 0"),
        ("a hundred", "1 0 0"),
        ("twenty first of May", "2 1 st of may"),
        ("21st of May", "2 1 st of may"),
        ("the first of May", "the first of may"),
        ("1st of May", "first of may"),
        ("fourteenth street", "1 4 th street"),
        ("three point five", "3 5"),
        ("Five ocean drives, 4-3-2.", "5 ocean drives 4 3 2"),
        ("SU, M-A-N, P-A-T-I, D-A-R.", "s u m a n p a t i d a r"),
        ("Oh, I see", "oh i see"),
        ("a double room", "a double room"),
        ("WAS I A FOOL", "was i a fool"),
        ("HE SAID A B C TO ME", "he said a b c to me"),
        ("", ""),
    ],
)
def test_forms(text: str, wanted: str) -> None:
    assert normalise(text, "alnum-en") == wanted
    assert normalise(text, "spelled-en") == " ".join(wanted.replace(" ", ""))


def test_words_stay_words_and_wrong_ones_stay_wrong() -> None:
    prose = "The quick brown fox jumped over the lazy dog, didn't it?"
    assert normalise(prose, "alnum-en") == normalise(prose, "basic")
    assert word_errors(["48 Ridge Road 407"], ["48 Wrench Road 4 0 7"], "alnum-en").errors == 1
    assert word_errors(["one two three"], ["124"], "alnum-en").errors == 1


def test_digits_of_other_scripts_are_digits() -> None:
    assert normalise("०१२ ٣", "alnum-en") == "0 1 2 3"


def test_shuffled_digits_are_errors() -> None:
    """No grouping hides an order."""
    digits = "918273645"
    other = "".join(random.Random(1).sample(digits, len(digits)))
    assert word_errors([digits], [other], "alnum-en").errors > 0
