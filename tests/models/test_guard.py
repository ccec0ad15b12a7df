"""Loops: noticed while they happen, ended, tried again, cut; what people really repeat survives."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial

import pytest
import torch

from asr_adapt.models import Search
from asr_adapt.models.search.beam_search import search as beam_search
from asr_adapt.models.search.checks import REPEATS, Attempt, Doubt, attempt_with, most_tokens, transcribed
from asr_adapt.models.search.generation import EncoderOutput, Rules, Spoken, speak
from asr_adapt.models.search.repetition import Repeats, compression

END, WORDS = 0, 8


@dataclass
class Speaker:
    """A decoder that tells each row what it hears: ``states`` hold the row's number, ``lines`` what it says.

    Behind a line's last token it says the last ``again`` tokens once more, each by ``margin`` nats likelier
    than the end: a loop.
    """

    lines: list[list[int]]
    again: list[int]
    margin: float = 1.0
    steps: list[int] = field(default_factory=list)

    def step(self, ids, states, mask, cache):
        if ids.shape[1] == 1 and not cache.cross_attention_cache.layers:  # the prompt
            cache.cross_attention_cache.update(states[:, None], states[:, None], 0)
        rows = cache.cross_attention_cache.layers[0].keys[:, 0, 0, 0].long().tolist()
        assert len(rows) == len(ids)
        self.steps.append(len(rows))
        keys = ids.float()[:, None, :, None]
        said = cache.self_attention_cache.update(keys, keys, 0)[0][:, 0, :, 0].long().tolist()
        return torch.stack([self._logits(row, own[1:]) for row, own in zip(rows, said, strict=True)])

    def _logits(self, row: int, said: list[int]) -> torch.Tensor:
        line, again = self.lines[row], self.again[row]
        logits = torch.full((WORDS,), -20.0)
        logits[END] = -40.0 if self.margin < torch.inf else -torch.inf
        place = len(said)
        if place < len(line):
            logits[line[place]] = 0.0
        elif not again or (said[: len(line)] != line and self.margin < torch.inf):
            logits[END] = 0.0
        else:
            logits[line[len(line) - again + (place - len(line)) % again]] = 0.0
            logits[END] = -self.margin
        return logits


def heard(rows: int, most: tuple[int, ...] | None = None) -> EncoderOutput:
    states = torch.arange(rows).float()[:, None, None]
    return EncoderOutput(states, None, torch.full((rows, 1), 7), most)


def by(speaker: Speaker) -> Attempt:
    return partial(attempt_with, speaker)


RULES = Rules(END, 200)


@pytest.mark.parametrize("times", [3, 5, 10, 12])
def test_what_people_repeat_is_no_loop(times: int) -> None:
    for phrase in ([4], [4, 5], [1, 2, 3]):
        repeated = [9, 8, *phrase * (3 if len(phrase) > 1 else times)]
        assert REPEATS.first_end(repeated) is None
        assert REPEATS.first_end([*repeated, 6]) is None


@pytest.mark.parametrize("length", [1, 2, 3, 7, 12, 40, 60])
def test_a_loop_is_noticed_as_soon_as_it_is_one_and_cut_behind_the_first_time(length: int) -> None:
    before, phrase = [90, 91, 92], list(range(length))
    endless = [*before, *phrase * 30]
    first = next(n for n in range(len(endless)) if n and REPEATS.first_end(endless[:n]) is not None)
    assert first == len(before) + max(20, 4 * length)
    for seen in (first, first + 1, first + 2 * length):
        assert REPEATS.first_end(endless[:seen]) == len(before) + length
    assert REPEATS.first_end([*endless, 95]) is None, "it went on with something else"
    assert Repeats(longest=length - 1).first_end(endless[:first]) is None


def test_text_that_repeats_itself_compresses_well() -> None:
    assert compression("ha " * 60) > 2.4 > compression("the quick brown fox jumps over the lazy dog")


def test_rows_that_end_leave_the_batch_and_change_nothing_for_the_others() -> None:
    lines = [[1, 2, 3], [4] * 15, [5, 6], [1], [2, 3, 4, 5, 6, 1, 2, 3, 4]]
    network = Speaker(lines, [0] * 5)
    together = speak(network, heard(5), RULES)
    assert [list(said.ids) for said in together] == lines
    assert not any(said.looped for said in together)
    assert network.steps[0] == 5 and network.steps[-1] == 1 and sum(network.steps) < 5 * 16
    alone = [speak(Speaker(lines, [0] * 5), heard(5).rows([row]), RULES)[0] for row in range(5)]
    assert alone == together
    assert beam_search(Speaker(lines, [0] * 5), heard(5), RULES, 3) == together


def test_a_loop_ends_at_once_and_the_row_is_tried_again() -> None:
    lines, again = [[1, 2, 3, 4], [5, 6], [2, 3]], [2, 0, 0]
    network = Speaker(lines, again, margin=0.1)
    found = transcribed(by(network), heard(3), RULES, Search())
    assert [said.looped for said in found] == [True, False, False]
    assert found[1].ids == (5, 6) and found[2].ids == (2, 3)
    assert found[0].ids[:4] == (1, 2, 3, 4) and REPEATS.first_end(found[0].ids) is None
    assert sum(network.steps) < 3 * 200 / 4, "not to the bound"
    alone = transcribed(by(Speaker(lines, again, margin=0.1)), heard(3).rows([0]), RULES, Search())
    assert alone[0] == found[0]


def test_a_loop_that_no_beam_leaves_is_said_once() -> None:
    found = transcribed(by(Speaker([[1, 2, 3, 4]], [2], margin=torch.inf)), heard(1), RULES, Search())
    assert found[0].ids == (1, 2, 3, 4) and found[0].looped and len(found[0].scores) == 4


def test_a_beam_prefers_a_hypothesis_that_ends() -> None:
    network = Speaker([[1, 2, 3, 4]], [2], margin=3.0)
    said = beam_search(network, heard(1), replace(RULES, repeats=REPEATS), 2)[0]
    assert not said.looped and REPEATS.first_end(said.ids) is None and said.ids[:4] == (1, 2, 3, 4)


def test_unguarded_a_loop_runs_to_the_bound_and_is_marked() -> None:
    found = transcribed(
        by(Speaker([[1, 2, 3, 4], [5]], [2, 0])), heard(2, (5, 5)), RULES, Search(hallucination_checks=False)
    )
    assert len(found[0].ids) == 199 and found[0].looped
    assert found[1].ids == (5,) and not found[1].looped


def test_a_short_clip_cannot_say_much() -> None:
    babble = torch.randint(1, 8, (150,), generator=torch.Generator().manual_seed(0)).tolist()
    assert REPEATS.first_end(babble) is None
    most = most_tokens([0.5, 30.0])
    said = speak(Speaker([babble, babble], [0, 0]), heard(2, most), replace(RULES, repeats=REPEATS))
    assert len(said[0].ids) == most[0] == 40 and said[0].looped
    assert list(said[1].ids) == babble and not said[1].looped


def test_doubtful_rows_are_tried_again_until_one_attempt_is_believed() -> None:
    def doubted(row: int, said: Spoken) -> Doubt:
        return Doubt.improbable if row == 1 and said.temperature < 0.4 else Doubt.none

    network = Speaker([[1, 2], [3, 4]], [0, 0])
    found = transcribed(by(network), heard(2), RULES, Search(best_of=3), doubted)
    assert [said.temperature for said in found] == [0.0, 0.4]
    assert [said.ids for said in found] == [(1, 2), (3, 4)]
    assert max(network.steps) == 3, "three draws of the one row at once"


def test_where_no_attempt_is_believed_the_best_that_does_not_repeat_itself_stands() -> None:
    def doubted(row: int, said: Spoken) -> Doubt:
        return Doubt.repetitive if said.temperature in (0.0, 1.0) else Doubt.improbable

    found = transcribed(by(Speaker([[1, 2]], [0])), heard(1), RULES, Search(), doubted)
    assert 0.0 < found[0].temperature < 1.0
    every = transcribed(by(Speaker([[1, 2]], [0])), heard(1), RULES, Search(), lambda *_: Doubt.improbable)
    plain = speak(Speaker([[1, 2]], [0]), heard(1), RULES)
    assert every[0].mean_score >= plain[0].mean_score - 1e-6


def test_an_attempt_without_words_does_not_stand_before_one_that_has_some() -> None:
    def attempt(heard: EncoderOutput, rules: Rules, search: Search, temperature: float) -> list[Spoken]:
        words = Spoken((1, 2), (-0.1, -0.1), looped=True)
        return [words if temperature == 0.0 else Spoken((), (-9.0,), looped=True, temperature=temperature)]

    (found,) = transcribed(attempt, heard(1), RULES, Search(), lambda *_: Doubt.improbable)
    assert found.ids == (1, 2)
