"""Beams, fallback, prompts, languages and word times of the Whisper family."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from asr_adapt.models import Search, load_recogniser
from asr_adapt.models.attention.whisper.recogniser import WhisperRecogniser
from asr_adapt.models.hypothesis import Window
from asr_adapt.models.search.beam_search import search
from asr_adapt.models.search.generation import EncoderOutput, Rules, Spoken, speak
from asr_adapt.models.words.times import group, warp

from .whisper_models import save_tiny_whisper


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_whisper(tmp_path_factory.mktemp("whisper") / "tiny", most=10)


@pytest.fixture
def ours(folder: Path) -> WhisperRecogniser:
    found = load_recogniser(folder, device="cpu")
    assert isinstance(found, WhisperRecogniser)
    return found


class Table:
    """A decoder that knows only its last token: a Markov chain over four tokens, 0 the end."""

    def __init__(self, scores: np.ndarray) -> None:
        self.scores = torch.tensor(scores)

    def step(self, ids, states, heard, cache):
        layer = torch.zeros(len(ids), 1, ids.shape[1], 1)
        cache.self_attention_cache.update(layer, layer, 0)
        return self.scores[ids[:, -1]]


def exhaustive(scores: np.ndarray, most: int) -> tuple[int, ...]:
    """The best sequence by mean log-probability of all that end in time."""
    logs = torch.tensor(scores).float().log_softmax(-1).numpy()
    best = (-np.inf, ())
    for length in range(most):
        for ids in itertools.product((1, 2, 3), repeat=length):
            path = [1, *ids, 0]
            mean = np.mean([logs[a, b] for a, b in itertools.pairwise(path)])
            best = max(best, (mean, ids))
    return best[1]


@pytest.mark.parametrize("seed", range(6))
def test_a_wide_beam_finds_the_best_sequence_of_all(seed: int) -> None:
    scores = np.random.default_rng(seed).normal(size=(4, 4)) * 2
    heard = EncoderOutput(torch.zeros(1, 1, 1), None, torch.tensor([[1]]))
    found = search(Table(scores), heard, Rules(end=0, most=5), beams=200)[0]
    assert found.ids == exhaustive(scores, 4)
    narrow = search(Table(scores), heard, Rules(end=0, most=5), beams=1)[0]
    assert narrow.ids == speak(Table(scores), heard, Rules(end=0, most=5))[0].ids


@pytest.mark.parametrize("options", [Search(beams=3), Search(fallback=True), Search(prompt="Leith, Arthur")])
def test_a_row_does_not_depend_on_its_batch(
    ours: WhisperRecogniser, waves: list[np.ndarray], options: Search
) -> None:
    ours.set_search(options)
    together = ours.transcribe(waves)
    assert [h.text for h in together] == [ours.transcribe([wave])[0].text for wave in waves]


def test_fallback_keeps_the_most_probable_attempt_and_silence_says_nothing(
    ours: WhisperRecogniser, waves: list[np.ndarray]
) -> None:
    found = {}
    for first in (0.0, 1.0):
        ours.set_search(Search(temperatures=(first,), no_speech=None))
        found[first] = ours.speak(ours.heard(waves[:1]), None, [1.0])[0]
    ours.set_search(Search(fallback=True, temperatures=(0.0, 1.0), mean_score=0.0, no_speech=None))
    kept = ours.speak(ours.heard(waves[:1]), None, [1.0])[0]
    assert kept.ids == max(found.values(), key=lambda said: said.mean_score).ids
    ours.set_search(Search(no_speech=0.0, mean_score=0.0))
    assert [h.text for h in ours.transcribe(waves)] == ["", "", ""]


def test_a_prompt_is_given_and_not_repeated(ours: WhisperRecogniser, waves: list[np.ndarray]) -> None:
    ours.set_search(Search(prompt="zz"))
    ids = ours.decoding.prefixes([{}], "en", "transcribe")[0]
    assert ours.processor.tokenizer.decode(ids) == (
        "<|startofprev|> zz<|startoftranscript|><|en|><|transcribe|><|notimestamps|>"
    )
    assert ours.transcribe(waves, words=True)[0].words


def test_the_language_is_heard_where_none_is_saved(ours: WhisperRecogniser, waves: list[np.ndarray]) -> None:
    with torch.inference_mode():
        shares = ours.decoding.languages(ours.heard(waves))
    assert set(shares[0]) == {"en", "de", "ha"} and sum(shares[0].values()) == pytest.approx(1.0)
    ours.model.generation_config.language = None
    heard = [max(row, key=row.__getitem__) for row in shares]
    detected = [h.text for h in ours.transcribe(waves)]
    assert detected == [
        ours.transcribe([wave], language=code)[0].text for wave, code in zip(waves, heard, strict=True)
    ]


def test_words_have_times_inside_the_clip(ours: WhisperRecogniser, waves: list[np.ndarray]) -> None:
    for wave, heard in zip(waves, ours.transcribe(waves, words=True), strict=True):
        assert "".join(w.text for w in heard.words) == heard.text.replace(" ", "")
        times = [t for w in heard.words for t in (w.start, w.end)]
        assert times == sorted(times) and times[0] >= 0 and times[-1] <= len(wave) / 16_000 + 0.04
        assert all(0.0 <= w.probability <= 1.0 for w in heard.words)


def test_warping_finds_the_cheapest_monotonic_path() -> None:
    cost = np.full((3, 9), 1.0)
    cost[0, :2] = cost[1, 2:6] = cost[2, 6:] = 0.0
    assert warp(cost) == [0, 2, 6]
    random = np.random.default_rng(0).random((4, 7))
    starts = warp(random)
    assert starts == sorted(starts) and starts[0] == 0


def test_tokens_join_at_spaces_or_at_letters(ours: WhisperRecogniser) -> None:
    tokenizer = ours.processor.tokenizer
    ids = tokenizer(" ab cd", add_special_tokens=False).input_ids
    assert group(tokenizer, ids) == [[0, 1, 2], [3, 4, 5]]
    ids = tokenizer(" seven", add_special_tokens=False).input_ids
    assert group(tokenizer, ids) == [list(range(6))]
    ids = tokenizer("日本", add_special_tokens=False).input_ids
    assert group(tokenizer, ids) == [[0, 1, 2], [3, 4, 5]]


def test_audio_beyond_thirty_seconds_is_heard_in_windows(folder: Path) -> None:
    from asr_adapt import Decoding, transcribe

    wave = (0.1 * np.random.default_rng(0).standard_normal(40 * 16_000)).astype(np.float32)
    heard = transcribe(wave, model=folder, device="cpu", decoding=Decoding(segmenter="windows"))
    assert heard.duration == pytest.approx(40.0) and heard.text
    assert all(a.start <= b.start for a, b in itertools.pairwise(heard.segments))


@pytest.mark.parametrize("looped", [False, True])
def test_what_is_doubted_or_loops_in_a_divisible_window_is_left_to_smaller_ones(
    ours: WhisperRecogniser, waves: list[np.ndarray], looped: bool
) -> None:
    tried: list[float] = []

    def attempt(
        heard: EncoderOutput, rules: Rules, search: Search, temperature: float
    ) -> list[Spoken]:  # sure of itself where it loops, unsure else
        tried.append(temperature)
        score = -0.1 if looped else -5.0
        return [Spoken((7, 8), (score, score), looped=looped, temperature=temperature)]

    ours.decoding.attempt = attempt
    (kept,) = ours.hear_windows([Window(waves[0])])
    whole = len(tried)
    (left,) = ours.hear_windows([Window(waves[0], divisible=True)])
    assert kept.phrases and kept.doubted is not looped
    assert left.doubted and not left.phrases
    assert looped or (whole == 6 and len(tried) - whole == 2)
