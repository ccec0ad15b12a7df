"""Listed words: what a bias adds, beside every search over a small alphabet done by hand."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from asr_adapt.models.search.beam_search import search as beam_search
from asr_adapt.models.search.biasing import PhraseBias
from asr_adapt.models.search.generation import EncoderOutput, Rules, Spoken, speak
from asr_adapt.models.search.phrases import list_mark, written_forms
from asr_adapt.models.search.repetition import Repeats

END, NEW, YORK, CITY, S, OTHER = range(6)
#: ``s`` goes on a word, the others begin one.
GLUED = torch.tensor([False, False, False, False, True, False])


def value(bias: PhraseBias, ids: list[int]) -> float:
    """What a whole transcript gains: the sum of what its tokens were given."""
    total = 0.0
    for place, token in enumerate(ids):
        total += float(bias.added([ids[:place]], 6)[0, token])
    assert bias.worth(ids) == pytest.approx(total, abs=1e-5)
    return total


@pytest.mark.parametrize(
    ("said", "gain"),
    [
        ([NEW, YORK, END], 4.0),
        ([OTHER, NEW, YORK, OTHER, END], 4.0),
        ([NEW, OTHER, END], 0.0),  # begun and left: taken back
        ([NEW, END], 0.0),
        ([NEW, YORK, S, END], 0.0),  # a longer word is another word
        ([NEW, NEW, YORK, END], 4.0),  # begun anew
        ([NEW, YORK, NEW, YORK, END], 8.0),
        ([YORK, END], 0.0),
    ],
)
def test_a_phrase_is_worth_its_tokens_and_only_whole(said, gain):
    assert value(PhraseBias([([NEW, YORK], 2.0, False)], GLUED), said) == pytest.approx(gain)


def test_a_phrase_within_a_longer_one_keeps_its_own():
    bias = PhraseBias([([NEW], 3.0, False), ([NEW, YORK, CITY], 1.0, False)], GLUED)
    assert value(bias, [NEW, OTHER, END]) == pytest.approx(3.0)
    assert value(bias, [NEW, YORK, OTHER, END]) == pytest.approx(3.0), "what was lent for york goes back"
    assert value(bias, [NEW, S, END]) == pytest.approx(0.0)
    crossing = PhraseBias([([NEW, YORK], 1.0, False), ([YORK, CITY], 1.0, False)], GLUED)
    assert value(crossing, [NEW, YORK, CITY, END]) == pytest.approx(4.0), "both are whole"


def test_an_open_phrase_may_be_followed_by_anything():
    assert value(PhraseBias([([NEW, YORK], 2.0, True)], GLUED), [NEW, YORK, S, END]) == pytest.approx(4.0)


class Table:
    """A decoder whose logits depend on the last token alone."""

    def __init__(self, rows: torch.Tensor) -> None:
        self.rows = rows

    def step(self, ids, states, heard, cache):
        return self.rows[ids[:, -1]]


def heard(rows: int) -> EncoderOutput:
    return EncoderOutput(torch.zeros(rows, 1, 1), None, torch.full((rows, 1), OTHER))


def exhaustive(table: torch.Tensor, bias: PhraseBias, longest: int) -> list[int]:
    """The transcript of the highest mean of log-probability and gain, of all there are."""
    marks = table.log_softmax(-1)
    best, found = -math.inf, []
    for length in range(longest):
        for ids in itertools.product(range(1, 6), repeat=length):
            said = [*ids, END]
            score = sum(float(marks[a, b]) for a, b in itertools.pairwise([OTHER, *said]))
            mean = (score + value(bias, said)) / len(said)
            if mean > best:
                best, found = mean, list(ids)
    return found


@pytest.mark.parametrize("seed", range(12))
def test_a_wide_beam_finds_the_best_of_all_transcripts(seed, monkeypatch):
    torch.manual_seed(seed)
    table = torch.randn(6, 6) * 2
    table[:, END] += 1.5
    bias = PhraseBias([([NEW, YORK], 1.5, False), ([CITY, S], 1.0, False)], GLUED)
    rules = Rules(END, most=6, bias=bias)
    monkeypatch.setattr(EncoderOutput, "cache", lambda self, rules: NoCache())
    (said,) = beam_search(Table(table), heard(1), rules, beams=400, patience=50.0)
    assert list(said.ids) == exhaustive(table, bias, 5)
    assert said.bonus == pytest.approx(value(bias, [*said.ids, END]), abs=1e-4)
    path = [OTHER, *said.ids, END]
    own = sum(float(table.log_softmax(-1)[a, b]) for a, b in itertools.pairwise(path))
    assert sum(said.scores) == pytest.approx(own, abs=1e-4), "scores are the model's own"


class NoCache:
    def keep(self, places):
        return

    def arrange(self, places):
        return


def test_a_word_whose_first_token_is_not_the_best_is_found_by_every_width(monkeypatch):
    table = torch.full((6, 6), -9.0)
    table[OTHER, [CITY, NEW, END]] = torch.tensor([1.0, 0.0, -4.0])
    table[NEW, [S, YORK]] = torch.tensor([1.0, 0.0])
    table[YORK, END] = table[S, END] = table[CITY, END] = 9.0
    monkeypatch.setattr(EncoderOutput, "cache", lambda self, rules: NoCache())
    biased = Rules(END, most=8, bias=PhraseBias([([NEW, YORK], 1.5, False)], GLUED))
    (without,) = speak(Table(table), heard(1), Rules(END, most=8))
    assert without.ids == (CITY,)
    for beams in (1, 2):
        (said,) = beam_search(Table(table), heard(1), biased, beams)
        assert said.ids == (NEW, YORK) and said.bonus == pytest.approx(3.0)
        assert said.scores[0] == pytest.approx(float(table[OTHER].log_softmax(-1)[NEW])), "the model's own"


TOKENS = st.integers(1, 5)
WORD = st.lists(TOKENS, min_size=1, max_size=3).filter(lambda ids: ids[0] != S)
PHRASES = st.lists(st.tuples(WORD, st.sampled_from([0.5, 1.0, 3.0]), st.just(False)), max_size=4)


def holds(said: Sequence[int], phrase: Sequence[int]) -> bool:
    """Whether a phrase stands in a transcript as words of its own."""
    ends = range(len(phrase), len(said) + 1)
    return any(
        list(said[end - len(phrase) : end]) == list(phrase) and (end == len(said) or said[end] != S)
        for end in ends
    )


@given(PHRASES, st.lists(TOKENS, max_size=8))
def test_what_was_lent_is_taken_back_to_the_last_nat(phrases, said):
    worth = PhraseBias(phrases, GLUED).worth([*said, END])
    if not any(holds(said, ids) for ids, *_ in phrases):
        assert worth == pytest.approx(0.0, abs=1e-4)
    assert worth > -1e-4, "a list never speaks against a transcript"


def searched(seed: int, beams: int, phrases: list[tuple[list[int], float, bool]] | None) -> Spoken:
    """What a search finds in a table of chances; three rows at once, so that some end before others."""
    torch.manual_seed(seed)
    table = torch.randn(6, 6) * 2
    table[:, END] += 0.5
    rules = Rules(END, most=12, bias=None if phrases is None else PhraseBias(phrases, GLUED))
    rules = replace(rules, repeats=Repeats(times=3, span=6))
    given = EncoderOutput(torch.zeros(3, 1, 1), None, torch.tensor([[CITY], [NEW], [OTHER]]))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(EncoderOutput, "cache", lambda self, rules: NoCache())
        if phrases is None and beams == 1:
            return speak(Table(table), given, rules)[seed % 3]
        return beam_search(Table(table), given, rules, beams)[seed % 3]


@given(st.integers(0, 10_000), st.integers(1, 4))
def test_an_empty_list_changes_nothing(seed, beams):
    assert searched(seed, beams, []) == searched(seed, beams, None)


@given(st.integers(0, 10_000), st.integers(1, 4), PHRASES)
def test_a_transcript_without_a_listed_word_is_that_of_the_search_without_a_list(seed, beams, phrases):
    said, plain = searched(seed, beams, phrases), searched(seed, beams, None)
    if not any(holds(said.ids, ids) for ids, *_ in phrases):
        assert (said.ids, said.scores, said.looped) == (plain.ids, plain.scores, plain.looped)


@given(st.integers(0, 10_000), st.integers(1, 4), PHRASES.filter(bool))
def test_a_word_that_is_found_without_a_list_is_found_with_it(seed, beams, phrases):
    plain = searched(seed, beams, None)
    for ids, boost, _ in phrases:
        if holds(plain.ids, ids):
            assert holds(searched(seed, beams, [(ids, boost, False)]).ids, ids)


def test_a_list_is_known_by_its_words_and_boosts():
    assert list(written_forms("arthur's SEAT")) == [
        "arthur's SEAT", "arthur's seat", "Arthur's Seat", "ARTHUR'S SEAT",
    ]  # fmt: skip
    one = (("a", 1.0), ("b", 1.0))
    assert list_mark(one) == list_mark(tuple(reversed(one))) != list_mark((("a", 1.0), ("b", 2.0)))
