"""Shared by every test: no network, real corpora only where they are, and a recogniser that hears tones.

The tone recogniser is a real Wav2Vec2ForCTC directory whose weights are set by hand: its convolution is a
bank of sines, each pitch is a letter, silence is the blank. So audio of any length has a known transcript.
"""

from __future__ import annotations

import json
import logging
import os
import random
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import setuptools  # noqa: F401  torch.compile needs it to be imported before any package that imports distutils
import soundfile
from hypothesis import settings

# Before any test imports transformers: a test that reaches for the hub must fail the way a user offline does.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

# Timings are never asserted, and a busy machine is no failure.
settings.register_profile("asr_adapt", deadline=None)
settings.load_profile("asr_adapt")

REAL_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
RATE = 16_000
#: Letters of the tone language, and the word delimiter; all pitches are whole cycles of a 400-sample window.
TONES = {"a": 440, "b": 720, "c": 1040, "d": 1400, "e": 1800, "f": 2320, "g": 2960, "|": 3760}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip tests on real corpora where those are absent."""
    if REAL_DATA.is_dir():
        return
    skip = pytest.mark.skip(reason=f"the corpora are not in {REAL_DATA}")
    for item in items:
        if "realdata" in item.keywords:
            item.add_marker(skip)


@pytest.fixture(autouse=True)
def own_log_level() -> Iterator[None]:
    """A command run within a test sets how much is logged; the next test begins anew."""
    logger = logging.getLogger("asr_adapt")
    level = logger.level
    yield
    logger.setLevel(level)


@pytest.fixture(scope="session", autouse=True)
def own_temporary_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Temporary files of tests, and of processes that they start, go where nobody else looks or writes."""
    folder = tmp_path_factory.mktemp("temporary")
    former = tempfile.tempdir, os.environ.get("TMPDIR")
    tempfile.tempdir, os.environ["TMPDIR"] = str(folder), str(folder)
    yield folder
    tempfile.tempdir = former[0]
    del os.environ["TMPDIR"]
    if former[1] is not None:
        os.environ["TMPDIR"] = former[1]


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real corpora; only for tests marked ``realdata``."""
    return REAL_DATA


@pytest.fixture(scope="session")
def whisper_tiny_en() -> Path:
    """The directory of the real whisper-tiny.en, fetched where it is not cached; do not write there.

    For tests marked ``pretrained``; where it can be neither found nor fetched, they are skipped. Processes
    of one run wait for each other, so that it is fetched once.
    """
    from asr_adapt.errors import ModelError
    from asr_adapt.models.fetching import fetch
    from asr_adapt.pretrained.catalogue import find

    model = find("whisper-tiny.en")
    assert model is not None
    try:
        return fetch(model)
    except ModelError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def say() -> Callable[..., np.ndarray]:
    """``say("bad cafe")`` gives its tones, float32 at 16 kHz: 80 ms a letter, 40 ms between letters."""
    return tones


@pytest.fixture
def speak(tmp_path: Path) -> Callable[..., Path]:
    """``speak("x.wav", "bad cafe")`` writes the tones to a file and returns its path."""

    def write(name: str, words: str, **keywords: Any) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, tones(words, **keywords), RATE)
        return path

    return write


@pytest.fixture(scope="session")
def tone_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A transformers directory of the tone recogniser."""
    folder = tmp_path_factory.mktemp("model") / "tones"
    _save_tone_model(folder)
    return folder


@pytest.fixture(scope="session")
def tone_recogniser(tone_model: Path) -> Any:
    """The tone recogniser, loaded."""
    from asr_adapt.models import load_recogniser

    return load_recogniser(str(tone_model), device="cpu")


def tones(words: str, *, pause: float = 0.2, lead: float = 0.1, mumbled: float = 0.0) -> np.ndarray:
    """Tones of ``words``; between words the delimiter's tone and ``pause`` seconds of silence.

    A share ``mumbled`` of the letters sounds a little more like another letter.
    """
    rng = random.Random(words)
    parts = [np.zeros(round(lead * RATE), np.float32)]
    gap = np.zeros(round(0.04 * RATE), np.float32)
    for word in words.split():
        for letter in (*word, "|"):
            tone = _tone(TONES[letter])
            if letter != "|" and rng.random() < mumbled:
                tone = 0.95 * tone + _tone(TONES[rng.choice("abcdefg")])
            parts += [tone, gap]
        parts.append(np.zeros(round(pause * RATE), np.float32))
    return np.concatenate(parts)


