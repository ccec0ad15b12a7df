"""Rows computed one behind another give what padded rows give, and do not feel their neighbours."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from asr_adapt.models import load_recogniser
from asr_adapt.models.ctc.packed import PackedEncoder, rounded
from tests.models.architectures import save_tiny

PACKABLE = ("wav2vec2", "wav2vec2-base", "hubert", "unispeech", "unispeech-sat")
LENGTHS = (16_000, 3_001, 8_320, 700, 12_345)


@pytest.fixture(scope="module", params=PACKABLE)
def recogniser(request, tmp_path_factory):
    return load_recogniser(
        save_tiny(request.param, tmp_path_factory.mktemp(request.param) / "m"), device="cpu"
    )


def waves():
    rng = np.random.default_rng(1)
    return [rng.standard_normal(n).astype(np.float32) for n in LENGTHS]


@torch.inference_mode()
def test_packed_equals_padded(recogniser):
    batch = recogniser.inputs(waves())
    padded = recogniser._run(batch, 0, len(recogniser.stack), None)
    logits, lengths = PackedEncoder(recogniser.anatomy).logits(batch.states, batch.lengths)
    assert lengths.tolist() == padded.lengths.tolist()
    for row, length in enumerate(lengths.tolist()):
        torch.testing.assert_close(logits[row, :length], padded.states[row, :length], rtol=1e-3, atol=1e-3)


@torch.inference_mode()
def test_a_row_does_not_feel_its_neighbours(recogniser):
    together = recogniser.logits(recogniser.inputs(waves()))
    for row, wave in enumerate(waves()):
        alone = recogniser.logits(recogniser.inputs([wave]))
        length = int(alone.lengths[0])
        assert int(together.lengths[row]) == length
        torch.testing.assert_close(together.states[row, :length], alone.states[0], rtol=1e-4, atol=1e-4)


def test_architectures_that_differ_are_left_alone(tmp_path):
    for name in ("wavlm", "data2vec-audio", "wav2vec2-bert", "wav2vec2-conformer"):
        assert not load_recogniser(save_tiny(name, tmp_path / name), device="cpu").anatomy.packable


def test_sizes_are_few_and_near():
    sizes = [rounded(n) for n in range(1, 4097)]
    assert all(n <= size <= n * 1.125 + 1 for n, size in enumerate(sizes, 1))
    assert len(set(sizes)) < 100
