"""Alignment against torch's own CTC loss, brute force, and tones whose times are known."""

from __future__ import annotations

import itertools
import math
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from asr_adapt.errors import ModelError
from asr_adapt.manifest import Manifest, read_waveform
from asr_adapt.models import load_recogniser
from asr_adapt.models.alignment import (
    log_probabilities,
    require_ctc,
    transcript_fits,
    word_times,
)
from asr_adapt.models.attention.whisper.recogniser import WhisperRecogniser
from asr_adapt.models.words.viterbi import forced_alignment
from tests.conftest import RATE, tones
from tests.models.whisper_models import save_tiny_whisper


def random_scores(frames: int, symbols: int, seed: int) -> np.ndarray:
    logits = np.random.default_rng(seed).standard_normal((frames, symbols)) * 2
    return (logits - np.log(np.exp(logits).sum(1, keepdims=True))).astype(np.float32)


def collapse(path: tuple[int, ...]) -> list[int]:
    return [symbol for symbol, _ in itertools.groupby(path) if symbol]


@pytest.mark.parametrize("labels", [[1], [1, 2], [2, 2], [1, 2, 1], []])
@pytest.mark.parametrize("seed", range(4))
def test_viterbi_is_the_best_of_all_paths(labels: list[int], seed: int) -> None:
    scores = random_scores(5, 3, seed)
    paths = [path for path in itertools.product(range(3), repeat=5) if collapse(path) == labels]
    best = max(paths, key=lambda path: sum(scores[frame, symbol] for frame, symbol in enumerate(path)))
    spans = forced_alignment(scores, labels, blank=0)
    path = [0] * 5
    for span in spans:
        path[span.start : span.end] = [labels[span.position]] * (span.end - span.start)
    assert tuple(path) == best


def test_labels_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ModelError, match="do not fit"):
        forced_alignment(random_scores(2, 3, 0), [1, 1], blank=0)


def test_right_transcripts_fit_and_wrong_ones_do_not(tone_recogniser) -> None:
    spoken = ["abc fed", "gag bad", "dead cafe"]
    waves = [tones(words) for words in spoken]
    right = transcript_fits(tone_recogniser, waves, spoken)
    assert [fit.heard.strip() for fit in right] == spoken
    assert all(fit.score < 0.05 for fit in right)
    wrong = transcript_fits(tone_recogniser, waves, [*spoken[1:], spoken[0]])
    assert all(fit.score > 1.0 for fit in wrong)
    slightly = transcript_fits(tone_recogniser, waves[:1], ["abc fad"])[0]
    assert right[0].score < slightly.score < wrong[0].score
    assert transcript_fits(tone_recogniser, waves[:1], ["abcdefg" * 40])[0].score == math.inf


def test_fits_do_not_depend_on_the_batch(tone_recogniser) -> None:
    spoken = ["abc fed", "gag bad dead cafe bead"]
    waves = [tones(words) for words in spoken]
    together = transcript_fits(tone_recogniser, waves, ["abc fad", spoken[1]])
    alone = transcript_fits(tone_recogniser, waves[:1], ["abc fad"])
    assert together[0].score == pytest.approx(alone[0].score, rel=1e-3)


def test_words_are_placed_where_they_sound(tone_recogniser) -> None:
    words = word_times(tone_recogniser, tones("abc fed gag", pause=0.4), ["abc", "--", "fed", "gag"])
    # A word of three letters takes 3 × 0.12 s, its delimiter 0.12 s, and a pause of 0.4 s follows.
    for word, start in zip([words[0], words[2], words[3]], [0.1, 0.98, 1.86], strict=True):
        assert word.start == pytest.approx(start, abs=0.06)
        assert word.end == pytest.approx(start + 0.36, abs=0.08)
        assert word.probability > 0.5
    assert words[1].start == words[1].end


def test_long_audio_is_read_in_windows(tone_recogniser, monkeypatch: pytest.MonkeyPatch) -> None:
    wave = tones("abc fed gag bad cafe dead bead face " * 3)
    whole = log_probabilities(tone_recogniser, wave)
    monkeypatch.setattr(type(tone_recogniser), "window_seconds", 6.0)
    pieces = log_probabilities(tone_recogniser, wave)
    assert len(wave) / RATE > 12
    assert abs(len(pieces) - len(whole)) <= 1
    size = min(len(pieces), len(whole))
    assert (pieces[:size].argmax(1) == whole[:size].argmax(1)).mean() > 0.99


def test_only_ctc_models_align() -> None:
    class Other:
        family, name = "seq2seq", "some-model"

    with pytest.raises(ModelError, match="needs a CTC model"):
        require_ctc(Other())


def test_a_decoder_scores_its_own_transcript_zero_and_every_other_by_its_loss(tmp_path, waves) -> None:
    recogniser = load_recogniser(save_tiny_whisper(tmp_path / "w"), device="cpu")
    assert isinstance(recogniser, WhisperRecogniser)
    own = [fit.heard for fit in transcript_fits(recogniser, waves, ["a", "b", "c"])]
    assert all(fit.score == 0 for fit in transcript_fits(recogniser, waves, own))
    other = ["q" * (len(text) + 3) for text in own]
    together = transcript_fits(recogniser, waves, other)
    alone = [transcript_fits(recogniser, [w], [t])[0] for w, t in zip(waves, other, strict=True)]
    assert [fit.score for fit in together] == pytest.approx([fit.score for fit in alone], rel=1e-3)
    assert all(fit.score > 0.1 for fit in together)


@pytest.mark.pretrained
def test_swapped_transcripts_of_real_speech_fit_worst(whisper_tiny_en) -> None:
    corpus = resources.files("asr_adapt.assets") / "demo-speech" / "guard_test.jsonl"
    rows = list(Manifest.open(Path(str(corpus))))[:6]
    texts = [row.text or "" for row in rows]
    texts[1], texts[4] = texts[4], texts[1]
    recogniser = load_recogniser(whisper_tiny_en, device="cpu")
    fits = transcript_fits(recogniser, [read_waveform(row, RATE) for row in rows], texts)
    order = sorted(range(len(rows)), key=lambda number: -fits[number].score)
    assert set(order[:2]) == {1, 4}
    assert fits[order[1]].score > 2 * fits[order[2]].score
