"""Qwen3-ASR: as transformers computes it, in any batch, from any boundary; what it cannot do is refused."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as t

from asr_adapt.decoding import Decoding
from asr_adapt.errors import ModelError, UsageError
from asr_adapt.models import DecoderSettings, Search, load_recogniser
from asr_adapt.models.audio_llm.qwen3_asr import Qwen3AsrRecogniser
from asr_adapt.models.search.generation import Spoken
from asr_adapt.transcription.engine import Engine
from tests.models.plain_models import save_tiny_qwen3_asr

TEXTS = ["hello", "it is", "a longer line"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_qwen3_asr(tmp_path_factory.mktemp("qwen") / "tiny")


@pytest.fixture
def ours(folder: Path) -> Qwen3AsrRecogniser:
    found = load_recogniser(folder, device="cpu")
    assert isinstance(found, Qwen3AsrRecogniser)
    return found


@pytest.fixture(scope="module")
def plain(folder: Path) -> tuple[Any, Any]:
    return t.Qwen3ASRForConditionalGeneration.from_pretrained(folder).eval(), t.AutoProcessor.from_pretrained(
        folder
    )


def clips(waves: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Clips of less than a second, of some, and of more than a window of attention."""
    return [waves[0][:5_000], waves[1], np.concatenate([*waves, *waves])[: round(4.3 * 16_000)]]


@pytest.mark.parametrize("language", [None, "fr-CA"])
def test_loss_equals_that_of_transformers_at_every_boundary(
    ours: Qwen3AsrRecogniser, plain: tuple[Any, Any], waves: list[np.ndarray], language: str | None
) -> None:
    model, processor = plain
    ours.configure(DecoderSettings(language=language))
    labels, own = ours.labels(TEXTS), clips(waves)
    with torch.no_grad():
        losses = [
            ours.losses(ours.encode(ours.inputs(own), b), b, labels)
            for b in range(ours.stack.prefix_limit + 1)
        ]
        name = "None" if language is None else "French"
        for row, wave in enumerate(own):
            request = processor.apply_transcription_request(wave, sampling_rate=16_000)
            said = processor.tokenizer(f"language {name}<asr_text>{TEXTS[row]}<|im_end|>").input_ids
            whole = torch.cat([request["input_ids"], torch.tensor([said])], 1)
            heard = {key: request[key] for key in ("input_features", "input_features_mask")}
            logits = model(input_ids=whole, **heard).logits[0, -len(said) - 1 : -1]
            expected = torch.nn.functional.cross_entropy(logits, torch.tensor(said), reduction="sum")
            for found in losses:
                torch.testing.assert_close(found[row], expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("language", [None, "de"])
def test_text_equals_that_of_plain_transformers_in_any_batch(
    ours: Qwen3AsrRecogniser, plain: tuple[Any, Any], waves: list[np.ndarray], language: str | None
) -> None:
    model, processor = plain
    ours.set_search(Search(hallucination_checks=False))
    own = clips(waves)
    for wave, heard in zip(own, ours.transcribe(own, language=language), strict=True):
        assert heard.text == ours.transcribe([wave], language=language)[0].text
        request = processor.apply_transcription_request(wave, language=language, sampling_rate=16_000)
        most = ours.positions - len(ours.prefix(language))
        ids = model.generate(**request, max_new_tokens=most, do_sample=False)[
            0, request["input_ids"].shape[1] :
        ]
        assert heard.text == processor.tokenizer.decode(ids, skip_special_tokens=True).strip()
        assert len(heard.text) > 3 and heard.words == ()


def test_a_beam_finds_the_same_in_any_batch(ours: Qwen3AsrRecogniser, waves: list[np.ndarray]) -> None:
    ours.set_search(Search(hallucination_checks=False))
    greedy = [row.text for row in ours.transcribe(clips(waves))]
    ours.set_search(Search(beams=3, hallucination_checks=False))
    found = ours.transcribe(clips(waves))
    assert [row.text for row in found] != greedy
    for row, wave in zip(found, clips(waves), strict=True):
        alone = ours.transcribe([wave])[0]
        assert row.text == alone.text and row.confidence == pytest.approx(alone.confidence, rel=1e-4)


def test_the_language_before_a_transcript_is_not_part_of_it(ours: Qwen3AsrRecogniser) -> None:
    ids = ours.labels(["it is"])[0][1:-1]
    found = ours._hypothesis(Spoken(tuple(ids), tuple([-1.0] * len(ids))), [])
    assert found.text == "it is"


def test_features_are_those_of_the_clip_alone(ours: Qwen3AsrRecogniser, waves: list[np.ndarray]) -> None:
    own = clips(waves)
    batch = ours.inputs(own)
    for row, wave in enumerate(own):
        alone = ours.inputs([wave])
        assert alone.lengths[0] == batch.lengths[row]
        assert torch.equal(batch.states[row, : alone.states.shape[1]], alone.states[0])
        assert ours.clip_frames(len(wave)) == int(ours.encode(alone, 1).lengths[0])
    assert ours.transcribe([np.zeros(0, np.float32)])[0].confidence is not None


def test_what_it_cannot_do_is_refused(ours: Qwen3AsrRecogniser, waves: list[np.ndarray]) -> None:
    with pytest.raises(UsageError, match="does not tell when words were said"):
        Engine(ours, Decoding(word_timestamps=True))
    with pytest.raises(ModelError, match="does not tell when words were said"):
        ours.transcribe(waves[:1], words=True)
    with pytest.raises(ModelError, match="cannot use a prompt: remove it"):
        ours.set_search(Search(prompt="Leith"))
    with pytest.raises(ModelError, match=r"cannot use decoder\.context or decoder\.timestamps_share"):
        ours.configure(DecoderSettings(context="dynamic", timestamps_share=0.5))
    with pytest.raises(UsageError, match="'xx' is unknown"):
        ours.transcribe(waves[:1], language="xx")
