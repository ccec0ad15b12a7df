"""Parakeet-CTC adapted end to end: the one loop, saved, loaded, heard by the plain pipeline."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import transformers

from asr_adapt.errors import ModelError
from asr_adapt.models import load_recogniser, set_vocabulary
from asr_adapt.models.contract import Dropout
from asr_adapt.training import adapt, build_recipe
from tests.models.architectures import save_tiny
from tests.training.conftest import quick_tree


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny("parakeet", tmp_path_factory.mktemp("parakeet") / "tiny")


def test_train_save_reload_transcribe_and_plain_pipeline(base: Path, corpus: Path, tmp_path: Path) -> None:
    tree = quick_tree(
        corpus,
        base,
        strategy={"top_layers": 1},
        optimiser={"learning_rate": 2e-2},
        schedule={"steps": 40, "kind": "constant"},
        evaluation={"every": 20, "rows": 2},
    )
    adapt(build_recipe(tree), tmp_path / "out", quiet=True)
    lines = [json.loads(line) for line in (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if "loss" in line]
    assert losses[-1] < losses[0]
    again = load_recogniser(tmp_path / "out", device="cpu")
    before = load_recogniser(base, device="cpu").model.state_dict()
    changed = {name for name, weights in again.model.state_dict().items() if not weights.equal(before[name])}
    assert changed and all(name.startswith(("encoder.layers.2.", "ctc_head.")) for name in changed)
    assert not any("running" in name for name in changed)  # the statistics are the pretrained ones
    wave = torch.randn(16_000, generator=torch.Generator().manual_seed(0)).numpy()
    pipe = transformers.pipeline("automatic-speech-recognition", model=str(tmp_path / "out"), device="cpu")
    assert again.transcribe([wave])[0].text == pipe(wave.copy())["text"]


def test_dropout_is_put_where_the_network_reads_it(base: Path) -> None:
    ours = load_recogniser(base, device="cpu")
    ours.set_dropout(Dropout(0.1, 0.2, 0.3, 0.4))
    layer = ours.model.encoder.layers[0]
    assert ours.model.encoder.dropout == 0.1 and layer.self_attn.attention_dropout == 0.2
    assert layer.feed_forward1.activation_dropout == layer.feed_forward2.activation_dropout == 0.3


def test_word_pieces_cannot_be_replaced_by_characters(base: Path) -> None:
    ours = load_recogniser(base, device="cpu")
    assert "'" in (ours.limits().vocabulary or ())
    with pytest.raises(ModelError, match="cannot be changed: use vocabulary keep"):
        set_vocabulary(ours, "abc", "replace")
