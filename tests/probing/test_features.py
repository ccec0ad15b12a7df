"""Pooled features: only valid frames count, whatever the batch; stages by name; a fingerprint of weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from asr_adapt.errors import DataError, UsageError
from asr_adapt.manifest import Manifest, Utterance
from asr_adapt.models import Recogniser, load_recogniser
from asr_adapt.probing import features as module
from asr_adapt.probing.features import choose_stages, fingerprint, pooled_features
from tests.models.architectures import ARCHITECTURES, save_tiny
from tests.models.whisper_models import save_tiny_whisper


@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_every_stage_of_every_architecture_gives_what_encode_gives(name: str, tmp_path: Path) -> None:
    recogniser = load_recogniser(save_tiny(name, tmp_path / "model"), device="cpu")
    wave = np.random.default_rng(0).normal(0, 0.1, 12_000).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", wave, 16_000, subtype="FLOAT")
    stages = choose_stages(recogniser.stack, ["all", "head"])
    found = pooled_features(recogniser, [Utterance("a.wav", root=tmp_path)], stages)
    assert list(found)[-1] == "head" and len(found) >= 5
    for stage in stages:
        with torch.inference_mode():
            hidden = recogniser.encode(recogniser.inputs([wave]), stage + 1)
        want = hidden.states[0, : int(hidden.lengths[0])].mean(0).numpy()
        np.testing.assert_allclose(found[recogniser.stack.stages[stage].name][0], want, rtol=1e-4, atol=1e-5)


def test_a_whisper_model_is_probed_in_its_encoder_and_on_the_clip_alone(tmp_path: Path) -> None:
    recogniser = load_recogniser(save_tiny_whisper(tmp_path / "model"), device="cpu")
    wave = np.random.default_rng(0).normal(0, 0.1, 16_000).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", wave, 16_000, subtype="FLOAT")
    stages = choose_stages(recogniser.stack, ["all"])
    assert [recogniser.stack.stages[number].name for number in stages][-1] == "encoder_norm"
    found = pooled_features(recogniser, [Utterance("a.wav", root=tmp_path)], stages)
    with torch.inference_mode():
        hidden = recogniser.encode(recogniser.inputs([wave]), stages[-1] + 1)
    assert hidden.lengths[0] > 50
    want = hidden.states[0, :50].mean(0).numpy()  # one second
    np.testing.assert_allclose(found["encoder_norm"][0], want, rtol=1e-4, atol=1e-5)
    with pytest.raises(UsageError, match="head needs the transcript"):
        choose_stages(recogniser.stack, ["head"])


@pytest.mark.parametrize("pool", module.POOLS)
def test_features_of_a_row_do_not_depend_on_the_others(
    pool: str, tiny: Recogniser, keywords: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = list(Manifest.open(keywords))
    stages = choose_stages(tiny.stack, ["all"])
    together = pooled_features(tiny, rows, stages, pool)
    monkeypatch.setattr(module, "BATCH_SECONDS", 0.1)
    alone = pooled_features(tiny, rows, stages, pool)
    for name in together:
        np.testing.assert_allclose(together[name], alone[name], rtol=1e-3, atol=1e-4)
    assert together["layer_2"].shape == (len(rows), 32 if pool == "mean" else 64)


def test_a_long_row_is_pooled_over_its_windows(tiny: Recogniser, tmp_path: Path) -> None:
    wave = np.random.default_rng(0).normal(0, 0.1, 3 * 16_000).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", wave, 16_000, subtype="FLOAT")
    rows = [Utterance("a.wav", root=tmp_path)]
    stages = choose_stages(tiny.stack, ["feature_encoder"])
    whole = pooled_features(tiny, rows, stages)["feature_encoder"]
    tiny.window_seconds = 1.0
    try:
        cut = pooled_features(tiny, rows, stages)["feature_encoder"]
    finally:
        tiny.window_seconds = type(tiny).window_seconds
    np.testing.assert_allclose(whole, cut, atol=0.02)
    assert not np.array_equal(whole, cut)


def test_stages_are_named_or_numbered(tiny: Recogniser) -> None:
    names = [stage.name for stage in tiny.stack.stages]
    assert choose_stages(tiny.stack, ["1", "layer_0", "head"]) == [
        names.index(name) for name in ("layer_0", "layer_1", "head")
    ]
    assert "head" not in [names[number] for number in choose_stages(tiny.stack, ["all"])]
    with pytest.raises(UsageError, match="no layer '7': choose all, a number, or feature_encoder"):
        choose_stages(tiny.stack, ["7"])


def test_a_fingerprint_covers_what_lies_below_and_nothing_above(tiny_model: Path) -> None:
    recogniser = load_recogniser(tiny_model, device="cpu")
    number = recogniser.stack.layers[1]
    before = fingerprint(recogniser, number)
    with torch.no_grad():
        next(iter(recogniser.stack.parameters_of(recogniser.stack.layers[2])))[1].add_(1.0)
    assert fingerprint(recogniser, number) == before
    with torch.no_grad():
        next(iter(recogniser.stack.parameters_of(recogniser.stack.layers[0])))[1].add_(1.0)
    assert fingerprint(recogniser, number) != before


def test_audio_that_cannot_be_read_is_named(tiny: Recogniser, tmp_path: Path) -> None:
    (tmp_path / "bad.wav").write_bytes(b"RIFF")
    row = Utterance("bad.wav", root=tmp_path, source="m.jsonl", line=7)
    with pytest.raises(DataError, match=r"m\.jsonl:7: audio_filepath"):
        pooled_features(tiny, [row], [0])
