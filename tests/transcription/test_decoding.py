"""Language models, beam search and alignment against exhaustive computation on small cases."""

from __future__ import annotations

import itertools
import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_adapt.decoding import Decoding, parse_hotwords
from asr_adapt.errors import DataError, UsageError
from asr_adapt.models.words.viterbi import forced_alignment
from asr_adapt.transcription.decoding.beam import BeamOptions, BeamSearch
from asr_adapt.transcription.decoding.fusion import (
    FusionRecogniser,
    tuned_options,
    write_weights,
)
from asr_adapt.transcription.decoding.ngram import load_language_model, read_arpa
from asr_adapt.transcription.decoding.ngram_build import build_ngram
from asr_adapt.transcription.decoding.tune import tune

BLANK, SPACE = 0, 1
CHARACTERS = {1: " ", 2: "a", 3: "b"}
WIDE = BeamOptions(width=10_000, weight=0.0, bonus=0.0, unknown=0.0, token_floor=-1e9, gap=1e9)


def random_frames(count: int, seed: int) -> np.ndarray:
    scores = 2 * np.random.default_rng(seed).standard_normal((count, 4))
    return scores - np.log(np.exp(scores).sum(1, keepdims=True))


def exhaustive(frames: np.ndarray) -> dict[str, float]:
    """Log-probability of every transcript, by summing over every path."""
    total: dict[str, float] = {}
    for path in itertools.product(range(4), repeat=len(frames)):
        kept = [token for token, _ in itertools.groupby(path) if token != BLANK]
        text = " ".join("".join(CHARACTERS[token] for token in kept).split())
        score = sum(frames[t, token] for t, token in enumerate(path))
        total[text] = np.logaddexp(total.get(text, -np.inf), score)
    return total


@pytest.fixture(scope="module")
def sentences() -> list[list[str]]:
    rng = random.Random(0)
    words = ["cafe", "bad", "egg", "gag", "a", "fade"]
    return [rng.choices(words, weights=range(1, 7), k=rng.randint(1, 8)) for _ in range(400)]


@pytest.mark.parametrize("seed", range(6))
def test_wide_beam_is_exhaustive(seed):
    frames = random_frames(6, seed)
    truth = exhaustive(frames)
    found = BeamSearch(CHARACTERS, BLANK, SPACE).search(frames, WIDE)
    best = max(truth, key=truth.__getitem__)
    assert found[0].text == best
    # two prefixes may stand for one text (with and without a last space): the search keeps the better
    assert truth[best] - math.log(2) <= found[0].acoustic <= truth[best] + 1e-9


@pytest.mark.parametrize("seed", range(4))
def test_language_model_chooses_what_exhaustion_chooses(seed, tmp_path):
    build_ngram([["ab", "a"], ["ab"], ["ab", "ab"], ["b", "a"]], order=2).write(tmp_path / "x.arpa")
    model = load_language_model(tmp_path / "x.arpa")
    options = BeamOptions(width=10_000, weight=1.5, bonus=0.7, unknown=-2.0, token_floor=-1e9, gap=1e9)
    frames = random_frames(5, seed)

    def total(text: str, acoustic: float) -> float:
        state, language, unknown = model.start(), 0.0, 0
        for word in text.split():
            score, state = model.score(state, word)
            language += score
            unknown += word not in model.words
        if text:
            language += model.end(state)
        return acoustic + 1.5 * language + 0.7 * len(text.split()) - 2.0 * unknown

    expected = {text: total(text, acoustic) for text, acoustic in exhaustive(frames).items()}
    found = BeamSearch(CHARACTERS, BLANK, SPACE, language_model=model).search(frames, options)[0]
    assert expected[found.text] >= max(expected.values()) - math.log(2)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_built_models_are_probabilities(order, sentences, tmp_path):
    build_ngram(sentences, order).write(tmp_path / "x.arpa")
    model = load_language_model(tmp_path / "x.arpa")
    states = [model.start()]
    for sentence in sentences[:30]:
        state = model.start()
        for word in (*sentence, "unheard"):
            _, state = model.score(state, word)
            states.append(state)
    for state in states:
        mass = sum(math.exp(model.score(state, word)[0]) for word in (*model.words, "unheard"))
        assert mass + math.exp(model.end(state)) == pytest.approx(1.0, abs=1e-4)


def test_higher_order_fits_structured_text_better(tmp_path):
    rng = random.Random(1)
    sentences = [["one", "two", "three", "four"][rng.randint(0, 2) :] for _ in range(300)]
    perplexity = []
    for order in (1, 2):
        build_ngram(sentences, order).write(tmp_path / "x.arpa")
        model = load_language_model(tmp_path / "x.arpa")
        total = 0.0
        for sentence in sentences:
            state = model.start()
            for word in sentence:
                score, state = model.score(state, word)
                total -= score
        perplexity.append(total)
    assert perplexity[1] < 0.5 * perplexity[0]


def test_foreign_arpa_in_capitals():
    text = "\\data\\\nngram 1=4\nngram 2=1\n\n\\1-grams:\n-99\t<s>\t-0.5\n-1.0\t</s>\n-0.3\tHELLO\t-0.2\n"
    text += "-1.5\t<unk>\n\n\\2-grams:\n-0.1\t<s> HELLO\n\n\\end\\\n"
    model = read_arpa(text.splitlines(), "x.arpa")
    assert model.score(model.start(), "hello")[0] == pytest.approx(-0.1 * math.log(10))
    assert model.score(model.start(), "other")[0] == pytest.approx(-2.0 * math.log(10))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"hello", "no \\\\1-grams"),
        (b"\\1-grams:\nx y\n", "x.arpa:2:"),
        (b"\xff\xfe\x00", "not an ARPA"),
        (b"", "no"),
    ],
)
def test_what_is_no_language_model_is_named(tmp_path, content, message):
    (tmp_path / "x.arpa").write_bytes(content)
    with pytest.raises(DataError, match=message):
        load_language_model(tmp_path / "x.arpa")


