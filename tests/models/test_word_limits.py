"""Words that alignment stretched over a pause are cut back, and stay in order within their phrases."""

from __future__ import annotations

from itertools import pairwise

import pytest

from asr_adapt.models import Phrase, Word
from asr_adapt.models.words.limits import limited


def _phrase(start: float, end: float, *words: tuple[str, float, float]) -> Phrase:
    found = tuple(Word(text, a, b, 1.0) for text, a, b in words)
    return Phrase(start, end, " ".join(word.text for word in found), found)


def _times(phrases: tuple[Phrase, ...]) -> dict[str, tuple[float, float]]:
    return {w.text: (w.start, w.end) for phrase in phrases for w in phrase.words}


def test_a_pause_belongs_to_no_word() -> None:
    found = limited(
        [
            _phrase(0.0, 9.0, ("in", 0.0, 0.4), ("two.", 0.4, 9.0)),
            _phrase(9.0, 15.0, ("Straight", 9.0, 14.5), ("out", 14.5, 14.9), ("they", 14.9, 15.0)),
        ],
        30.0,
    )
    times = _times(found)  # the usual word lasts 0.4 s
    assert times["two."] == pytest.approx((0.4, 1.2))
    assert times["Straight"] == pytest.approx((13.7, 14.5))
    assert (found[0].end, found[1].start) == pytest.approx((1.2, 13.7))


def test_a_pause_given_to_the_word_beside_the_last_or_first() -> None:
    words = (("I", 0.0, 0.1), ("was", 0.1, 5.0), ("in", 5.0, 5.4), ("the", 5.4, 9.0), ("arm.", 9.0, 9.0))
    times = _times(limited([_phrase(0.0, 9.0, *words)], 30.0))
    assert times["the"][1] < 7 and times["arm."][0] < 7
    assert times["I"][0] > 2


def test_words_stay_in_order_within_phrase_and_window() -> None:
    found = limited(
        [
            _phrase(0.0, 2.0, ("a", 0.0, 0.3), ("b", 0.3, 3.5)),
            _phrase(2.0, 4.0, ("c", 2.5, 2.8), ("d", 2.6, 5.0)),
        ],
        4.0,
    )
    words = [word for phrase in found for word in phrase.words]
    assert all(before.end <= after.start for before, after in pairwise(words))
    assert all(0 <= word.start <= word.end <= 4.0 for word in words)
    assert limited([], 4.0) == () and limited([_phrase(0.0, 1.0)], 4.0)[0].words == ()
