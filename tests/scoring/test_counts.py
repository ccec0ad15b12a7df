"""Counting: agreement with jiwer, and the definitions that jiwer leaves open."""

import random

import jiwer
import pytest

from asr_adapt.errors import DataError
from asr_adapt.scoring import count_errors, wer_with_interval, word_errors

ALPHABETS = ["abcde", "äöüß", "कखग", "日本語", "абв", "🙂é"]


def random_pairs(number, seed=0):
    """Pairs with empty texts, repeated words and several scripts."""
    generator = random.Random(seed)

    def text():
        letters = generator.choice(ALPHABETS)
        words = ["".join(generator.choices(letters, k=generator.randint(1, 3))) for _ in range(4)]
        return " ".join(generator.choices(words, k=generator.choice([0, 0, 1, 2, 3, 5, 8, 13])))

    pairs = []
    for _ in range(number):
        reference = text()
        words = [w for w in reference.split() if generator.random() > 0.2]
        hypothesis = " ".join(words + text().split()[:2]) if generator.random() < 0.7 else text()
        pairs.append((reference, hypothesis))
    return pairs


@pytest.fixture(scope="module")
def pairs():
    return random_pairs(10_000)


def test_totals_agree_with_jiwer_pair_by_pair(pairs):
    references, hypotheses = zip(*pairs, strict=True)
    table = count_errors(references, hypotheses, "none")
    for row, (reference, hypothesis) in enumerate(pairs):
        expected = jiwer.process_words(reference, hypothesis)
        errors = expected.substitutions + expected.deletions + expected.insertions
        assert table.errors[row] == errors, (reference, hypothesis)
        assert table.hits[row] + table.substitutions[row] + table.deletions[row] == len(reference.split())


def test_corpus_rates_agree_with_jiwer(pairs):
    references, hypotheses = map(list, zip(*pairs, strict=True))
    counts = word_errors(references, hypotheses, "none")
    assert counts.wer == pytest.approx(jiwer.wer(references, hypotheses), abs=1e-12)
    assert counts.cer == pytest.approx(jiwer.cer(references, hypotheses), abs=1e-12)


def test_empty_references_are_counted_apart():
    counts = word_errors(["", "one two", "", "three"], ["noise here", "one", "", ""])
    assert counts.empty_references == 2
    assert counts.insertions_on_silence == 2
    assert (counts.words, counts.errors, counts.empty_hypotheses) == (3, 4, 2)
    assert counts.ser == pytest.approx(3 / 4)


def test_nothing_but_silence():
    assert word_errors([""], [""]).wer == 0.0
    assert word_errors([""], ["a b"]).wer == jiwer.wer([""], ["a b"]) == 2.0
    assert word_errors([], []).wer == 0.0


def test_a_text_that_is_only_punctuation_is_an_empty_reference():
    assert word_errors(["..."], ["hm"]).empty_references == 1


def test_confusions():
    table = count_errors(["a b c", "a b", "x"], ["a d c", "a d", "x y"])
    top = table.confusions.to_json()
    assert top["substitutions"] == [{"reference": "b", "hypothesis": "d", "count": 2}]
    assert top["insertions"] == [{"word": "y", "count": 1}]
    assert top["deletions"] == []


def test_unpaired_lists_are_refused():
    with pytest.raises(DataError, match="2 references but 1 hypotheses"):
        count_errors(["a", "b"], ["a"])


def test_estimate_is_json_with_counts_on_top():
    speakers = [f"s{i % 8}" for i in range(80)]
    result = wer_with_interval(["a b"] * 80, ["a b", "a c"] * 40, speakers, seed=3).to_json()
    assert result["wer"] == 0.25
    assert result["interval"]["unit"] == "speaker"
    assert result["interval"]["low"] <= 0.25 <= result["interval"]["high"]
