"""Listed words: what a bias adds, beside every search over a small alphabet done by hand."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from asr_adapt.models.search.beam_search import search as beam_search
from asr_adapt.models.search.biasing import PhraseBias
from asr_adapt.models.search.generation import EncoderOutput, Rules, speak
from asr_adapt.models.search.phrases import list_mark, written_forms

END, NEW, YORK, CITY, S, OTHER = range(6)
#: ``s`` goes on a word, the others begin one.
GLUED = torch.tensor([False, False, False, False, True, False])


def value(bias: PhraseBias, ids: list[int]) -> float:
    """What a whole transcript gains: the sum of what its tokens were given."""
    total = 0.0
    for place, token in enumerate(ids):
        total += float(bias.added([ids[:place]], 6)[0, token])
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


def test_greedy_search_is_never_pushed_away():
    bias = PhraseBias([([NEW, YORK], 2.0, False)], GLUED)
    for said in itertools.product(range(6), repeat=3):
        assert float(bias.added([list(said)], 6, taken_back=False).min()) >= 0.0


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


def test_greedy_search_follows_the_bias_and_reports_the_models_own_scores(monkeypatch):
    table = torch.full((6, 6), -9.0)
    table[OTHER, [OTHER, NEW, END]] = torch.tensor([1.0, 0.0, -4.0])
    table[NEW, [S, YORK]] = torch.tensor([1.0, 0.0])
    table[YORK, END] = table[S, END] = 9.0
    monkeypatch.setattr(EncoderOutput, "cache", lambda self, rules: NoCache())
    plain = Rules(END, most=8)
    biased = Rules(END, most=8, bias=PhraseBias([([NEW, YORK], 1.5, False)], GLUED))
    (without,) = speak(Table(table), heard(1), plain)
    (said,) = speak(Table(table), heard(1), biased)
    assert without.ids[0] == OTHER and said.ids == (NEW, YORK)
    assert said.scores[0] == pytest.approx(float(table[OTHER].log_softmax(-1)[NEW]))


def test_a_list_is_known_by_its_words_and_boosts():
    assert list(written_forms("arthur's SEAT")) == [
        "arthur's SEAT", "arthur's seat", "Arthur's Seat", "ARTHUR'S SEAT",
    ]  # fmt: skip
    one = (("a", 1.0), ("b", 1.0))
    assert list_mark(one) == list_mark(tuple(reversed(one))) != list_mark((("a", 1.0), ("b", 2.0)))
