"""When words are certain: properties of both policies over hypotheses that grow and change."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from asr_adapt.models import Word
from asr_adapt.transcription.live.settling import LONG_BUFFER, HeldBack, LocalAgreement, spoken_form

WORDS = st.sampled_from(["the", "a", "cat", "sat", "on", "mat", "Mat.", "and"])


def timed(texts, start=0.0, length=0.5):
    return [Word(text, start + n * length, start + (n + 1) * length, 0.9) for n, text in enumerate(texts)]


@st.composite
def growing(draw):
    """Hypotheses of growing sound: what is said so far, and behind it a tail that never comes twice."""
    truth = draw(st.lists(WORDS, min_size=1, max_size=25))
    lengths = sorted(draw(st.lists(st.integers(0, len(truth)), min_size=1, max_size=10)))
    jitter = draw(st.lists(st.floats(-0.05, 0.05), min_size=11, max_size=11))
    found = []
    for number, length in enumerate([*lengths, len(truth)]):
        tail = [] if number == len(lengths) else [f"wrong{number}"]
        words = timed([*truth[:length], *tail])
        found.append([Word(w.text, w.start + jitter[number], w.end + jitter[number], 0.9) for w in words])
    return truth, found


@given(growing(), st.booleans())
def test_agreement_ends_with_the_whole_truth_and_takes_nothing_back(case, timed_words):
    truth, hypotheses = case
    policy, said = LocalAgreement(timed=timed_words), []
    for words in hypotheses:
        if not timed_words:  # as if all were said within ten seconds, however many they are
            words = timed([word.text for word in words], length=10 / len(words) if words else 1)
        before = list(said)
        said += policy.settle(words, words[-1].end if words else 0.0)
        assert said[: len(before)] == before
        assert len(said) + len(policy.tentative) >= len(before)
    said += policy.finish()
    assert [spoken_form(w.text) for w in said] == [spoken_form(text) for text in truth]
    assert policy.tentative == () and policy.finish() == []


def test_without_times_no_sound_is_let_go_of():
    policy = LocalAgreement(timed=False)
    policy.settle(timed(["end."] * 60), 30.0)
    assert len(policy.settle(timed(["end."] * 60), 30.0)) == 60
    assert policy.keep_from(0.0, 30.0) == 0.0


@given(st.lists(st.lists(WORDS, max_size=12), min_size=1, max_size=12))
def test_whatever_comes_committed_words_are_in_order_and_the_last_hypothesis_is_finished(hypotheses):
    policy, said = LocalAgreement(), []
    for texts in hypotheses:
        said += policy.settle(timed(texts), len(texts) / 2)
    tail = list(policy.tentative)
    rest = policy.finish()
    assert [w.text for w in rest] == [w.text for w in tail]
    said += rest
    assert all(a.end <= b.start for a, b in pairwise(said))
    assert all(w.start <= w.end for w in said)


def test_a_word_counts_once_two_hypotheses_in_a_row_have_it():
    policy = LocalAgreement()
    assert policy.settle(timed(["there", "is"]), 1.0) == []
    assert [w.text for w in policy.settle(timed(["There", "as", "no"]), 1.5)] == ["There"]
    assert [w.text for w in policy.settle(timed(["There,", "as", "none"]), 1.5)] == ["as"]
    assert [w.text for w in policy.tentative] == ["none"]


def test_committed_words_that_a_later_hypothesis_writes_otherwise_are_not_said_again():
    policy = LocalAgreement()
    policy.settle(timed(["he", "says", "too"]), 1.5)
    assert len(policy.settle(timed(["he", "says", "too"]), 1.5)) == 3
    policy.settle(timed(["she", "said", "two", "more", "times"]), 2.5)
    assert [w.text for w in policy.settle(timed(["she", "said", "two", "more", "times"]), 2.5)] == [
        "more",
        "times",
    ]


def test_a_long_buffer_is_cut_behind_a_sentence_and_what_follows_is_not_lost():
    policy = LocalAgreement()
    texts = ["word"] * 19 + ["end."] + ["more"] * 20
    policy.settle(timed(texts), 20.0)
    said = policy.settle(timed(texts), 20.0)
    assert len(said) == 40 and LONG_BUFFER < 20.0
    assert policy.keep_from(0.0, 20.0) == 10.0
    rest = timed(["more"] * 20 + ["new"], start=10.0)
    assert policy.settle(rest, 20.5) == []
    assert [w.text for w in policy.settle(rest, 20.5)] == ["new"]


@given(st.lists(WORDS, max_size=30), st.integers(1, 7))
def test_held_back_words_are_all_said_once(texts, step):
    policy, said, truth = HeldBack(margin=1.0, context=2.0), [], timed(texts)
    heard = 0.0
    kept = 0.0
    while heard < len(texts) / 2:
        heard = min(heard + step / 3, len(texts) / 2)
        said += policy.settle([w for w in truth if kept <= w.start and w.end <= heard], heard)
        assert all(word.end <= heard - 1.0 for word in said)
        kept = policy.keep_from(kept, heard)
        assert kept <= max(0.0, heard - 1.0)
    said += policy.finish()
    assert [w.text for w in said] == texts
