"""Parakeet-TDT: transformers' own transcripts, times and loss, whatever the batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from asr_adapt.errors import ModelError
from asr_adapt.models import Dropout, Recogniser, load_recogniser, set_vocabulary
from asr_adapt.models.lora import LoraSettings, add_lora

from .tiny_tdt import save_tiny_tdt


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_tdt(tmp_path_factory.mktemp("tdt") / "tiny")


@pytest.fixture(scope="module")
def ours(folder: Path) -> Recogniser:
    return load_recogniser(folder, device="cpu", compute_type="float32")


@pytest.fixture(scope="module")
def noises() -> list[np.ndarray]:
    """Clips of several lengths; on the last one the tiny model says spaces without end."""
    random = torch.Generator().manual_seed(0)
    return [(0.1 * torch.randn(count, generator=random)).numpy() for count in (32_000, 16_000, 4_000, 50_001)]


def test_transcripts_are_those_of_generate_and_of_the_pipeline_in_any_batch(
    folder: Path, ours: Recogniser, noises: list[np.ndarray]
) -> None:
    theirs = transformers.ParakeetForTDT.from_pretrained(folder).eval()
    processor = transformers.AutoProcessor.from_pretrained(folder)
    pipe = transformers.pipeline("automatic-speech-recognition", model=str(folder), device="cpu")
    together = ours.transcribe(noises, words=True)
    assert len({found.text for found in together}) == len(noises)
    for wave, found in zip(noises, together, strict=True):
        assert ours.transcribe([wave], words=True)[0].text == found.text
        out = theirs.generate(**processor(wave, sampling_rate=16_000))
        assert processor.decode(out.sequences, skip_special_tokens=True)[0].strip() == found.text
        assert pipe(wave.copy())["text"].strip() == found.text
        assert 0 < found.confidence <= 1


def test_words_stand_where_their_tokens_were_said(
    folder: Path, ours: Recogniser, noises: list[np.ndarray]
) -> None:
    theirs = transformers.ParakeetForTDT.from_pretrained(folder).eval()
    processor = transformers.AutoProcessor.from_pretrained(folder)
    for wave in noises[:3]:
        found = ours.transcribe([wave], words=True)[0]
        assert " ".join(word.text for word in found.words) == " ".join(found.text.split())
        out = theirs.generate(**processor(wave, sampling_rate=16_000))
        _, timed = processor.decode(out.sequences, durations=out.durations, skip_special_tokens=True)
        times = {round(token[edge], 3) for token in timed[0] for edge in ("start", "end")}
        assert {round(edge, 3) for word in found.words for edge in (word.start, word.end)} <= times
        starts = [word.start for word in found.words]
        assert starts == sorted(starts) and all(0 < word.probability <= 1 for word in found.words)


def test_the_loss_is_transformers_own_for_each_row_and_from_any_boundary(
    folder: Path, ours: Recogniser, noises: list[np.ndarray]
) -> None:
    theirs = transformers.ParakeetForTDT.from_pretrained(folder).eval()
    processor = transformers.AutoProcessor.from_pretrained(folder)
    texts = ["the other", "a", ""]
    labels = ours.labels(texts)
    with torch.no_grad():
        together = ours.losses(ours.inputs(noises[:3]), 0, labels)
        for boundary in (1, 3, ours.stack.prefix_limit):
            hidden = ours.encode(ours.inputs(noises[:3]), boundary)
            torch.testing.assert_close(ours.losses(hidden, boundary, labels), together)
        for number, text in enumerate(texts[:2]):  # theirs divides by the length, which is none of ""
            given = processor(noises[number], text=text, sampling_rate=16_000)
            want = theirs(**given).loss * len(labels[number])
            torch.testing.assert_close(together[number], want, rtol=1e-4, atol=1e-3)
    assert together[2] > 0
    with pytest.raises(ModelError, match="no single target"):
        ours.losses(ours.inputs(noises[:1]), 0, labels[:1], label_smoothing=0.1)


def test_what_is_asked_of_a_family(ours: Recogniser, noises: list[np.ndarray], folder: Path) -> None:
    limits = ours.limits()
    assert "'" in limits.vocabulary and limits.frames(2.0) == 25
    again = load_recogniser(folder, device="cpu")
    hidden = again.encode(again.inputs(noises[:2]), again.stack.prefix_limit)
    from_states = again.transcribe_hidden(hidden, again.stack.prefix_limit, [32_000, 16_000])
    assert [row.text for row in from_states] == [row.text for row in again.transcribe(noises[:2])]
    again.set_dropout(Dropout(hidden_dropout=0.1))
    lora = add_lora(again, LoraSettings(2, 4.0), seed=0)
    assert len(lora.names) == 2 * 3 * 8  # both feed-forward blocks and attention of three layers
    with pytest.raises(ModelError, match="cannot be changed"):
        set_vocabulary(again, "abc", "replace")
