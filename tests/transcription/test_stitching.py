"""Seams: no word lost, none doubled, whatever is cut where."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr_adapt.models import Word
from asr_adapt.transcription.stitching import PieceWords, stitch
from asr_adapt.transcription.windows import windows


def heard(start: float, end: float, *words: tuple[str, float, float]) -> PieceWords:
    return PieceWords(start, end, tuple(Word(text, a, b, 1.0) for text, a, b in words))


def texts(*parts: PieceWords) -> list[str]:
    return [word.text for word in stitch(parts)]


def test_shared_words_are_kept_once():
    left = heard(0, 10, ("one", 6.1, 6.4), ("two", 7, 7.4), ("three", 8, 8.4), ("fo", 9.7, 10))
    right = heard(6, 16, ("ne", 6.1, 6.4), ("two", 7.02, 7.42), ("three", 8, 8.4), ("four", 9.7, 10.2))
    assert texts(left, right) == ["one", "two", "three", "four"]


def test_a_word_heard_differently_in_the_middle_is_kept_once():
    left = heard(0, 10, ("see", 7.7, 8.2))
    right = heard(6, 16, ("sea", 7.8, 8.3))
    assert len(texts(left, right)) == 1


def test_repeated_words_are_not_taken_for_one():
    left = heard(0, 10, ("five", 7.2, 7.5), ("five", 7.7, 8.0), ("five", 8.2, 8.5))
    right = heard(6, 16, ("five", 7.2, 7.5), ("five", 7.7, 8.0), ("five", 8.2, 8.5), ("six", 12, 12.4))
    assert texts(left, right) == ["five", "five", "five", "six"]


def test_silence_in_the_overlap():
    assert texts(heard(0, 10, ("a", 1, 2)), heard(6, 16, ("b", 12, 13))) == ["a", "b"]


def test_a_piece_inside_another_adds_nothing():
    assert texts(heard(0, 10, ("a", 8, 9)), heard(6, 9.5, ("ay", 8, 9))) == ["a"]


def test_pieces_without_overlap_are_joined_whole():
    assert texts(heard(0, 10, ("a", 9, 10)), heard(10, 20, ("a", 10, 11))) == ["a", "a"]


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.floats(0.1, 1.2), st.floats(0.05, 1.5)), min_size=1),
    st.floats(8, 20),
    st.floats(3, 4),
)
def test_windows_over_known_words_give_them_back(spoken, window, overlap):
    """Each window hears a word whole where it lies whole in it, and a stump of it at its edges."""
    time, truth = 0.0, []
    for text, length, gap in spoken:
        truth.append(Word(text, time, time + length, 1.0))
        time += length + gap
    parts, start = [], 0.0
    while True:
        end = min(start + window, time)
        parts.append(
            PieceWords(
                start, end, tuple(_cut(word, start, end) for word in truth if _inside(word, start, end))
            )
        )
        if end >= time:
            break
        start += window - overlap
    assert [word.text for word in stitch(parts)] == [word.text for word in truth]


def _inside(word: Word, start: float, end: float) -> bool:
    return word.end > start and word.start < end


def _cut(word: Word, start: float, end: float) -> Word:
    whole = word.start >= start and word.end <= end
    return Word(word.text if whole else "stump", max(word.start, start), min(word.end, end), 1.0)


@given(st.integers(1, 500), st.lists(st.integers(1, 90), min_size=1), st.integers(2, 80), st.data())
def test_windows_cover_every_sample(total, block_sizes, window, data):
    overlap = data.draw(st.integers(0, window // 2))
    samples = np.arange(total, dtype=np.float32)
    blocks, position, turn = [], 0, 0
    while position < total:
        size = block_sizes[turn % len(block_sizes)]
        blocks.append(samples[position : position + size])
        position, turn = position + size, turn + 1
    pieces = list(windows(blocks, window, overlap))
    assert pieces[0].start == 0 and pieces[-1].stop == total
    for piece in pieces:
        assert len(piece.samples) <= window
        assert piece.samples[0] == piece.start and piece.samples[-1] == piece.stop - 1
        assert piece.seam == (len(pieces) > 1 and overlap > 0)
    for before, after in itertools.pairwise(pieces):
        assert before.stop - after.start == overlap
        assert after.stop > before.stop


def test_windows_refuse_an_overlap_that_does_not_move_on():
    with pytest.raises(ValueError, match="does not fit"):
        list(windows([np.zeros(10, np.float32)], 4, 3))
