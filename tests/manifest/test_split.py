"""Splits share nothing they must not share, and follow the wanted shares."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_adapt.errors import DataError, UsageError
from asr_adapt.manifest import Utterance
from asr_adapt.manifest.fingerprints import sentence_key
from asr_adapt.manifest.split import SplitOptions, split_rows
from asr_adapt.manifest.stats import compute_stats


def corpus(speakers: int = 40, rows: int = 10) -> list[Utterance]:
    return [
        Utterance(
            f"{speaker}-{row}.wav",
            duration=2.0 + speaker % 5,
            text=f"Sentence {speaker} {row}.",
            speaker=f"s{speaker}",
            accent=("mild", "heavy")[speaker % 4 == 0],
        )
        for speaker in range(speakers)
        for row in range(rows)
    ]


def test_parts_follow_shares_and_strata() -> None:
    rows = corpus()
    options = SplitOptions({"train": 8, "dev": 1, "test": 1}, stratify="accent")
    parts = split_rows(rows, options)
    assert sorted(n for numbers in parts.values() for n in numbers) == list(range(len(rows)))
    total = sum(row.duration for row in rows)
    for name, share in {"train": 0.8, "dev": 0.1, "test": 0.1}.items():
        part = [rows[n] for n in parts[name]]
        assert sum(row.duration for row in part) / total == pytest.approx(share, abs=0.04)
        stats = compute_stats(part).fields["accent"]
        assert stats.rows["heavy"] / len(part) == pytest.approx(0.25, abs=0.15)
    again = split_rows(rows, options)
    assert all(np.array_equal(parts[name], again[name]) for name in parts)
    other = split_rows(rows, SplitOptions(options.parts, stratify="accent", seed=1))
    assert not all(np.array_equal(parts[name], other[name]) for name in parts)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 30)), min_size=1, max_size=80),
    st.integers(1, 4),
)
def test_no_speaker_and_no_sentence_is_shared(pairs: list[tuple[int, int]], parts: int) -> None:
    rows = [Utterance(f"{n}.wav", text=f"Text {t}!", speaker=f"s{s}") for n, (s, t) in enumerate(pairs)]
    options = SplitOptions({f"p{n}": 1.0 for n in range(parts)}, by=("speaker", "sentence"))
    try:
        chosen = split_rows(rows, options)
    except DataError as error:
        assert "cannot fill" in str(error)
        return
    assert all(len(numbers) for numbers in chosen.values())
    assert sorted(n for numbers in chosen.values() for n in numbers) == list(range(len(rows)))
    for one, other in combinations(chosen.values(), 2):
        for field in (lambda row: row.speaker, lambda row: sentence_key(row.text)):
            assert not {field(rows[n]) for n in one} & {field(rows[n]) for n in other}


def test_what_cannot_be_split_is_said() -> None:
    with pytest.raises(DataError, match="has no 'speaker' to split by"):
        split_rows([Utterance("a.wav")], SplitOptions({"train": 1.0}))
    with pytest.raises(DataError, match="1 group"):
        split_rows(corpus(1), SplitOptions({"train": 0.9, "test": 0.1}))
    with pytest.raises(UsageError, match="shares above 0"):
        split_rows(corpus(), SplitOptions({"train": 0.0}))


def test_sentence_key_ignores_case_and_punctuation_but_not_letters() -> None:
    assert sentence_key("Hello,  World!") == sentence_key("hello world")
    assert sentence_key("ƙasa") != sentence_key("kasa")
    assert sentence_key("कि") != sentence_key("क")
