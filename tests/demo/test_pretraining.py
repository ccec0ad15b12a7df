"""How the bundled Whisper is made: its vocabulary, the auxiliary CTC loss, the stages and the card."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import WhisperForConditionalGeneration

from asr_adapt.demo.sentences import sentences
from asr_adapt.models import load_recogniser
from asr_adapt.models.contract import DecoderSettings
from asr_adapt.scoring import wer_with_interval
from asr_adapt.training import build_recipe
from tests.models.whisper_models import save_tiny_whisper

SCRIPTS = Path(__file__).resolve().parents[2] / "pretraining"


@pytest.fixture(scope="module", autouse=True)
def scripts():
    sys.path.insert(0, str(SCRIPTS))
    yield
    sys.path.remove(str(SCRIPTS))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return save_tiny_whisper(tmp_path_factory.mktemp("whisper") / "tiny")


def _joint(folder, share=0.5, wide=0.0):
    from joint_ctc import JointRecogniser

    recogniser = JointRecogniser(load_recogniser(folder, device="cpu"), share=share, wide=wide, seed=1)
    recogniser.configure(DecoderSettings(context="dynamic"))
    recogniser.stack.freeze_except(range(len(recogniser.stack)))
    return recogniser


def _sounds():
    random = np.random.default_rng(0)
    return [random.normal(0, 0.1, size).astype(np.float32) for size in (16_000, 24_000)]


def test_the_vocabulary_spells_anything_and_knows_whispers_tokens():
    from whisper_start import TEXT_TOKENS, train_tokenizer

    words = train_tokenizer(text.lower() for text in sentences(300, 1, part="train", domain="home"))
    text = " turn on the lights in Zürich at 7"
    ids = words(text, add_special_tokens=False).input_ids
    assert words.decode(ids) == text
    assert max(ids) < TEXT_TOKENS
    assert words.convert_tokens_to_ids("<|endoftext|>") == TEXT_TOKENS
    assert words.convert_tokens_to_ids("<|30.00|>") == len(words) - 1
    prefix = words.convert_ids_to_tokens(words.prefix_tokens)
    assert prefix == ["<|startoftranscript|>", "<|en|>", "<|transcribe|>", "<|notimestamps|>"]


def test_the_joint_loss_is_the_weighted_sum_of_both(tiny):
    labels, sounds = [], _sounds()
    found = {}
    for share in (0.0, 0.5, 1.0):
        recogniser = _joint(tiny, share)
        labels = recogniser.labels(["on", "turn off"])
        with torch.no_grad():
            found[share] = recogniser.losses(recogniser.inputs(sounds), 0, labels)
    assert torch.allclose(found[0.5], (found[0.0] + found[1.0]) / 2, atol=1e-3)
    plain = load_recogniser(tiny, device="cpu")
    plain.configure(DecoderSettings(context="dynamic"))
    with torch.no_grad():
        assert torch.allclose(found[0.0], plain.losses(plain.inputs(sounds), 0, labels), atol=1e-4)


def test_the_auxiliary_head_learns_with_the_stack_and_stays_out_of_the_model(tiny, tmp_path):
    recogniser = _joint(tiny)
    labels = recogniser.labels(["on", "off"])
    recogniser.losses(recogniser.inputs(_sounds()), 0, labels).sum().backward()
    assert recogniser.head.weight.grad.abs().sum() > 0
    head = recogniser.head.weight.detach().clone()
    recogniser.save(tmp_path)
    assert not [name for name in load_file(tmp_path / "model.safetensors") if "ctc" in name]
    _, report = WhisperForConditionalGeneration.from_pretrained(tmp_path, output_loading_info=True)
    assert not report["unexpected_keys"]
    assert torch.equal(_joint(tmp_path).head.weight, head)


def test_wide_windows_hear_more_than_the_clip_and_only_in_training(tiny):
    recogniser = _joint(tiny, wide=1.0)
    sounds = _sounds()
    usual = recogniser.inputs(sounds).lengths.max()
    widths = {int(recogniser.inputs(sounds, seeds=[seed, 0]).lengths.max()) for seed in range(8)}
    assert len(widths) > 2
    assert max(widths) <= recogniser.mels.most_frames
    assert max(widths) > 2 * usual
    assert int(recogniser.inputs(sounds).lengths.max()) == usual


def test_diagonality_tells_attention_that_moves_from_attention_that_does_not():
    from joint_ctc import _correlation

    numbers = torch.arange(6.0)
    assert _correlation(numbers, 20 + 3 * numbers) == pytest.approx(1.0)
    assert _correlation(numbers, torch.full((6,), 30.0)) == 0.0


def test_every_stage_is_a_valid_recipe_and_the_shares_make_a_whole(tmp_path):
    from base_stages import WHISPER_STAGES, whisper_recipe
    from pretrain_base import _parse

    for name in ("dev_home", "dev_us", "."):
        (tmp_path / name).mkdir(exist_ok=True)
        rows = '{"audio_filepath": "a.wav", "duration": 2.0, "text": "on"}\n' * 3
        (tmp_path / name / "manifest.jsonl").write_text(rows, encoding="utf-8")
    options: argparse.Namespace = _parse(["--corpus", str(tmp_path), "--output", "x", "--steps", "1000"])
    recipes = [build_recipe(whisper_recipe(options, stage, Path("start"))) for stage in WHISPER_STAGES]
    assert sum(recipe.schedule.steps for recipe in recipes) == 1000
    assert [recipe.decoder.context for recipe in recipes] == ["dynamic", "dynamic"]
    assert recipes[0].train != recipes[1].train


def test_the_card_states_both_domains():
    from base_cards import CARDS, Figure, card

    said, heard = ["turn on the light"] * 4, ["turn on the light"] * 3 + ["turn of the light"]
    figures = [Figure(title, 4, wer_with_interval(said, heard)) for title in CARDS["whisper"][2].values()]
    text = card("nano-whisper", "whisper", {"parameters": 7_560_000, "hours": 14.7}, figures)
    assert "(7.6 M parameters, Whisper" in text
    assert "| home domain, synthetic US English | 4 | 6.2% |" in text
    assert "| open domain (4,893 word forms), synthetic US English | 4 | 6.2% |" in text
