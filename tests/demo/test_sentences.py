"""Sentences: characters, parts, coverage, spelling."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from asr_adapt.demo.lexicon import lexicon, plural, regular
from asr_adapt.demo.sentences import part_of, patterns, sentences, vocabulary

PARTS = ("train", "dev", "test")


@pytest.fixture(scope="module")
def corpus() -> dict[str, list[str]]:
    return {part: sentences(6000 if part == "train" else 400, 7, part=part) for part in PARTS}


def test_only_upper_case_letters_apostrophes_and_single_spaces(corpus):
    for part in PARTS:
        assert all(re.fullmatch(r"[A-Z]+(['][A-Z]+)?( [A-Z']+)*", text) for text in corpus[part])


def test_parts_share_no_sentence_whatever_the_seed(corpus):
    other_seed = sentences(6000, 8, part="train")
    for part in ("dev", "test"):
        assert not set(corpus[part]) & {*corpus["train"], *other_seed}
    assert not set(corpus["dev"]) & set(corpus["test"])
    assert all(part_of(text) == part for part in PARTS for text in corpus[part])


def test_the_same_arguments_give_the_same_sentences():
    assert sentences(200, 3, part="dev") == sentences(200, 3, part="dev")
    assert sentences(200, 3, part="dev") != sentences(200, 4, part="dev")


def test_every_word_of_the_vocabulary_is_used():
    heard = {word for text in sentences(24_000, 1, part="train") for word in text.split()}
    assert set(vocabulary()) <= heard
    assert len(vocabulary()) > 3000


def test_digits_are_heard_alone_in_train_only(corpus):
    digits = {word.upper() for word in lexicon().sections["digits"]}
    assert digits <= set(corpus["train"])
    assert min(len(text.split()) for text in corpus["test"]) >= 3


def test_kinds_of_text_have_their_shares(corpus):
    spelled = sum(bool(re.search(r"\b[B-HJ-Z] [A-Z]\b", text)) for text in corpus["train"])
    digits = {word.upper() for word in (*lexicon().sections["digits"], "oh")}
    strings = sum(set(text.split()) <= digits for text in corpus["train"])
    assert 0.05 < spelled / len(corpus["train"]) < 0.12
    assert 0.08 < strings / len(corpus["train"]) < 0.13


def test_every_pattern_slot_can_be_filled():
    words = lexicon()
    forms = {form for verb in ("base", "third", "past", "ing", "participle") for form in (verb, "i" + verb)}
    known = {*patterns(), *words.sections, *forms, "singular", "plural", "mass", "people"}
    used = {slot for ways in patterns().values() for way in ways for slot in re.findall(r"\{(\w+)\}", way)}
    assert used <= known


def test_articles_fit_the_next_word(corpus):
    found = Counter(bool(re.search(r"\bA [AEIO][A-Z]+\b", text)) for part in PARTS for text in corpus[part])
    assert found[True] / found[False] < 0.01  # random word sequences may put A before a vowel


@pytest.mark.parametrize(
    ("base", "forms"),
    [
        ("stop", "stop stops stopped stopping stopped"),
        ("love", "love loves loved loving loved"),
        ("carry", "carry carries carried carrying carried"),
        ("play", "play plays played playing played"),
        ("agree", "agree agrees agreed agreeing agreed"),
        ("open", "open opens opened opening opened"),
        ("admit", "admit admits admitted admitting admitted"),
        ("fix", "fix fixes fixed fixing fixed"),
        ("need", "need needs needed needing needed"),
        ("wash", "wash washes washed washing washed"),
    ],
)
def test_regular_verbs_are_spelled(base, forms):
    verb = regular(base)
    assert [verb.base, verb.third, verb.past, verb.ing, verb.participle] == forms.split()


@pytest.mark.parametrize(
    ("word", "many"), [("box", "boxes"), ("city", "cities"), ("boy", "boys"), ("cat", "cats")]
)
def test_regular_plurals_are_spelled(word, many):
    assert plural(word) == many


def test_the_home_domain_is_small_and_its_parts_are_disjoint():
    parts = {
        part: set(sentences(2500 if part == "train" else 300, 1, part=part, domain="home")) for part in PARTS
    }
    words = {part: {word for text in texts for word in text.split()} for part, texts in parts.items()}
    assert 120 < len(words["train"]) < 260
    assert words["test"] <= words["train"] and words["dev"] <= words["train"]
    assert not parts["train"] & parts["test"] and not parts["dev"] & parts["test"]
    assert all(part_of(text) == part for part, texts in parts.items() for text in texts)
