"""Labels take capitals and marks from a hypothesis and never a word."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr_adapt.text import normalise
from asr_adapt.text.truecase import Style, learn_style, styled, trusted

PROSE = [
    "We saw John, I said.",
    "And so John and I went there.",
    "What is it?",
    "What is the time?",
    "The man is here.",
]
STYLE = learn_style(PROSE)

words = st.lists(
    st.sampled_from(
        [
            "i",
            "john",
            "so",
            "the",
            "well",
            "known",
            "i'm",
            "don't",
            "3",
            "5",
            "mark",
            "is",
            "été",
            "Ünï",
            "no",
        ]
    ),
    max_size=12,
)
marks = st.sampled_from([" ", ", ", ". ", "? ", "-", "... ", " — ", ".", "! ", "'", "; "])


@st.composite
def hypotheses(draw: st.DrawFn) -> str:
    """Word salad with capitals and marks anywhere."""
    case = st.sampled_from([str.lower, str.upper, str.title])
    return "".join(draw(case)(word) + draw(marks) for word in draw(words))


references = words.flatmap(lambda w: st.sampled_from([" ".join(w), " ".join(w).upper(), " ".join(w).title()]))


@given(st.one_of(references, st.text(max_size=60)), st.one_of(hypotheses(), st.text(max_size=60)))
def test_the_words_always_stay_the_references(reference: str, hypothesis: str) -> None:
    for said in (hypothesis, None):
        assert normalise(styled(reference, said, STYLE)) == normalise(reference)


@given(references.filter(lambda text: text.isupper() and text.isascii()), hypotheses())
def test_a_reference_in_capitals_never_stays_so(reference: str, hypothesis: str) -> None:
    """The last resort, the text as it stands, is never needed for ordinary words."""
    lone = all(len(word) == 1 or word.startswith("I'") for word in reference.split())
    assert lone or styled(reference, hypothesis, STYLE) != reference


@given(hypotheses())
def test_what_is_written_already_stays(text: str) -> None:
    once = styled(text, None, STYLE)
    assert styled(once, None, STYLE) == once


@pytest.mark.parametrize(
    ("reference", "hypothesis", "wanted"),
    [
        ("HELLO JOHN I'M WELL KNOWN", "Hello, John. I'm well-known.", "Hello, John. I'm well-known."),
        ("WE WENT TO THE PARK HE LEFT", "We went to the part. He left!", "We went to the park. He left!"),
        ("MARK IS GOING TO SEE ELEPHANT", "Mark is going to see an elephant.",
         "Mark is going to see elephant."),
        ("I SEE A THE MAN", "I see. The man", "I see a the man."),
        ("now that he had the time", "Now, Tatar, he had the time.", "Now that he had the time."),
        ("it costs 3 5", "It costs 3.5.", "It costs 3.5."),
        ("m a r i a", "M-A-L-I-A.", "M-A-R-I-A."),
        ("what a day", "What I day.", "What a day."),
        ("so i want to go", "So I want... to go.", "So I want to go."),
        ("Flat 202 Roop Ganga Pune", "Flat 202, Rup Gangapune.", "Flat 202 Roop Ganga Pune."),
    ],
)  # fmt: skip
def test_what_is_taken_and_what_is_not(reference: str, hypothesis: str, wanted: str) -> None:
    assert styled(reference, hypothesis, STYLE) == wanted


@pytest.mark.parametrize(
    ("reference", "wanted"),
    [
        ("i think john left", "I think John left."),
        ("WHAT IS THAT", "What is that?"),
        ("I'LL SEE THE MAN", "I'll see the man."),
        ("so i'll see i'm told", "So I'll see I'm told."),
        ("look at john's sweater", "Look at John's sweater."),
        ("He left. he came back", "He left. he came back"),
    ],
)
def test_without_a_hypothesis_structure_decides(reference: str, wanted: str) -> None:
    assert styled(reference, None, STYLE) == wanted


def test_a_hypothesis_like_a_title_lends_no_capitals_to_common_words() -> None:
    style = learn_style(["It is the end of the day.", "So this is the end of it.", "We saw the man of Rome."])
    said = "The End Of The Danger Trail"
    assert styled("the end of the danger trail", said, style) == "The end of the Danger Trail."


def test_a_recogniser_that_writes_plain_words_teaches_plain_words() -> None:
    style = learn_style(["the cat sat on the mat", "it was so", "john left"])
    assert not style.written
    assert styled("THE DOG CAME", "the dog came", style) == "the dog came"


def test_loops_and_wrong_transcripts_are_not_trusted() -> None:
    assert trusted("we call it bear", "We call it a bear.")
    assert not trusted("we call it bear", "We call it bear. " + "no, " * 40)
    assert not trusted("we call it bear", "Quite another thing")
    assert not trusted("", "")


def test_the_style_of_another_script_keeps_its_marks() -> None:
    style = learn_style(["यह है।", "वह है।", "यह क्या है?"])
    assert styled("वह कौन", None, style) == "वह कौन।"


def test_without_hypotheses_english_prose_is_assumed() -> None:
    assert learn_style([]) == Style()
    assert styled("GOOD DAY", None, Style()) == "Good day."
