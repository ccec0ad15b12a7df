"""Moonshine-streaming: as transformers computes it, in any batch, causal, learnt, saved, heard live."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import transformers as t

from asr_adapt.decoding import Decoding
from asr_adapt.models import Search, load_recogniser
from asr_adapt.models.attention.moonshine_streaming import MoonshineStreamingRecogniser
from asr_adapt.transcription.live import LiveStream
from tests.models.tiny_moonshine_streaming import save_tiny_moonshine_streaming

TEXTS = ["hello", "it is", "a longer line"]


@pytest.fixture(scope="module", params=[(32, True), (24, False)], ids=["tied", "projected"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    width, tied = request.param
    return save_tiny_moonshine_streaming(tmp_path_factory.mktemp("streaming") / "m", width=width, tied=tied)


@pytest.fixture
def ours(folder: Path) -> MoonshineStreamingRecogniser:
    found = load_recogniser(folder, device="cpu")
    assert isinstance(found, MoonshineStreamingRecogniser)
    return found


@pytest.fixture(scope="module")
def clips(waves: list[np.ndarray]) -> list[np.ndarray]:
    """Also one that ends inside a frame."""
    return [waves[0], waves[1][:8_987], waves[2]]


def heard_by_transformers(folder: Path, wave: np.ndarray) -> dict[str, torch.Tensor]:
    return dict(t.AutoProcessor.from_pretrained(folder)(wave, sampling_rate=16_000))


def test_loss_equals_that_of_transformers_at_every_boundary(
    ours: MoonshineStreamingRecogniser, folder: Path, clips: list[np.ndarray]
) -> None:
    labels = ours.labels(TEXTS)
    reference = t.AutoModelForSpeechSeq2Seq.from_pretrained(folder).eval()
    with torch.no_grad():
        losses = [
            ours.losses(ours.encode(ours.inputs(clips), b), b, labels)
            for b in range(ours.stack.prefix_limit + 1)
        ]
        for row, wave in enumerate(clips):
            own = torch.tensor([labels[row]])
            logits = reference(**heard_by_transformers(folder, wave), decoder_input_ids=own[:, :-1]).logits
            expected = torch.nn.functional.cross_entropy(logits[0], own[0, 1:], reduction="sum")
            for found in losses:
                torch.testing.assert_close(found[row], expected, rtol=1e-4, atol=1e-3)


def test_text_equals_that_of_generate_in_any_batch_with_word_times(
    ours: MoonshineStreamingRecogniser, folder: Path, clips: list[np.ndarray]
) -> None:
    ours.set_search(Search(hallucination_checks=False))
    reference = t.AutoModelForSpeechSeq2Seq.from_pretrained(folder).eval()
    texts = []
    for wave, heard in zip(clips, ours.transcribe(clips, words=True), strict=True):
        ids = reference.generate(**heard_by_transformers(folder, wave), num_beams=1, max_new_tokens=11)
        plain = ours.processor.tokenizer.decode(ids[0], skip_special_tokens=True).strip()
        assert heard.text == ours.transcribe([wave])[0].text == plain
        assert all(word.end <= len(wave) / 16_000 + 0.05 for word in heard.words)
        texts.append(heard.text)
    assert max(map(len, texts)) > 3
    assert ours.transcribe(clips)[0].text == texts[0], "a second attempt hears the same states"


def test_what_follows_changes_only_the_last_frames(
    ours: MoonshineStreamingRecogniser, clips: list[np.ndarray]
) -> None:
    """The layers look 2 and 0 frames ahead; a frame of the encoder is four of 80 samples."""
    other = clips[0].copy()
    other[12_800:] = 0.0
    limit = ours.stack.prefix_limit
    a, b = (ours.encode(ours.inputs([wave]), limit).states[0] for wave in (clips[0], other))
    same = 12_800 // 320 - 2
    torch.testing.assert_close(a[:same], b[:same])
    assert not torch.allclose(a[same], b[same])


def test_every_weight_learns_and_is_saved_as_a_plain_directory(
    ours: MoonshineStreamingRecogniser, clips: list[np.ndarray], tmp_path: Path
) -> None:
    ours.model.train()
    loss = ours.losses(ours.encode(ours.inputs(clips), 0), 0, ours.labels(TEXTS)).sum()
    loss.backward()
    missing = [name for name, p in ours.model.named_parameters() if p.grad is None]
    assert missing == []
    ours.save(tmp_path / "saved")
    again = load_recogniser(tmp_path / "saved", device="cpu")
    assert [h.text for h in again.transcribe(clips)] == [h.text for h in ours.transcribe(clips)]


def test_it_is_heard_live(ours: MoonshineStreamingRecogniser, clips: list[np.ndarray]) -> None:
    stream = LiveStream(ours, Decoding(segmenter="windows"), step=0.5)
    sound = np.concatenate(clips)
    updates = [u for place in range(0, len(sound), 4_000) for u in stream.feed(sound[place : place + 4_000])]
    updates += stream.finish()
    assert len(updates) >= 6 and updates[-1].tentative == ()
    assert stream.transcript("x").text == " ".join(word.text for u in updates for word in u.words)