def _tone(pitch: int, seconds: float = 0.08) -> np.ndarray:
    time = np.arange(round(seconds * RATE)) / RATE
    return (0.3 * np.sin(2 * np.pi * pitch * time)).astype(np.float32)


def _save_tone_model(folder: Path) -> None:
    import torch
    from transformers import (
        Wav2Vec2Config,
        Wav2Vec2CTCTokenizer,
        Wav2Vec2FeatureExtractor,
        Wav2Vec2ForCTC,
        Wav2Vec2Processor,
    )

    vocabulary = {"<pad>": 0, "<unk>": 1, **{letter: i for i, letter in enumerate(TONES, 2)}}
    folder.mkdir(parents=True)
    table = folder / "vocab.json"
    table.write_text(json.dumps(vocabulary), encoding="utf-8")
    processor = Wav2Vec2Processor(
        Wav2Vec2FeatureExtractor(do_normalize=False, return_attention_mask=True),
        Wav2Vec2CTCTokenizer(
            str(table), pad_token="<pad>", unk_token="<unk>", bos_token=None, eos_token=None
        ),
    )
    channels, width, blank = 4 * len(TONES), 16, len(TONES)
    make_config: Any = Wav2Vec2Config  # it takes older names of its fields too
    torch.manual_seed(0)  # attention weights are random; they matter once a test trains them
    model = Wav2Vec2ForCTC(
        make_config(
            vocab_size=len(vocabulary), hidden_size=width, num_hidden_layers=1, num_attention_heads=2,
            intermediate_size=16, conv_dim=(channels,), conv_kernel=(400,), conv_stride=(320,),
            num_feat_extract_layers=1, feat_extract_norm="layer", num_conv_pos_embeddings=4,
            num_conv_pos_embedding_groups=2, pad_token_id=0, conv_bias=False,
            hidden_dropout=0.0, final_dropout=0.0,  # one feature a letter: without it the letter is gone
        )
    )  # fmt: skip
    with torch.no_grad():
        _silence_encoder(model)
        base = model.wav2vec2
        base.feature_extractor.conv_layers[0].conv.weight.copy_(torch.from_numpy(_sine_bank()))
        projection = base.feature_projection.projection
        projection.weight.zero_()
        for tone in range(len(TONES)):
            projection.weight[tone, 4 * tone : 4 * tone + 4] = 1.0
        projection.bias.zero_()
        projection.bias[blank] = 1.0
        model.lm_head.weight.zero_()
        model.lm_head.bias.zero_()
        model.lm_head.bias[1] = -20.0
        model.lm_head.weight[0, blank] = 4.0
        for tone in range(len(TONES)):
            model.lm_head.weight[tone + 2, tone] = 4.0
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


def _silence_encoder(model: Any) -> None:
    """Let the transformer layer pass its input on: its branches add nothing."""
    encoder = model.wav2vec2.encoder
    branches = (
        "out_proj",
        "output_dense",
        "pos_conv_embed.conv.bias",
        "pos_conv_embed.conv.parametrizations",
    )
    for name, parameter in encoder.named_parameters():
        if any(branch in name for branch in branches) and not name.endswith("original1"):
            parameter.zero_()  # original1 is a direction, which weight normalisation divides by its length


def _sine_bank() -> np.ndarray:
    """Cosine and sine of each pitch and their negatives, ``(channels, 1, 400)``: GELU rectifies them."""
    time = np.arange(400) / RATE
    rows = []
    for pitch in TONES.values():
        wave = 2 * np.pi * pitch * time
        rows += [np.cos(wave), -np.cos(wave), np.sin(wave), -np.sin(wave)]
    return np.stack(rows)[:, None, :].astype(np.float32) / 40
