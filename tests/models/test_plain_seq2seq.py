"""Moonshine and Speech2Text: as transformers computes them, in any batch; what they cannot do is refused."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers as t

from asr_adapt.errors import MissingExtraError, ModelError, UsageError
from asr_adapt.models import DecoderSettings, Search, load_recogniser
from asr_adapt.models.attention.plain_seq2seq import PlainSeq2SeqRecogniser
from asr_adapt.models.attention.speech2text import Speech2TextRecogniser
from tests.models.plain_models import save_tiny_moonshine, save_tiny_speech2text

TEXTS = ["hello", "it is", "a longer line"]
SAVERS = {"moonshine": save_tiny_moonshine, "speech2text": save_tiny_speech2text}


@pytest.fixture(scope="module", params=sorted(SAVERS))
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return SAVERS[request.param](tmp_path_factory.mktemp("plain") / request.param)


@pytest.fixture
def ours(folder: Path) -> PlainSeq2SeqRecogniser:
    found = load_recogniser(folder, device="cpu")
    assert isinstance(found, PlainSeq2SeqRecogniser)
    return found


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_speech2text(tmp_path_factory.mktemp("plain") / "many", languages=True)


def plain_text(folder: Path, wave: np.ndarray) -> str:
    """What a plain pipeline writes, greedily."""
    pipe = t.pipeline("automatic-speech-recognition", model=str(folder), device="cpu")
    return pipe(wave.copy(), generate_kwargs={"num_beams": 1, "max_new_tokens": 11})["text"].strip()


def test_loss_equals_that_of_transformers_at_every_boundary(
    ours: PlainSeq2SeqRecogniser, folder: Path, waves: list[np.ndarray]
) -> None:
    labels = ours.labels(TEXTS)
    reference = t.AutoModelForSpeechSeq2Seq.from_pretrained(folder).eval()
    extractor = t.AutoFeatureExtractor.from_pretrained(folder)
    with torch.no_grad():
        losses = [
            ours.losses(ours.encode(ours.inputs(waves), b), b, labels)
            for b in range(ours.stack.prefix_limit + 1)
        ]
        for row, wave in enumerate(waves):
            own = torch.tensor([labels[row]])
            heard = extractor(wave, sampling_rate=16_000, return_tensors="pt")
            logits = reference(**heard, decoder_input_ids=own[:, :-1]).logits
            expected = torch.nn.functional.cross_entropy(logits[0], own[0, 1:], reduction="sum")
            for found in losses:
                torch.testing.assert_close(found[row], expected, rtol=1e-4, atol=1e-3)


def test_text_equals_that_of_the_plain_pipeline_in_any_batch(
    ours: PlainSeq2SeqRecogniser, folder: Path, waves: list[np.ndarray]
) -> None:
    ours.set_search(Search(hallucination_checks=False))
    for wave, heard in zip(waves, ours.transcribe(waves, words=True), strict=True):
        assert heard.text == ours.transcribe([wave])[0].text == plain_text(folder, wave)
        assert len(heard.text) > 3
        assert all(word.end <= len(wave) / 16_000 + 0.05 for word in heard.words)
        assert "".join(word.text for word in heard.words) == heard.text.replace(" ", "")


def test_features_equal_those_of_transformers_and_silence_is_a_number(
    many: Path, waves: list[np.ndarray]
) -> None:
    ours = load_recogniser(many, device="cpu")
    expected = t.Speech2TextFeatureExtractor()(waves, sampling_rate=16_000, padding=True, return_tensors="pt")
    found = ours.inputs(waves)
    torch.testing.assert_close(found.states, expected["input_features"], atol=1e-3, rtol=0)
    assert found.lengths.equal(expected["attention_mask"].sum(-1))
    for short in (np.zeros(16_000, np.float32), np.zeros(0, np.float32), waves[0][:300]):
        assert torch.isfinite(ours.inputs([short]).states).all()
        assert ours.transcribe([short])[0].confidence is not None


def test_a_language_is_saved_for_the_plain_pipeline(
    many: Path, waves: list[np.ndarray], tmp_path: Path
) -> None:
    ours = load_recogniser(many, device="cpu")
    assert isinstance(ours, Speech2TextRecogniser)
    ours.configure(DecoderSettings(language="fr-CA"))
    ours.save(tmp_path / "saved")
    again = load_recogniser(tmp_path / "saved", device="cpu")
    assert again.labels(["hello"])[0][:2] == [2, ours.languages["fr"]]
    for wave in waves:
        assert again.transcribe([wave])[0].text == plain_text(tmp_path / "saved", wave)
    with pytest.raises(UsageError, match=r"'ha' is unknown .* one of de, es, fr"):
        again.transcribe(waves, language="ha")


def test_pieces_are_written_in_their_own_case(many: Path) -> None:
    ours = load_recogniser(many, device="cpu")
    assert ours.labels(["HELLO"]) == ours.labels(["hello"])
    assert 3 not in ours.labels(["hello"])[0][2:-1]  # the unknown piece
    known = ours.limits().vocabulary
    assert known is not None and set("hello") <= known and "7" not in known


def test_without_its_tokeniser_package_one_sentence_says_so(
    many: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [p for p in sys.path if "site-packages" not in p])
    monkeypatch.delitem(sys.modules, "sentencepiece", raising=False)
    with pytest.raises(MissingExtraError, match=r"pip install 'asr-adapt\[speech2text\]'"):
        load_recogniser(many, device="cpu")


def test_a_prompt_is_refused_and_changes_nothing(
    ours: PlainSeq2SeqRecogniser, waves: list[np.ndarray]
) -> None:
    ours.set_search(Search(beams=2))
    before = ours.transcribe(waves)
    with pytest.raises(ModelError, match="cannot use a prompt: remove it"):
        ours.set_search(Search(prompt="Leith"))
    assert ours.search == Search(beams=2) and ours.transcribe(waves) == before


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        (DecoderSettings(language="de"), "writes one language and cannot write 'de'"),
        (DecoderSettings(task="translate"), "cannot use decoder.task"),
        (DecoderSettings(context="dynamic", timestamps_share=0.5), "context or decoder.timestamps_share"),
        (DecoderSettings(language="de", language_from="mean"), "decoder.language_from"),
    ],
)  # fmt: skip
def test_settings_that_the_family_does_not_know_are_refused(
    ours: PlainSeq2SeqRecogniser, waves: list[np.ndarray], asked: DecoderSettings, named: str
) -> None:
    with pytest.raises((ModelError, UsageError), match=named):
        ours.configure(asked)
    assert ours.settings == DecoderSettings()
    with pytest.raises(UsageError, match="cannot write 'de'"):
        ours.transcribe(waves, language="de")
