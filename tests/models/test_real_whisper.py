"""The real whisper-tiny.en: as it comes, out to CTranslate2 and back, and against faster-whisper."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from asr_adapt.audio import read_audio
from asr_adapt.cli.app import run
from asr_adapt.models import Search, WhisperRecogniser, load_recogniser
from asr_adapt.models.fetching import import_model
from asr_adapt.models.importing import read_tokenizer_json
from asr_adapt.models.importing.vocabulary_sources import derived_merges

from .foreign_models import ranked_pieces

pytestmark = pytest.mark.pretrained
WINDOW = 480_000


@pytest.fixture(scope="module")
def exported(whisper_tiny_en: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model as faster-whisper loads it, in float16, by the command line."""
    pytest.importorskip("ctranslate2")
    folder = tmp_path_factory.mktemp("real") / "ct2"
    asked = ["--to", "ctranslate2", "--quantisation", "float16", "--output", str(folder)]
    assert run(["export", str(whisper_tiny_en), *asked]) == 0
    return folder


@pytest.fixture(scope="module")
def back(exported: Path) -> Path:
    """The export, imported again."""
    import_model(exported, exported.with_name("back"))
    return exported.with_name("back")


@pytest.fixture(scope="module")
def clips(real_data: Path) -> list[np.ndarray]:
    """Five read sentences, the first of which is known."""
    rows = [json.loads(line) for line in (real_data / "kathleen/manifest.jsonl").read_text().splitlines()]
    return [read_audio(real_data / "kathleen" / row["audio_filepath"]) for row in rows[:500:100]]


def test_it_is_the_model_of_that_name(whisper_tiny_en: Path) -> None:
    config = json.loads((whisper_tiny_en / "config.json").read_text())
    sizes = {"d_model": 384, "encoder_layers": 4, "decoder_layers": 4, "vocab_size": 51_864}
    assert {name: config[name] for name in sizes} == sizes
    recogniser = load_recogniser(whisper_tiny_en, device="cpu")
    assert isinstance(recogniser, WhisperRecogniser)
    tokens, generation = recogniser.tokens, recogniser.model.generation_config
    assert (tokens.start, tokens.end, tokens.no_timestamps, tokens.first_timestamp) == (
        50257,
        50256,
        50362,
        50363,
    )
    assert not tokens.multilingual and generation.max_length == 448
    assert generation.begin_suppress_tokens == [220, 50256] and len(generation.suppress_tokens) > 80
    assert generation.alignment_heads[0] == [1, 0] and len(generation.alignment_heads) == 8
    words = recogniser.processor.tokenizer
    assert words(" Hello, world.", add_special_tokens=False).input_ids == [18435, 11, 995, 13]


def test_out_to_ctranslate2_and_back_are_the_same_bits(whisper_tiny_en: Path, back: Path) -> None:
    wanted, found = (load_file(folder / "model.safetensors") for folder in (whisper_tiny_en, back))
    assert found.keys() == wanted.keys()
    for name, tensor in wanted.items():
        assert found[name].dtype == torch.float16
        assert torch.equal(found[name].view(torch.int16), tensor.half().view(torch.int16)), name
    first, second = (
        json.loads((folder / "tokenizer.json").read_text()) for folder in (whisper_tiny_en, back)
    )
    assert second["model"]["vocab"] == first["model"]["vocab"] and len(second["model"]["merges"]) == 50_000


def test_the_ranks_of_the_pieces_tell_openais_merges(whisper_tiny_en: Path) -> None:
    derived = derived_merges(ranked_pieces(whisper_tiny_en), whisper_tiny_en)
    listed = read_tokenizer_json(whisper_tiny_en / "tokenizer.json", False).merges
    assert len(listed) == 50_000 and derived == listed


@pytest.mark.realdata
def test_the_imported_model_says_what_faster_whisper_says(
    exported: Path, back: Path, clips: list[np.ndarray]
) -> None:
    """Greedy, token by token, on clips filled with silence: faster-whisper fills short ones otherwise."""
    faster = pytest.importorskip("faster_whisper")
    recogniser = load_recogniser(back, device="cpu", compute_type="float32")
    assert isinstance(recogniser, WhisperRecogniser)
    recogniser.set_search(Search(hallucination_checks=False))
    other = faster.WhisperModel(str(exported), device="cpu", compute_type="float32", cpu_threads=1)
    for number, clip in enumerate(clips):
        filled = np.pad(clip, (0, WINDOW - len(clip)))
        segments, _ = other.transcribe(
            filled, language="en", beam_size=1, temperature=0.0, without_timestamps=True,
            no_speech_threshold=None, compression_ratio_threshold=None, log_prob_threshold=None,
            suppress_tokens=recogniser.model.generation_config.suppress_tokens,
        )  # fmt: skip
        theirs = [token for segment in segments for token in segment.tokens]
        with torch.inference_mode():
            ours = recogniser.speak(recogniser.heard([filled]), None, [30.0])[0].ids
        assert list(ours) == theirs and len(theirs) > 3
        if number == 0:
            text = recogniser.processor.tokenizer.decode(ours)
            assert text.strip().lower().startswith("author of the danger trail")
