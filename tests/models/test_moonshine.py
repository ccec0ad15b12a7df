"""Moonshine through the encoder–decoder family: as transformers computes it, in any batch, end to end."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import transformers as t
from tokenizers import Tokenizer, models, pre_tokenizers
from tokenizers.decoders import Fuse

from asr_adapt.errors import ModelError
from asr_adapt.models import Hidden, Recogniser, Search
from asr_adapt.models.moonshine import MoonshineRecogniser

LETTERS = "abcdefghijklmnopqrstuvwxyz "


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random Moonshine that writes letters."""
    torch.manual_seed(0)
    config = t.MoonshineConfig(
        vocab_size=3 + len(LETTERS), hidden_size=32, intermediate_size=48, encoder_num_hidden_layers=2,
        decoder_num_hidden_layers=2, num_hidden_layers=2, encoder_num_attention_heads=2,
        decoder_num_attention_heads=2, num_attention_heads=2, max_position_embeddings=64,
        bos_token_id=1, eos_token_id=2, decoder_start_token_id=1, pad_token_id=2,
    )  # fmt: skip
    model = t.MoonshineForConditionalGeneration(config)
    with torch.no_grad():
        model.model.decoder.embed_tokens.weight.mul_(20.0)
    model.generation_config = t.GenerationConfig(
        max_length=12, bos_token_id=1, eos_token_id=2, pad_token_id=2, decoder_start_token_id=1
    )
    vocabulary = {token: i for i, token in enumerate(["<unk>", "<s>", "</s>", *LETTERS])}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    backend.decoder = Fuse()
    words = t.PreTrainedTokenizerFast(
        tokenizer_object=backend, unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    )
    extractor = t.Wav2Vec2FeatureExtractor(do_normalize=False, return_attention_mask=True)
    place = tmp_path_factory.mktemp("moonshine") / "tiny"
    model.save_pretrained(place)
    t.Wav2Vec2Processor(extractor, words).save_pretrained(place)
    return place


@pytest.fixture
def ours(folder: Path) -> MoonshineRecogniser:
    found = Recogniser.load(folder, device="cpu")
    assert isinstance(found, MoonshineRecogniser)
    return found


def test_loss_equals_that_of_transformers_at_every_boundary(
    ours: MoonshineRecogniser, folder: Path, waves: list[np.ndarray]
) -> None:
    labels = ours.labels(["hello", "it is", "a longer line"])
    reference = t.MoonshineForConditionalGeneration.from_pretrained(folder).eval()
    with torch.no_grad():
        losses = [
            ours.losses(ours.encode(ours.inputs(waves), b), b, labels)
            for b in range(ours.stack.prefix_limit + 1)
        ]
        for row, wave in enumerate(waves):
            own = torch.tensor([labels[row]])
            logits = reference(torch.from_numpy(wave)[None], decoder_input_ids=own[:, :-1]).logits
            expected = torch.nn.functional.cross_entropy(logits[0], own[0, 1:], reduction="sum")
            for found in losses:
                torch.testing.assert_close(found[row], expected, rtol=1e-4, atol=1e-3)


def test_text_equals_that_of_the_plain_pipeline_in_any_batch(
    ours: MoonshineRecogniser, folder: Path, waves: list[np.ndarray]
) -> None:
    together = ours.transcribe(waves, words=True)
    pipe = t.pipeline("automatic-speech-recognition", model=str(folder), device="cpu")
    for wave, heard in zip(waves, together, strict=True):
        plain = pipe(wave.copy(), generate_kwargs={"num_beams": 1, "max_new_tokens": 11})["text"]
        assert heard.text == ours.transcribe([wave])[0].text == plain.strip()
        assert all(word.end <= len(wave) / 16_000 + 0.05 for word in heard.words)


def test_a_step_of_training_moves_the_decoder_alone_and_survives_saving(
    ours: MoonshineRecogniser, waves: list[np.ndarray], tmp_path: Path
) -> None:
    stack = ours.stack
    stack.freeze_except(range(stack.prefix_limit, len(stack)))
    stack.set_modes()
    optimiser = torch.optim.SGD([p for p in ours.model.parameters() if p.requires_grad], lr=0.05)
    labels, losses = ours.labels(["abc", "de", "f"]), []
    hidden = ours.encode(ours.inputs(waves), stack.boundary)
    for _ in range(4):
        loss = ours.losses(Hidden(hidden.states.detach(), hidden.lengths), stack.boundary, labels).sum()
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    ours.save(tmp_path / "saved")
    again = Recogniser.load(tmp_path / "saved", device="cpu")
    assert [h.text for h in again.transcribe(waves)] == [h.text for h in ours.transcribe(waves)]


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        (Search(prompt="Leith"), "a prompt"),
        (Search(temperatures=(0.0, 0.4)), "a fallback temperature"),
        (Search(no_speech=0.6), "a silence threshold"),
        (Search.guarded(prompt="Leith"), "a fallback temperature or a prompt or a silence threshold"),
    ],
)
def test_what_moonshine_cannot_do_is_refused_and_changes_nothing(
    ours: MoonshineRecogniser, waves: list[np.ndarray], asked: Search, named: str
) -> None:
    ours.set_search(Search(beams=2))
    before = ours.transcribe(waves)
    with pytest.raises(ModelError, match=f"cannot use {named}: leave that out"):
        ours.set_search(asked)
    assert ours.search == Search(beams=2) and ours.transcribe(waves) == before
