"""The long-audio benchmark's count of errors by utterance: it adds up to the errors of the recording."""

from __future__ import annotations

import jiwer
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.benchmark_scripts import script

WORDS = st.lists(st.sampled_from(["red", "green", "blue"]), min_size=1, max_size=4).map(" ".join)


@pytest.fixture(scope="module")
def bench():
    with script("long_together") as found:
        yield found


def test_errors_belong_to_the_utterance_they_are_in(bench):
    said = ["red green", "blue", "green green"]
    found = bench.utterance_errors(said, "red red green blue blue green red")
    np.testing.assert_array_equal(found[:, 1], [2, 1, 2])
    assert found[0, 0] == 1 and found[1:, 0].sum() == 2


@given(said=st.lists(WORDS, min_size=1, max_size=5), heard=st.lists(WORDS, max_size=5))
def test_errors_of_the_utterances_are_those_of_the_recording(bench, said, heard):
    found = bench.utterance_errors(said, " ".join(heard))
    whole = jiwer.process_words([" ".join(said)], [" ".join(heard)])
    errors = whole.substitutions + whole.deletions + whole.insertions
    assert found[:, 0].sum() == errors
    assert found[:, 1].sum() == len(" ".join(said).split())
