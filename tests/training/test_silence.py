"""Rows in which nobody speaks: drawn at their share, alone in their window, taught as "no speech"."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from asr_adapt.errors import DataError, RecipeError
from asr_adapt.manifest import Manifest, Utterance
from asr_adapt.models import load_recogniser
from asr_adapt.training import adapt, build_recipe
from asr_adapt.training.data.batches import BatchLimits, BatchPlan, Silent
from asr_adapt.training.data.corpus import Example, silent_rows
from asr_adapt.training.data.windows import Packing
from asr_adapt.training.measuring.wer import measure
from asr_adapt.training.prefix.estimate import expected_draws
from asr_adapt.training.preparing import silence_of
from tests.models.whisper_models import save_tiny_whisper
from tests.training.conftest import quick_tree


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_whisper(tmp_path_factory.mktemp("whisper") / "tiny", most=12)


@pytest.fixture
def whisper_tree(corpus: Path, base: Path) -> dict[str, Any]:
    return quick_tree(corpus, base, optimiser={"learning_rate": 2e-3})


def test_silent_rows_are_drawn_at_their_share_beside_replayed_ones() -> None:
    silent = Silent(np.full(7, 5.0), 0.1)
    plan = BatchPlan(
        np.full(400, 3.0), BatchLimits(60.0), seed=0, replay=np.full(50, 3.0), share=0.3, silent=silent
    )
    drawn = np.array([n for epoch in range(5) for batch in plan.epoch(epoch) for n in batch])
    shares = [np.mean(drawn < 400), np.mean((drawn >= 400) & (drawn < 450)), np.mean(drawn >= 450)]
    assert shares == pytest.approx([0.6, 0.3, 0.1], abs=0.03)
    assert {*range(400), *range(450, 457)} <= set(drawn.tolist()) <= set(range(457))
    assert plan.epoch(3) == plan.epoch(3)
    draws = expected_draws(plan, len(plan.epoch(0)))
    assert len(draws) == 457 and draws[:400] == pytest.approx(1.0)
    assert draws[450:].sum() == pytest.approx(400 / 6, rel=0.3)


def test_a_silent_clip_has_a_window_of_its_own() -> None:
    sounds = [Example(n, [0, n, 1], 1.0, np.full(100, n + 1, np.float32)) for n in range(12)]
    texts = ["" if n % 3 == 0 else f"w{n}" for n in range(12)]
    rows = [Utterance(f"{n}.wav", text=text, duration=1.0) for n, text in enumerate(texts)]
    windows = Packing(30.0, 100, lambda said, _: [0, len(said), 1], seed=1)(sounds, rows, 0)
    assert sorted(n for w in windows for n in (w.number, *w.others)) == list(range(12))
    for window in windows:
        members = (window.number, *window.others)
        assert len(members) == 1 or all(texts[n] for n in members)
    assert any(window.others for window in windows)


def test_a_row_without_text_teaches_whispers_token_for_no_speech(base: Path) -> None:
    ours = load_recogniser(base, device="cpu")
    ids: Any = ours.processor.tokenizer.get_vocab()
    labels = ours.labels(["", "ab"])
    given, wanted = ours._padded(labels)  # type: ignore[attr-defined]
    assert labels[0] == [*ours.prefix(None), ours.end]  # type: ignore[attr-defined]
    assert wanted[0, 0] == ids["<|nospeech|>"] and wanted[1, 0] == labels[1][1]
    assert given[0, : len(labels[0]) - 1].tolist() == labels[0][:-1]
    assert wanted[0, len(labels[0]) - 2] == ours.end


def test_every_bundled_sound_is_silent_and_can_be_learnt_from(base: Path) -> None:
    ours = load_recogniser(base, device="cpu")
    rows = silence_of(build_recipe({"train": "a", "dev": "b", "silence": {"share": 0.1}}), ours)
    found = silent_rows(rows, ours)
    assert len(found) == len(rows) >= 30
    lengths = [soundfile.info(row.audio_path).duration for row in rows]
    assert [row.duration for row in rows] == pytest.approx(lengths, abs=0.01) and max(lengths) < 30


def test_a_run_learns_silence_and_says_so_in_what_it_saves(
    base: Path, whisper_tree: dict[str, Any], tmp_path: Path
) -> None:
    ours = load_recogniser(base, device="cpu")
    ours.model.generation_config.begin_suppress_tokens = [3, ours.end]  # type: ignore[attr-defined]
    ours.save(tmp_path / "published")
    whisper_tree |= {"model": str(tmp_path / "published"), "silence": {"share": 0.2}}
    summary = adapt(build_recipe(whisper_tree), tmp_path / "out", quiet=True).summary()
    assert summary["steps"] > 0
    saved = json.loads((tmp_path / "out" / "generation_config.json").read_text())
    assert saved["begin_suppress_tokens"] == [3], "it may end before the first word"
    rows = Manifest.open(whisper_tree["dev"])
    again = load_recogniser(tmp_path / "out", device="cpu")
    assert measure(again, rows, "basic", 60.0).wer == summary["target"]["after"], "measured as it is saved"
    published = load_recogniser(tmp_path / "published", device="cpu")
    assert measure(published, rows, "basic", 60.0).wer == summary["target"]["before"]


def test_silence_that_cannot_be_learnt_is_refused(
    base: Path, whisper_tree: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(RecipeError, match=r"silence\.share: .*cannot learn from rows without speech"):
        adapt(build_recipe(whisper_tree | {"model": "nano-en", "silence": {"share": 0.1}}), tmp_path / "a")
    told = {"share": 0.1, "manifest": whisper_tree["train"]}
    with pytest.raises(DataError, match=r"train\.jsonl:1: text: .*somebody speaks here"):
        adapt(build_recipe(whisper_tree | {"silence": told}), tmp_path / "b")
