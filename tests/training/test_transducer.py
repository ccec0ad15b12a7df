"""Parakeet-TDT adapted end to end: the one loop, saved, loaded, heard by the plain pipeline."""

from __future__ import annotations

import json
from pathlib import Path

import torch
import transformers

from asr_adapt.models import load_recogniser
from asr_adapt.training import adapt, build_recipe
from tests.models.tiny_tdt import save_tiny_tdt
from tests.training.conftest import quick_tree


def test_train_save_reload_transcribe_and_plain_pipeline(corpus: Path, tmp_path: Path) -> None:
    base = save_tiny_tdt(tmp_path / "base")
    tree = quick_tree(
        corpus,
        base,
        strategy={"top_layers": 1},
        optimiser={"learning_rate": 2e-2},
        schedule={"steps": 30, "kind": "constant"},
        evaluation={"every": 15, "rows": 2},
    )
    adapt(build_recipe(tree), tmp_path / "out", quiet=True)
    lines = [json.loads(line) for line in (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if "loss" in line]
    assert losses[-1] < 0.6 * losses[0]
    again = load_recogniser(tmp_path / "out", device="cpu")
    before = load_recogniser(base, device="cpu").model.state_dict()
    changed = {name for name, weights in again.model.state_dict().items() if not weights.equal(before[name])}
    learnt = ("encoder.layers.2.", "encoder_projector.", "decoder.", "joint.")
    assert changed and all(name.startswith(learnt) for name in changed)
    assert not any("running" in name for name in changed)  # the statistics are the pretrained ones
    wave = 0.1 * torch.randn(16_000, generator=torch.Generator().manual_seed(0)).numpy()
    pipe = transformers.pipeline("automatic-speech-recognition", model=str(tmp_path / "out"), device="cpu")
    assert again.transcribe([wave])[0].text == pipe(wave.copy())["text"].strip()
