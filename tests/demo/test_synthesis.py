"""Speech from espeak-ng: real library, real sound."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from asr_adapt.demo import synthesis
from asr_adapt.demo.synthesis import (
    Voice,
    accents,
    held_out_variants,
    spoken_form,
    synthesise,
    train_variants,
)
from asr_adapt.errors import AsrAdaptError

TEXT = "two girls walked to the water"


@pytest.mark.parametrize("accent", accents())
def test_every_accent_speaks(accent):
    wave = synthesise(TEXT, Voice(accents()[accent]))
    assert wave.dtype == np.float32
    assert wave.ndim == 1
    assert 1.0 < wave.size / synthesis.SAMPLE_RATE < 4.0
    assert 0.01 < np.sqrt(np.mean(wave**2)) < 0.5
    assert np.abs(wave).max() <= 1.0


def test_accents_differ_in_sound():
    spectra = []
    for accent in ("us", "scottish", "caribbean"):
        spectrum = np.abs(np.fft.rfft(synthesise(TEXT, Voice(accents()[accent])), 1 << 16))
        spectra.append(spectrum / np.linalg.norm(spectrum))
    assert spectra[0] @ spectra[1] < 0.99
    assert spectra[0] @ spectra[2] < 0.99


def test_every_variant_is_audible_and_each_belongs_to_one_part():
    assert not set(train_variants()) & set(held_out_variants())
    assert len(train_variants()) > 50
    for variant in (*train_variants(), *held_out_variants()):
        wave = synthesise("hello", Voice(variant=variant))
        assert np.sqrt(np.mean(wave**2)) > 0.003, variant


def test_rate_shortens_and_word_gap_lengthens():
    slow, fast = (synthesise(TEXT, Voice(rate=rate)).size for rate in (110, 220))
    assert slow > 1.5 * fast
    assert synthesise(TEXT, Voice(word_gap=15)).size > synthesise(TEXT, Voice()).size + 5000


@pytest.mark.parametrize(
    ("voice", "part"),
    [
        (Voice(language="xx-nowhere"), "no voice"),
        (Voice(variant="nobody"), "no variant"),
        (Voice(rate=10), "rate"),
        (Voice(pitch=100), "pitch"),
    ],
)
def test_unknown_voices_are_refused(voice, part):
    with pytest.raises(AsrAdaptError, match=part):
        synthesise(TEXT, voice)


def test_silence_is_refused():
    with pytest.raises(AsrAdaptError, match="silent"):
        synthesise("", Voice())


def test_threads_do_not_mix_their_speech():
    alone = synthesise(TEXT, Voice(variant="Andy")).size
    sizes = []
    threads = [
        threading.Thread(target=lambda: sizes.append(synthesise(TEXT, Voice(variant="Andy")).size))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sizes == [alone] * 4


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("A CAT SAT", "a cat sat"),
        ("I SEE A DOG", "i see a dog"),
        ("B A C", "B [[eI]] C"),
        ("A B", "[[eI]] B"),
        ("ROOM A", "room [[eI]]"),
        ("I A M", "i [[eI]] M"),
        ("DON'T STOP", "don't stop"),
    ],
)
def test_spelled_letters_are_told_from_articles(text, spoken):
    assert spoken_form(text) == spoken


def test_spelled_a_sounds_unlike_the_article():
    spelled, article = (synthesise(text, Voice()) for text in ("[[eI]] B", "a B"))
    assert spelled.size != article.size


def test_a_long_data_path_is_reached_through_a_short_link(monkeypatch):
    monkeypatch.setattr(synthesis, "MAX_DATA_PATH", 10)
    linked = synthesis._data_path.__wrapped__()
    assert (synthesis.Path(linked) / "voices").is_dir()
    assert synthesis.Path(linked).is_symlink()