def test_text_without_words_is_refused():
    with pytest.raises(DataError, match="no word"):
        build_ngram([[], []])


@settings(max_examples=50)
@given(st.integers(0, 10_000), st.lists(st.integers(1, 3), min_size=1, max_size=3), st.integers(0, 3))
def test_alignment_is_the_best_path(seed, tokens, extra):
    needed = len(tokens) + sum(a == b for a, b in itertools.pairwise(tokens))
    frames = random_frames(needed + extra, seed)
    best, score = None, -np.inf
    for path in itertools.product(range(4), repeat=len(frames)):
        if [token for token, _ in itertools.groupby(path) if token != BLANK] == tokens:
            total = sum(frames[t, token] for t, token in enumerate(path))
            if total > score:
                best, score = path, total
    spoken = forced_alignment(frames, tokens, BLANK)
    assert len(spoken) == len(tokens)
    rebuilt = np.full(len(frames), BLANK)
    for token, part in zip(tokens, spoken, strict=True):
        rebuilt[part.start : part.end] = token
        assert part.probability == pytest.approx(np.exp(frames[part.start : part.end, token]).mean())
    assert tuple(rebuilt) == best


def test_alignment_needs_enough_frames():
    with pytest.raises(DataError, match="too few"):
        forced_alignment(random_frames(2, 0), [2, 2], BLANK)
    with pytest.raises(DataError, match="too few"):
        forced_alignment(random_frames(0, 0), [2], BLANK)


def test_hotwords_win_where_sounds_are_alike():
    """Frames that hear 'ab' and 'bb' almost alike."""
    frames = np.log(np.array([[0.02, 0.02, 0.40, 0.56], [0.94, 0.02, 0.02, 0.02], [0.02, 0.02, 0.02, 0.94]]))
    search = BeamSearch(CHARACTERS, BLANK, SPACE)
    assert search.search(frames)[0].text == "bb"
    assert BeamSearch(CHARACTERS, BLANK, SPACE, hotwords={"AB": 3.0}).search(frames)[0].text == "ab"
    phrase = BeamSearch(CHARACTERS, BLANK, SPACE, hotwords={"ab a": 3.0}).search(frames)[0]
    assert phrase.text == "bb", "a phrase that is not finished gives nothing"


def test_a_hotword_is_no_unknown_word_to_the_language_model(tmp_path):
    build_ngram([["ab"], ["ab", "a"]], 2).write(tmp_path / "lm.arpa")
    model = load_language_model(tmp_path / "lm.arpa")
    frames = np.log(np.array([[0.02, 0.02, 0.25, 0.71], [0.94, 0.02, 0.02, 0.02], [0.02, 0.02, 0.02, 0.94]]))
    plain = BeamSearch(CHARACTERS, BLANK, SPACE, language_model=model).search(frames)
    assert plain[0].text == "ab"
    hot = BeamSearch(CHARACTERS, BLANK, SPACE, language_model=model, hotwords={"bb": 6.0}).search(frames)
    assert (hot[0].text, hot[0].unknown) == ("bb", 0)


def test_hotword_option():
    assert parse_hotwords(["Leith", "Arthur's Seat:8"]) == {"Leith": None, "Arthur's Seat": 8.0}
    for bad in ("x:y", ":3", ""):
        with pytest.raises(UsageError, match="--hotword"):
            parse_hotwords([bad])


def test_fusion_without_a_model_hears_what_greedy_hears(tone_recogniser, say):
    """Also its word times and confidence, which come by another way."""
    fused = FusionRecogniser(tone_recogniser, weights=BeamOptions(bonus=0.0, weight=0.0))
    waves = [say("bad cafe", lead=0.5), say("egg"), np.zeros(8000, np.float32)]
    theirs, ours = tone_recogniser.transcribe(waves, words=True), fused.transcribe(waves, words=True)
    assert [h.text for h in ours] == [h.text for h in theirs] == ["bad cafe", "egg", ""]
    for a, b in zip(ours, theirs, strict=True):
        assert [w.start for w in a.words] == pytest.approx([w.start for w in b.words], abs=0.041)
        assert a.confidence is None or a.confidence == pytest.approx(b.confidence, abs=0.15)


def test_language_model_repairs_mumbling_and_tuning_finds_weights(tone_recogniser, say, sentences, tmp_path):
    build_ngram(sentences, 3).write(tmp_path / "lm.arpa")
    said = [" ".join(sentence) for sentence in sentences[:12]]
    waves = [say(text, mumbled=0.2) for text in said]
    fused = FusionRecogniser(tone_recogniser, Decoding(language_model=tmp_path / "lm.arpa"))
    found = tune(fused.log_probabilities(waves), said, fused.beam)
    assert found.before > 0.2
    assert found.after < 0.8 * found.before
    write_weights(tmp_path / "lm.arpa", found.options, {"rows": 12})
    assert tuned_options(tmp_path / "lm.arpa") == found.options
    assert (
        FusionRecogniser(tone_recogniser, Decoding(language_model=tmp_path / "lm.arpa")).options
        == found.options
    )
