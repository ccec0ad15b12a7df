"""Whisper's timestamps: our rules allow what transformers' processor allows; phrases and where to go on."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import WhisperTimeStampLogitsProcessor

from asr_adapt.models.attention.whisper.timestamps import PhraseSpan, TimedRules, spans

#: A vocabulary of 20 words, the end, "no timestamps", and 31 timestamps.
END, UNTIMED, FIRST, COUNT = 20, 21, 22, 53
RULES = TimedRules(end=END, most=99, never=(UNTIMED,), first_timestamp=FIRST, latest_start=10)


@st.composite
def transcripts(draw: st.DrawFn) -> list[int]:
    """What a decoder may have said under the rules: pairs of rising timestamps around words."""
    said: list[int] = []
    time = FIRST
    for _ in range(draw(st.integers(0, 4))):
        time = min(COUNT - 1, time + draw(st.integers(0, 4)))
        words = draw(st.lists(st.integers(0, END - 1), min_size=1, max_size=3))
        end = min(COUNT - 1, time + draw(st.integers(1, 5)))
        said += [time, *words, end]
        time = end
    return said[: draw(st.integers(0, len(said)))] if said else said


@settings(max_examples=200)
@given(transcripts(), st.integers(0, 10**6))
def test_the_rules_allow_what_those_of_transformers_allow(said: list[int], seed: int) -> None:
    config = SimpleNamespace(
        no_timestamps_token_id=UNTIMED, eos_token_id=END, bos_token_id=END, max_initial_timestamp_index=10
    )
    theirs = WhisperTimeStampLogitsProcessor(config, begin_index=1)
    logits = 3 * torch.randn(1, COUNT, generator=torch.Generator().manual_seed(seed))
    wanted = theirs(torch.tensor([[0, *said]]), logits.clone())
    found = RULES.allowed(logits.clone(), [said])
    assert torch.isfinite(found).tolist() == torch.isfinite(wanted).tolist()


def test_rows_are_judged_each_by_itself() -> None:
    logits = torch.randn(2, COUNT, generator=torch.Generator().manual_seed(0))
    rows = [[FIRST, 3, 4], [FIRST, 3, FIRST + 5]]
    together = RULES.allowed(logits.clone(), rows)
    for n, row in enumerate(rows):
        assert torch.equal(together[n], RULES.allowed(logits[n : n + 1].clone(), [row])[0])


@pytest.mark.parametrize(
    ("ids", "found", "until"),
    [
        ([], [], 20.0),
        # closed: heard to the end
        ([FIRST, 1, 2, FIRST + 10], [PhraseSpan(0.0, 0.2, 0, 4)], 20.0),
        # two phrases, the second closed
        (
            [FIRST, 1, FIRST + 10, FIRST + 12, 2, FIRST + 20],
            [PhraseSpan(0.0, 0.2, 0, 3), PhraseSpan(0.24, 0.4, 3, 6)],
            20.0,
        ),
        # broken off inside the second phrase: heard again from its beginning
        ([FIRST, 1, FIRST + 10, FIRST + 10, 2, 3], [PhraseSpan(0.0, 0.2, 0, 3)], 0.2),
        # no timestamp but the first: the phrase is the whole window
        ([FIRST, 1, 2], [PhraseSpan(0.0, 20.0, 0, 3)], 20.0),
    ],
)
def test_phrases_and_where_to_go_on(ids: list[int], found: list[PhraseSpan], until: float) -> None:
    parts, end = spans(ids, FIRST, 20.0)
    assert [(p.first, p.stop) for p in parts] == [(p.first, p.stop) for p in found]
    assert [t for p in parts for t in (p.start, p.end)] == pytest.approx(
        [t for p in found for t in (p.start, p.end)]
    )
    assert end == pytest.approx(until)
