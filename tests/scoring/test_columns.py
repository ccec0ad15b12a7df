"""Rows with any fields at all: columns as if they were full, without the memory of full ones."""

from __future__ import annotations

import random
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rapidfuzz.distance import Levenshtein

from asr_adapt.errors import UsageError
from asr_adapt.scoring import gate, make_baseline
from asr_adapt.scoring.columns import SparseColumns
from asr_adapt.scoring.counts import count_errors
from asr_adapt.scoring.predictions import Predictions

ROWS = st.lists(st.dictionaries(st.sampled_from("abcd"), st.integers(0, 3)), max_size=12)


@settings(max_examples=100)
@given(ROWS, st.lists(st.integers(0, 11), max_size=8))
def test_columns_are_those_of_a_full_table(rows: list[dict[str, int]], picked: list[int]) -> None:
    columns = SparseColumns()
    for row in rows:
        columns.add(row)
    names = {name for row in rows for name in row}
    assert set(columns) == names and len(columns) == len(names)
    assert dict(columns) == {name: [row.get(name) for row in rows] for name in names}
    picked = [row for row in picked if row < len(rows)]
    taken = columns.take(picked)
    assert dict(taken) == {name: [rows[row].get(name) for row in picked] for name in names}


def own_fields(rows: int, fields: int) -> list[dict[str, object]]:
    """Rows of which each has field names that no other has."""
    texts = {"text": "left right", "pred_text": "left light"}
    return [texts | {f"note{row}_{n}": "x" for n in range(fields)} for row in range(rows)]


def test_many_field_names_take_the_memory_of_their_values() -> None:
    rows = own_fields(400, 100)
    tracemalloc.start()
    predictions = Predictions.of(rows)
    backwards = predictions.take(range(399, -1, -1))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert backwards.column("note7_3") == [None] * 392 + ["x"] + [None] * 7
    assert peak < 60e6, "16 million values, one a row and name, would be 128 MB"


def test_a_message_does_not_list_every_one_of_many_fields() -> None:
    with pytest.raises(UsageError, match=r"no field 'accent' .* and 260 more\.$"):
        Predictions.of(own_fields(3, 100)).column("accent")


def test_a_long_row_has_the_exact_character_distance() -> None:
    chance = random.Random(5)
    said = [chance.choice(["oak", "ash", "elm", "hazel", "birch"]) for _ in range(1500)]
    for share in (0.0, 0.02, 0.9):
        heard = [word if chance.random() >= share else chance.choice(["pine", "yew", ""]) for word in said]
        reference, hypothesis = " ".join(said), " ".join(" ".join(heard).split())
        table = count_errors([reference], [hypothesis])
        assert table.character_errors.tolist() == [Levenshtein.distance(reference, hypothesis)]


def test_a_gate_on_some_rows_in_another_order_judges_their_own_counts() -> None:
    texts = ["one", "two three", "four five six", "seven"]
    rows = [{"id": f"r{n}", "text": text, "pred_text": text} for n, text in enumerate(texts)]
    stored = make_baseline(Predictions.of(rows), "basic")
    part = [rows[2] | {"pred_text": "four or six"}, rows[0]]
    result = gate(part, stored, subset=True)
    (check,) = result.checks
    assert (check.value, check.baseline) == (pytest.approx(1 / 4), 0.0)
    table = count_errors(texts, ["one", "two tree", "four six", "seven"])
    assert table.take([2, 1]).errors.tolist() == [1, 1] and table.take([1]).total().words == 2
