"""A Whisper adapted end to end: the one loop, the frozen encoder, saved settings, both contexts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from asr_adapt.errors import RecipeError
from asr_adapt.manifest import Manifest
from asr_adapt.models import DecoderSettings, Search, load_recogniser
from asr_adapt.training import adapt, build_recipe
from asr_adapt.training.measuring.wer import measure
from tests.models.whisper_models import save_tiny_whisper
from tests.training.conftest import quick_tree
from tests.training.test_prefix_cache import TOLERANCE, predicted


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_whisper(tmp_path_factory.mktemp("whisper") / "tiny", most=12)


@pytest.fixture
def whisper_tree(corpus: Path, base: Path) -> dict[str, Any]:
    smoothed = {"label_smoothing": 0.1}
    return quick_tree(corpus, base, optimiser={"learning_rate": 2e-3}, regularisation=smoothed)


def test_train_save_reload_transcribe_and_plain_pipeline(
    whisper_tree: dict[str, Any], base: Path, tmp_path: Path
) -> None:
    whisper_tree["decoder"] = {"language": "ha", "context": "dynamic", "timestamps_share": 0.3}
    adapt(build_recipe(whisper_tree), tmp_path / "out", quiet=True)
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    lines = [json.loads(line) for line in (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if "loss" in line]
    assert losses[-1] < losses[0]
    assert set(summary["context"]["wer"]) == {"full", "dynamic"}
    chosen = summary["context"]["chosen"]
    assert summary["context"]["wer"][chosen] == min(summary["context"]["wer"].values())
    again = load_recogniser(tmp_path / "out", device="cpu")
    before = dict(load_recogniser(base, device="cpu").model.named_parameters())
    for name, weights in again.model.named_parameters():
        assert name.startswith("model.decoder") or torch.equal(weights, before[name]), name
    again.configure(DecoderSettings())
    again.set_search(Search(hallucination_checks=False))
    assert "<|ha|>" in again.processor.tokenizer.decode(again.labels(["a"])[0])
    wave = torch.randn(16_000, generator=torch.Generator().manual_seed(0)).numpy()
    pipe = transformers.pipeline("automatic-speech-recognition", model=str(tmp_path / "out"), device="cpu")
    plain = pipe(wave.copy(), generate_kwargs={"num_beams": 1})["text"].strip()
    assert again.transcribe([wave])[0].text == plain


def test_the_base_is_measured_in_full_context_even_for_the_budget(
    whisper_tree: dict[str, Any], base: Path, tmp_path: Path
) -> None:
    whisper_tree |= {"decoder": {"context": "dynamic"}, "guard": whisper_tree["dev"]}
    whisper_tree["evaluation"] = {"every": 4}
    whisper_tree["retention"] = {"guard_budget": "1%", "points": 2}
    found = adapt(build_recipe(whisper_tree), tmp_path / "out", quiet=True).summary()
    rows = Manifest.open(whisper_tree["dev"])
    ours = load_recogniser(base, device="cpu")
    full = measure(ours, rows, "basic", 40.0)
    ours.configure(DecoderSettings(context="dynamic"))
    assert measure(ours, rows, "basic", 40.0).hypotheses != full.hypotheses, "or nothing is tested"
    first, retention = found["evaluations"][0], found["retention"]
    assert first["step"] == 0 and first["dev"] == first["guard"] == full.wer
    assert first["looped_rows"] == first["guard_looped_rows"] == sum(full.looped)
    assert found["target"]["before"] == found["guard"]["before"] == full.wer
    assert retention["points"][0]["guard"] == full.wer and retention["guard_limit"] == full.wer * 1.01
    chosen = found["context"]["chosen"]
    assert found["context"]["guard"][chosen] <= found["context"]["guard"]["full"]


@pytest.mark.parametrize(
    "changed",
    [
        {"strategy": "head"},
        {"strategy": {"name": "top_layers", "top_layers": 2}},
        {"strategy": {"name": "gradual", "gradual": {"every": 3}}},
        {"strategy": "lora"},
        {"strategy": {"name": "top_layers", "top_layers": 2}, "decoder": {"context": "dynamic"}},
    ],
    ids=["head", "decoder", "gradual", "lora", "decoder, trimmed context"],
)
def test_cached_and_uncached_runs_have_the_same_losses(
    whisper_tree: dict[str, Any], tmp_path: Path, changed: dict[str, Any]
) -> None:
    found = {}
    for mode in ("off", "on"):
        cache = {"mode": mode, "folder": str(tmp_path / "store")}
        batch = whisper_tree.get("batch", {}) | {"pack": False}
        recipe = build_recipe(whisper_tree | changed | {"cache": cache, "batch": batch})
        summary = adapt(recipe, tmp_path / mode, quiet=True).summary()
        assert any(part["pays"] for part in summary["prefix_cache"]) == (mode == "on")
        assert any(part["pays"] for part in summary["measured_prefix"]) == (mode == "on")
        lines = map(json.loads, (tmp_path / mode / "metrics.jsonl").read_text().splitlines())
        found[mode] = [line["loss"] for line in lines if line["kind"] == "step"]
    assert predicted(tmp_path / "on", "before") == predicted(tmp_path / "off", "before")
    assert len(found["on"]) == 8
    np.testing.assert_allclose(found["on"], found["off"], rtol=TOLERANCE)


def test_a_decoder_learns_with_a_little_silence_and_is_measured_with_all(
    whisper_tree: dict[str, Any], tmp_path: Path
) -> None:
    """The same rows are learnt and measured, in float32: their states must not be taken for each other."""
    rows = {"train": whisper_tree["dev"], "strategy": "head", "precision": "float32"}
    found = {}
    for name, silence in (("little", 1.28), ("all", None)):
        told = {
            "cache": {"mode": "on", "folder": str(tmp_path / "store")},
            "decoder": {"learnt_silence": silence},
        }
        recipe = build_recipe(whisper_tree | rows | told)
        found[name] = adapt(recipe, tmp_path / name, quiet=True).summary()
    kept = {name: summary["prefix_cache"][0]["gigabytes"] for name, summary in found.items()}
    assert kept["little"] < kept["all"] / 3
    measured = [sum(part["gigabytes"] for part in summary["measured_prefix"]) for summary in found.values()]
    assert measured[0] == measured[1]
    assert predicted(tmp_path / "little", "before") == predicted(tmp_path / "all", "before")
    losses = [
        [
            json.loads(line).get("loss")
            for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()
        ]
        for name in found
    ]
    assert losses[0] != losses[1]


def test_rows_that_are_hardly_drawn_are_not_computed_before(
    whisper_tree: dict[str, Any], tmp_path: Path
) -> None:
    changed = {"strategy": "head", "schedule": {"steps": 12}, "silence": {"share": 0.1}}
    changed |= {"batch": {"rows": 8, "seconds": 400.0}, "evaluation": {"every": 12}}
    found, losses = {}, {}
    for mode in ("off", "auto", "on"):
        cache = {"mode": mode, "folder": str(tmp_path / mode / "store")}
        recipe = build_recipe(whisper_tree | changed | {"cache": cache})
        found[mode] = adapt(recipe, tmp_path / mode / "run", quiet=True).summary()
        lines = map(json.loads, (tmp_path / mode / "run" / "metrics.jsonl").read_text().splitlines())
        losses[mode] = [line["loss"] for line in lines if line["kind"] == "step"]
    kept = {mode: summary["prefix_cache"][0] for mode, summary in found.items() if mode != "off"}
    assert kept["auto"]["pays"] and kept["on"]["pays"]
    assert kept["auto"]["gigabytes"] < kept["on"]["gigabytes"], "rows without speech are computed when drawn"
    np.testing.assert_allclose(losses["auto"], losses["off"], rtol=TOLERANCE)
    np.testing.assert_allclose(losses["on"], losses["off"], rtol=TOLERANCE)


def test_how_much_silence_is_learnt(base: Path) -> None:
    ours = load_recogniser(base, device="cpu")
    ours.configure(DecoderSettings(learnt_silence=1.28))
    samples, limit = [16_000, 40_000], ours.stack.prefix_limit
    waves = [np.ones(count, dtype=np.float32) for count in samples]
    with torch.no_grad():
        inputs = ours.inputs(waves)
        heard = ours.learnt_states(inputs, limit, samples)
        assert heard.lengths.tolist() == [50 + 64, 125 + 64]  # frames of 20 ms
        ours.use_context("silence")
        kept = ours.encode(inputs, limit).states
        torch.testing.assert_close(heard.states, kept[:, : 125 + 64])
        below = ours.learnt_states(inputs, limit - 1, samples)
        assert below.states.shape[1] == 1500, "an encoder that learns hears all"
        ours.configure(DecoderSettings(learnt_silence=None))
        whole = ours.learnt_states(inputs, limit, samples)
        torch.testing.assert_close(whole.states, ours.encode(inputs, limit).states)


def test_top_layers_reach_from_the_decoder_into_the_encoder(base: Path) -> None:
    from asr_adapt.training.learning.strategies import trainable_stages
    from asr_adapt.training.recipe.schema import Strategy

    stack = load_recogniser(base, device="cpu").stack
    names = [stack.stages[i].name for i in trainable_stages(stack, Strategy(top_layers=4))]
    assert names == [
        "encoder_1", "encoder_norm", "decoder_0", "decoder_1", "decoder_2", "decoder_norm", "head"
    ]  # fmt: skip
    full = Strategy(name="full", feature_encoder=True)
    assert len(trainable_stages(stack, full)) == len(stack)


def test_rows_that_whisper_cannot_hear_are_named(
    whisper_tree: dict[str, Any], corpus: Path, tmp_path: Path
) -> None:
    rows = [json.loads(line) for line in (corpus / "train.jsonl").read_text().splitlines()]
    for change, words in (({"duration": 31.0}, "31.0 s of audio"), ({"text": "ab " * 200}, "605 labels")):
        broken = [{**row, "audio_filepath": str(corpus / row["audio_filepath"])} for row in rows]
        broken[3] |= change
        path = tmp_path / "train.jsonl"
        path.write_text("\n".join(json.dumps(row) for row in broken))
        whisper_tree["train"] = str(path)
        with pytest.raises(Exception, match=rf"train\.jsonl:4: .*{words}, the model takes at most"):
            adapt(build_recipe(whisper_tree), tmp_path / "out", quiet=True)


def test_timestamps_refuse_a_change_of_speed(whisper_tree: dict[str, Any]) -> None:
    whisper_tree |= {"decoder": {"timestamps_share": 0.5}, "augment": {"speed": {}}}
    with pytest.raises(RecipeError, match=r"needs augment\.speed off"):
        build_recipe(whisper_tree)


def test_a_ctc_model_refuses_the_section(tree: dict[str, Any], tmp_path: Path) -> None:
    tree["decoder"] = {"language": "de"}
    with pytest.raises(Exception, match="remove decoder from the recipe"):
        adapt(build_recipe(tree), tmp_path / "out", quiet=True)
