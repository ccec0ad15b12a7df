"""``decoder.timestamps_share``: a Whisper tuned with some timed targets says times, one without does not."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from asr_adapt import Decoding, transcribe
from asr_adapt.audio import read_audio
from asr_adapt.manifest import Manifest, write_manifest
from asr_adapt.models import WhisperRecogniser, load_recogniser
from asr_adapt.models.attention.whisper.windows import WhisperWindows
from asr_adapt.models.search.generation import EncoderOutput, Rules, speak
from asr_adapt.training import adapt, build_recipe
from tests.models.whisper_models import save_tiny_whisper
from tests.training.conftest import quick_tree


def save_learner(folder: Path) -> Path:
    """A tiny Whisper that hears 6 s, learns soon and may say timestamps and a leading space."""
    base = save_tiny_whisper(folder, most=40)
    settings = transformers.GenerationConfig.from_pretrained(base)
    first = settings.no_timestamps_token_id + 1
    settings.suppress_tokens = [token for token in settings.suppress_tokens if token < first]
    settings.begin_suppress_tokens = [settings.eos_token_id]
    torch.manual_seed(0)
    config = transformers.WhisperConfig.from_pretrained(base)
    config.max_source_positions = 300
    model = transformers.WhisperForConditionalGeneration(config)
    model.generation_config = settings
    model.save_pretrained(base)
    words = transformers.WhisperTokenizer.from_pretrained(base)
    extractor = transformers.WhisperFeatureExtractor(chunk_length=6)
    transformers.WhisperProcessor(extractor, words).save_pretrained(base)
    return base


@pytest.fixture(scope="module")
def four(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four rows, by heart."""
    path = tmp_path_factory.mktemp("four") / "rows.jsonl"
    write_manifest(path, itertools.islice(Manifest.open(corpus / "train.jsonl"), 4))
    return path


@pytest.fixture(scope="module")
def tuned(corpus: Path, four: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[float, Path]:
    """The same base after the same steps, by share of timed rows."""
    folder = tmp_path_factory.mktemp("timestamps")
    base = save_learner(folder / "tiny")
    for share in (0.0, 0.5):
        tree: dict[str, Any] = quick_tree(corpus, base, decoder={"timestamps_share": share}, labels="plain")
        tree |= {"train": str(four), "dev": str(four), "optimiser": {"learning_rate": 4e-3}}
        tree |= {"schedule": {"steps": 150}, "evaluation": {"every": 75, "rows": 4}}
        tree |= {"batch": {"seconds": 28}}  # four rows of the model's window, each 6.08 + 6.08²/60 s
        tree |= {"cache": {"mode": "on", "folder": str(folder / "store")}}
        adapt(build_recipe(tree), folder / str(share), quiet=True)
    return {share: folder / str(share) for share in (0.0, 0.5)}


@torch.inference_mode()
def timed(folder: Path, clip: np.ndarray) -> list[str]:
    """What the decoder says when only <|notimestamps|> is forbidden; no timestamp is forced upon it."""
    ours = load_recogniser(folder, device="cpu")
    assert isinstance(ours, WhisperRecogniser) and ours.tokens.no_timestamps is not None
    prefix = torch.tensor([ours.tokens.prefix(None, "transcribe", timestamps=True)])
    rules = Rules(ours.end, 44, never=(ours.tokens.no_timestamps,))
    said = speak(ours.network, EncoderOutput(ours.heard([clip]).states, None, prefix), rules)
    return ours.processor.tokenizer.convert_ids_to_tokens(list(said[0].ids))


def test_timestamps_are_said_after_training_with_a_share_of_them(
    tuned: dict[float, Path], four: Path
) -> None:
    rows = list(Manifest.open(four))
    ends = {f"<|{row.duration:.2f}|>" for row in rows}
    for row in rows:
        clip = read_audio(row.audio_path)
        with_share, without = (timed(tuned[share], clip) for share in (0.5, 0.0))
        assert with_share[0] == "<|0.00|>" and with_share[-1] in ends and len(with_share) > 4
        assert not any(token.endswith("0|>") or token in ends for token in without)


def test_the_plain_pipeline_gives_the_times(tuned: dict[float, Path], four: Path) -> None:
    pipe = transformers.pipeline("automatic-speech-recognition", model=str(tuned[0.5]), device="cpu")
    durations = [row.duration for row in Manifest.open(four)]
    for row in Manifest.open(four):
        found = pipe(read_audio(row.audio_path), return_timestamps=True, generate_kwargs={"num_beams": 1})
        start, end = found["chunks"][-1]["timestamp"]
        assert start == 0.0 and end == pytest.approx(row.duration, abs=max(durations) - min(durations) + 0.02)


#: Every window is heard, as plain transformers would.
PLAIN = Decoding(segmenter="windows", hallucination_checks=False)


def test_transcribe_asks_for_the_timestamps_that_the_model_says(
    tuned: dict[float, Path], four: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clip = next(iter(Manifest.open(four))).audio_path
    for share, says in ((0.5, True), (0.0, False)):
        saved = transformers.GenerationConfig.from_pretrained(tuned[share])
        assert saved.says_timestamps is says
        assert WhisperWindows(load_recogniser(tuned[share], device="cpu")).timed is says
        caplog.clear()
        said = transcribe(clip, model=tuned[share], device="cpu", decoding=PLAIN)
        assert said.text and not any(seg.text.startswith("<|") for seg in said.segments)
        assert ("says no timestamps" in caplog.text) is not says
    base = transformers.GenerationConfig.from_pretrained(tuned[0.0].parent / "tiny")
    assert not hasattr(base, "says_timestamps"), "untouched models are asked, as ever"
