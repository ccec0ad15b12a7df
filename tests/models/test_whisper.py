"""The Whisper family against transformers itself: same features, loss and text, in any batch."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers as t

from asr_adapt.errors import ModelError, UsageError
from asr_adapt.manifest.windows import TimedText
from asr_adapt.models import DecoderSettings, Recogniser, Search, SpecAugment, load_recogniser
from asr_adapt.models.attention.whisper.recogniser import WhisperRecogniser
from asr_adapt.models.attention.whisper.tokens import WhisperTokens

from .whisper_models import save_tiny_whisper

TEXTS = ["hello there", "it's", "a much longer line of text"]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_whisper(tmp_path_factory.mktemp("whisper") / "tiny")


@pytest.fixture(scope="session")
def english_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_whisper(tmp_path_factory.mktemp("whisper") / "tiny.en", multilingual=False)


@pytest.fixture
def ours(folder: Path) -> WhisperRecogniser:
    found = load_recogniser(folder, device="cpu")
    assert isinstance(found, WhisperRecogniser)
    return found


def test_features_equal_those_of_transformers(ours: Recogniser, waves: list[np.ndarray]) -> None:
    random = np.random.default_rng(1)
    edges = [np.zeros(5_000), random.standard_normal(480_000), random.standard_normal(479_900), np.ones(3)]
    clips = [*waves, *(wave.astype(np.float32) for wave in edges)]
    expected = t.WhisperFeatureExtractor()(clips, sampling_rate=16_000, return_tensors="pt").input_features
    torch.testing.assert_close(ours.inputs(clips).states.transpose(1, 2), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("context", ["full", "dynamic"])
def test_every_boundary_gives_the_same_loss(ours: Recogniser, waves: list[np.ndarray], context: str) -> None:
    ours.configure(DecoderSettings(context=context))
    labels = ours.labels(TEXTS)
    with torch.no_grad():
        losses = [
            ours.losses(ours.encode(ours.inputs(waves), boundary), boundary, labels)
            for boundary in range(ours.stack.prefix_limit + 1)
        ]
    assert torch.isfinite(losses[0]).all()
    for other in losses[1:]:
        torch.testing.assert_close(other, losses[0], rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("context", ["full", "dynamic"])
def test_every_boundary_gives_the_same_transcripts(
    ours: Recogniser, waves: list[np.ndarray], context: str
) -> None:
    ours.configure(DecoderSettings(context=context))
    expected = ours.transcribe(waves, words=True)
    assert any(row.words for row in expected)
    samples = [len(wave) for wave in waves]
    with torch.no_grad():
        for boundary in range(ours.stack.prefix_limit + 1):
            hidden = ours.encode(ours.inputs(waves), boundary)
            found = ours.transcribe_hidden(hidden, boundary, samples, words=True)
            assert [row.text for row in found] == [row.text for row in expected]
            spans = [[(w.text, w.start, w.end) for w in row.words] for row in found]
            assert spans == [[(w.text, w.start, w.end) for w in row.words] for row in expected]


def test_loss_equals_that_of_transformers(ours: Recogniser, folder: Path, waves: list[np.ndarray]) -> None:
    reference = t.WhisperForConditionalGeneration.from_pretrained(folder).eval()
    labels = ours.labels(["hello"])[0]
    features = t.WhisperFeatureExtractor()(waves[0], sampling_rate=16_000, return_tensors="pt").input_features
    with torch.no_grad():
        expected = reference(features, labels=torch.tensor([labels[1:]])).loss * (len(labels) - 1)
        got = ours.losses(ours.inputs(waves[:1]), 0, [labels])
    torch.testing.assert_close(got[0], expected, rtol=1e-4, atol=1e-4)


def test_text_equals_that_of_the_plain_pipeline(
    ours: Recogniser, folder: Path, waves: list[np.ndarray]
) -> None:
    pipe = t.pipeline("automatic-speech-recognition", model=str(folder), device="cpu")
    ours.set_search(Search(hallucination_checks=False))
    for wave in waves:
        text = ours.transcribe([wave])[0].text
        assert text == pipe(wave.copy(), generate_kwargs={"num_beams": 1})["text"].strip()
        assert len(text) > 3


@pytest.mark.parametrize("context", ["full", "dynamic"])
def test_a_row_does_not_depend_on_its_batch(ours: Recogniser, waves: list[np.ndarray], context: str) -> None:
    ours.configure(DecoderSettings(context=context))
    together = ours.transcribe(waves)
    alone = [ours.transcribe([wave])[0] for wave in waves]
    assert [h.text for h in together] == [h.text for h in alone]
    np.testing.assert_allclose([h.confidence for h in together], [h.confidence for h in alone], atol=1e-4)


def test_labels_begin_with_language_and_task(ours: Recogniser, english_folder: Path) -> None:
    tokens = ours.processor.tokenizer
    ours.configure(DecoderSettings(language="german", task="translate"))
    written = tokens.decode(ours.labels(["hi"])[0])
    assert written == "<|startoftranscript|><|de|><|translate|><|notimestamps|> hi<|endoftext|>"
    english = load_recogniser(english_folder, device="cpu")
    written = tokens.decode(ours.processor.tokenizer.encode(" hi", add_special_tokens=False))
    assert english.processor.tokenizer.decode(english.labels(["hi"])[0]) == (
        "<|startoftranscript|><|notimestamps|> hi<|endoftext|>"
    )


def test_wrong_languages_are_refused_in_a_sentence(ours: Recogniser, english_folder: Path) -> None:
    with pytest.raises(UsageError, match=r"'xx' is unknown .* one of de, en, ha"):
        ours.configure(DecoderSettings(language="xx"))
    english = load_recogniser(english_folder, device="cpu")
    with pytest.raises(UsageError, match=r"is English-only .* without \.en"):
        english.configure(DecoderSettings(language="de"))
    with pytest.raises(UsageError, match="cannot translate"):
        english.configure(DecoderSettings(task="translate"))
    english.configure(DecoderSettings(language="en"))


def test_the_default_strategy_trains_the_decoder_on_the_frozen_encoder(
    ours: Recogniser, waves: list[np.ndarray]
) -> None:
    from asr_adapt.training.learning.strategies import trainable_stages
    from asr_adapt.training.recipe.schema import Strategy

    stack = ours.stack
    stack.freeze_except(trainable_stages(stack, Strategy()))
    learning = stack.trainable_names()
    assert not any(name.startswith("model.encoder") for name in learning)
    assert sum(".layers.2." in name for name in learning) and sum(".layers.0." in name for name in learning)
    assert stack.boundary == stack.prefix_limit
    stack.set_modes()
    with torch.no_grad():
        hidden = ours.encode(ours.inputs(waves), stack.boundary)
    mask = SpecAugment(0.1, 8, 0.1, 4, [1, 2, 3])
    ours.losses(hidden, stack.boundary, ours.labels(TEXTS), mask).sum().backward()
    for name, parameter in ours.model.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, name


def test_encoder_positions_never_learn(ours: Recogniser) -> None:
    ours.stack.freeze_except(range(len(ours.stack)))
    assert ours.stack.boundary == 0
    assert "model.encoder.embed_positions.weight" not in ours.stack.trainable_names()


def test_the_context_varies_with_the_seed_in_training_only(ours: Recogniser, waves: list[np.ndarray]) -> None:
    ours.configure(DecoderSettings(context="dynamic"))
    plain = ours.inputs(waves).lengths.tolist()
    assert plain == [256, 192, 288]
    drawn = {tuple(ours.inputs(waves, seeds=[s, s + 1, s + 2]).lengths.tolist()) for s in range(20)}
    assert len(drawn) > 5
    assert ours.inputs(waves, seeds=[1, 2, 3]).lengths[1] == ours.inputs(waves[1:2], seeds=[2]).lengths[0]


def test_language_and_task_are_saved_for_the_plain_pipeline(ours: Recogniser, tmp_path: Path) -> None:
    ours.configure(DecoderSettings(language="ha"))
    ours.save(tmp_path / "saved")
    saved = t.GenerationConfig.from_pretrained(tmp_path / "saved")
    assert (saved.language, saved.task) == ("<|ha|>", "transcribe")
    again = load_recogniser(tmp_path / "saved", device="cpu")
    assert again.labels(["a"]) == ours.labels(["a"])


def test_limits_are_those_of_the_network(ours: Recogniser) -> None:
    limits = ours.limits()
    assert (limits.max_seconds, limits.max_labels) == (30.0, 448)
    assert limits.count_labels is not None and limits.count_labels("abc") == 4 + 4 + 1


def test_a_model_without_timestamps_says_so(ours: Recogniser) -> None:
    with pytest.raises(UsageError, match="full or dynamic"):
        ours.configure(DecoderSettings(context="half"))
    with pytest.raises(ModelError, match="no decoder"):
        Recogniser.configure(ours, DecoderSettings(context="dynamic"))


def test_an_unlisted_language_gets_a_token_that_plain_transformers_takes(
    folder: Path, waves: list[np.ndarray], tmp_path: Path
) -> None:
    ours = load_recogniser(folder, device="cpu")
    ours.set_search(Search(hallucination_checks=False))
    before = ours.transcribe(waves, language="ha")
    ours.configure(DecoderSettings(language="pcm", language_from="ha"))
    assert [h.text for h in ours.transcribe(waves)] == [h.text for h in before]
    ours.save(tmp_path / "saved")
    again = load_recogniser(tmp_path / "saved", device="cpu")
    again.set_search(Search(hallucination_checks=False))
    assert "<|pcm|>" in again.processor.tokenizer.decode(again.labels(["a"])[0])
    assert [h.text for h in again.transcribe(waves)] == [h.text for h in before]
    pipe = t.pipeline("automatic-speech-recognition", model=str(tmp_path / "saved"), device="cpu")
    text = pipe(waves[0].copy(), generate_kwargs={"num_beams": 1})["text"].strip()
    assert text == before[0].text


def test_a_share_of_the_targets_has_timestamps(ours: Recogniser) -> None:
    ours.configure(DecoderSettings(timestamps_share=0.5))
    texts = [f"row {i}" for i in range(200)]
    written = [
        ours.processor.tokenizer.decode(ids, decode_with_timestamps=True)
        for ids in ours.labels(texts, [1.5] * 200)
    ]
    timed = [text for text in written if "<|notimestamps|>" not in text]
    assert 70 < len(timed) < 130
    assert all(t.endswith("<|1.50|><|endoftext|>") and "<|transcribe|><|0.00|> row" in t for t in timed)


def test_a_window_has_times_around_each_text_and_what_was_said_before(ours: Recogniser) -> None:
    ours.configure(DecoderSettings(timestamps_share=1.0, previous_text_share=1.0))
    segments = [TimedText("one two", 0.0, 1.5), TimedText("three", 2.25, 4.0)]
    ids = ours.window_labels(segments, "zero")
    told = ours.processor.tokenizer.decode(ids, decode_with_timestamps=True)
    assert told.startswith("<|startofprev|> zero<|startoftranscript|>")
    assert told.endswith("<|0.00|> one two<|1.50|><|2.24|> three<|4.00|><|endoftext|>")
    given, wanted = ours._padded([ids, ours.labels(["x"])[0]])
    start = ids.index(ours.tokens.start)
    assert set(wanted[0, :start].tolist()) == {-100} and wanted[0, start:].tolist() == ids[start + 1 :]
    assert given[0].tolist() == ids[:-1]
    long = ours.window_labels(segments, "word " * 1000)
    assert len(long) <= ours.positions and long[-len(ids) + start :] == ids[start:]


def test_text_before_is_context_by_default_for_deep_decoders_and_those_that_learnt_it(
    ours: Recogniser,
) -> None:
    assert not ours.capabilities.previous_text
    deep = copy.deepcopy(ours.model.config)
    deep.decoder_layers = 6
    tokens = WhisperTokens(ours.processor.tokenizer, ours.model.generation_config, deep, "deep")
    assert tokens.follows_text
    for share in (0.0, 0.5):
        ours.configure(DecoderSettings(previous_text_share=share))
        ours.has_learnt(["model.encoder.layers.0.fc1.weight"])
        assert tokens.follows_text, "what the encoder learns changes nothing"
    for share in (0.5, 0.0):
        ours.configure(DecoderSettings(previous_text_share=share))
        ours.has_learnt(["model.decoder.layers.0.fc1.weight"])
        assert ours.capabilities.previous_text is tokens.follows_text is bool(share)


def test_a_prompt_is_given_but_not_learnt(ours: Recogniser, folder: Path, waves: list[np.ndarray]) -> None:
    ours.configure(DecoderSettings(previous_text_share=1.0))
    ids = ours.window_labels([TimedText("one two", 0.0, 1.5)], "zero")
    reference = t.WhisperForConditionalGeneration.from_pretrained(folder).eval()
    features = t.WhisperFeatureExtractor()(waves[0], sampling_rate=16_000, return_tensors="pt").input_features
    wanted = torch.tensor([ids[1:]])
    wanted[0, : ids.index(ours.tokens.start)] = -100
    with torch.no_grad():
        told = reference(features, decoder_input_ids=torch.tensor([ids[:-1]]), labels=wanted)
        got = ours.losses(ours.inputs(waves[:1]), 0, [ids])
    torch.testing.assert_close(got[0], told.loss * (wanted >= 0).sum(), rtol=1e-4, atol=1e-4)


def test_too_long_audio_and_mixed_up_tokenisers_are_refused(
    ours: Recogniser, folder: Path, english_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=r"hears 30 s at a time, not 30\.1 s"):
        ours.inputs([np.zeros(481_600, np.float32)])
    mixed = t.WhisperForConditionalGeneration.from_pretrained(folder)
    mixed.save_pretrained(tmp_path / "mixed")
    t.AutoProcessor.from_pretrained(english_folder).save_pretrained(tmp_path / "mixed")
    with pytest.raises(ModelError, match=r"one is of an English-only \(\.en\)"):
        load_recogniser(tmp_path / "mixed", device="cpu")
