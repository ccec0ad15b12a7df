"""Punctuation F1 and case errors stand beside WER wherever references have any, and nowhere else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr_adapt.cli.app import run
from asr_adapt.scoring import written_form
from tests.scoring.conftest import write_rows

texts = st.lists(
    st.tuples(
        st.sampled_from(["Well", "we", "NASA", "i'm", "5", "Émile"]), st.sampled_from([" ", ", ", ". "])
    ),
    max_size=8,
).map(lambda pairs: "".join(word + mark for word, mark in pairs))


@given(texts)
def test_a_text_is_right_against_itself(text: str) -> None:
    form = written_form([text], [text])
    assert form.punctuation is None or form.punctuation.total.f1 == 1.0
    assert form.case is None or form.case.errors == 0


@given(texts, st.one_of(texts, st.text(max_size=30)))
def test_every_mark_of_the_reference_is_right_or_missed(reference: str, hypothesis: str) -> None:
    form = written_form([reference], [hypothesis])
    wanted = reference.rstrip().count(",") + reference.rstrip().count(".")
    if form.punctuation is None:
        assert wanted == 0
    else:
        total = form.punctuation.total
        assert total.right + total.missed == wanted
        assert sum(c.right for c in form.punctuation.marks.values()) == total.right


def test_counts_by_hand() -> None:
    form = written_form(
        ["Well, we saw NASA. Did they go?", "John left."], ["well we saw NASA, did they go? No.", "John left"]
    )
    assert form.punctuation is not None and form.case is not None
    total = form.punctuation.total
    # right: ? of go. missed: the comma, the stop behind NASA, the stop behind left. spurious: comma, stop.
    assert (total.right, total.missed, total.spurious) == (1, 3, 2)
    assert total.f1 == pytest.approx(2 / 7)
    assert set(form.punctuation.marks) == {",", ".", "?"}
    assert (form.case.words, form.case.errors, form.case.rows) == (9, 2, 2)


def test_a_mark_behind_a_wrong_word_counts_and_a_wrong_word_has_no_case() -> None:
    form = written_form(["We saw Paris, then left."], ["We saw parish, then Left."])
    assert form.punctuation is not None and form.case is not None
    assert form.punctuation.total.f1 == 1.0
    assert (form.case.words, form.case.errors) == (4, 1)


def test_marks_of_loops_and_of_dropped_words_count() -> None:
    form = written_form(["We left. Well, so it was."], ["No, no, no, no, no, no."])
    assert form.punctuation is not None
    assert form.punctuation.total.spurious + form.punctuation.total.right == 6
    assert form.punctuation.total.missed + form.punctuation.total.right == 3


def test_rows_without_marks_or_capitals_say_nothing() -> None:
    plain = written_form(["WE CALL IT BEAR", "we call it bear"], ["We call it a bear.", "We, call. It"])
    assert plain.to_json() == {}
    mixed = written_form(["we call it bear", "We call it bear."], ["We, call. It Bear", "We call it bear."])
    assert mixed.punctuation is not None and mixed.case is not None
    assert (mixed.punctuation.rows, mixed.punctuation.total.f1) == (1, 1.0)
    assert (mixed.case.rows, mixed.case.errors) == (1, 0)


def rows(heard: list[str], said: list[str]) -> list[dict[str, Any]]:
    return [
        {"audio_filepath": f"{n}.wav", "id": str(n), "text": text, "pred_text": guess, "duration": 1.0}
        for n, (text, guess) in enumerate(zip(said, heard, strict=True))
    ]


SAID = ["Well, we saw it.", "Did they?"]


def test_score_compare_and_report_show_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = write_rows(tmp_path / "a.jsonl", rows(SAID, SAID))
    b = write_rows(tmp_path / "b.jsonl", rows([text.lower().strip(".?") for text in SAID], SAID))
    assert run(["score", str(b), "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert value["wer"] == 0.0
    assert value["punctuation"]["f1"] == pytest.approx(0.5)
    assert value["case"]["rate"] == pytest.approx(2 / 6)
    assert run(["score", str(b)]) == 0
    shown = capsys.readouterr().out
    assert "punctuation F1 50.00 %" in shown and "case errors 33.33 % of 6 right words" in shown
    assert run(["compare", str(a), str(b)]) == 0
    shown = capsys.readouterr().out
    assert "A: punctuation F1 100.00 %" in shown and "B: punctuation F1 50.00 %" in shown
    assert max(map(len, shown.splitlines())) <= 80
    assert run(["compare", str(a), str(b), "--json"]) == 0
    written = json.loads(capsys.readouterr().out)["written"]
    assert (written["a"]["case"]["errors"], written["b"]["case"]["errors"]) == (0, 2)
    assert run(["report", str(a), str(b), "-o", str(tmp_path / "r.html"), "--audio", "none"]) == 0
    page = (tmp_path / "r.html").read_text()
    assert 'data-label="punctuation F1">50.00 %</td>' in page
    assert 'data-label="case errors">33.33 %</td>' in page


def test_plain_references_show_neither(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_rows(
        tmp_path / "a.jsonl", rows(SAID, [text.upper().replace(",", "").strip(".?") for text in SAID])
    )
    assert run(["score", str(path), "--json"]) == 0
    assert not {"punctuation", "case"} & json.loads(capsys.readouterr().out).keys()
    assert run(["score", str(path)]) == 0
    assert "punctuation" not in capsys.readouterr().out
    assert run(["report", str(path), "-o", str(tmp_path / "r.html"), "--audio", "none"]) == 0
    assert "punctuation F1" not in (tmp_path / "r.html").read_text()
