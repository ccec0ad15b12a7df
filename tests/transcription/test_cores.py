"""Batches heard side by side on a CPU's cores: same transcripts, and nothing left changed."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

from asr_adapt import Decoding, transcribe
from asr_adapt.models import Recogniser


@pytest.fixture
def cores():
    """Two threads, whatever the machine has."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield 2
    torch.set_num_threads(before)


def waves(count: int) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [(0.1 * random.standard_normal(4_000 + 900 * n)).astype(np.float32) for n in range(count)]


def test_batches_side_by_side_give_what_one_after_another_gives(
    tone_recogniser: Recogniser, cores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tone_recogniser.capabilities.concurrent
    heard_on, plain = set(), tone_recogniser.transcribe

    def noted(*args, **kwargs):
        heard_on.add(threading.current_thread().name)
        return plain(*args, **kwargs)

    monkeypatch.setattr(tone_recogniser, "transcribe", noted)
    together = transcribe(waves(24), model=tone_recogniser, decoding=Decoding(batch_size=2))
    assert heard_on and all(name.startswith("core") for name in heard_on)
    assert torch.get_num_threads() == cores
    torch.set_num_threads(1)
    heard_on.clear()
    alone = transcribe(waves(24), model=tone_recogniser, decoding=Decoding(batch_size=2))
    assert heard_on == {threading.current_thread().name}
    assert [t.text for t in together] == [t.text for t in alone]


def test_an_error_on_a_core_reaches_the_caller(
    tone_recogniser: Recogniser, cores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_, **__):
        raise RuntimeError("no kernel for this")

    monkeypatch.setattr(tone_recogniser, "transcribe", broken)
    with pytest.raises(RuntimeError, match="no kernel"):
        transcribe(waves(4), model=tone_recogniser, decoding=Decoding(batch_size=1))
    assert torch.get_num_threads() == cores
