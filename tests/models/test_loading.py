"""Loading: what is found by name, and one sentence for everything that is not."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from asr_adapt.errors import ModelError, UsageError
from asr_adapt.models import bundled_models, load_recogniser, set_vocabulary
from asr_adapt.models.loading import choose_device, resolve

from .architectures import ARCHITECTURES, save_tiny
from .whisper_models import save_tiny_whisper

SENTENCES = {
    "no-such-name": "give a name",
    "./not/here": "no such model",
    "owner/unreachable": "check the spelling and the network",
}


@pytest.mark.parametrize("source", SENTENCES)
def test_what_cannot_be_found_says_what_to_give_instead(source: str) -> None:
    with pytest.raises(ModelError, match=SENTENCES[source]) as caught:
        load_recogniser(source)
    assert str(caught.value).startswith(f"{source}: ") and "\n" not in str(caught.value)


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no config\.json"):
        load_recogniser(tmp_path)


def test_a_truncated_checkpoint_is_named(tmp_path: Path) -> None:
    folder = save_tiny("wav2vec2", tmp_path / "tiny")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelError, match=r"model\.safetensors: is damaged or cut short"):
        load_recogniser(folder)


def test_a_self_supervised_checkpoint_needs_a_vocabulary_and_takes_one(
    tmp_path: Path, waves: list[np.ndarray]
) -> None:
    tiny = save_tiny("wav2vec2", tmp_path / "tiny")
    folder = tmp_path / "pretrained"
    model = transformers.AutoModelForCTC.from_pretrained(tiny)
    model.wav2vec2.save_pretrained(folder)
    transformers.AutoFeatureExtractor.from_pretrained(tiny).save_pretrained(folder)
    with pytest.raises(ModelError, match="vocabulary: from_manifest"):
        load_recogniser(folder)
    fresh = load_recogniser(folder, device="cpu", new_vocabulary=True)
    ready = set_vocabulary(fresh, "abc", "replace")
    assert ready.labels(["cab"]) == [[5, 3, 4]]
    assert set(ready.transcribe(waves)[0].text) <= set("abc <unk>")
    for name, weights in model.wav2vec2.named_parameters():
        assert torch.equal(weights, dict(ready.model.wav2vec2.named_parameters())[name])


def test_devices_and_compute_types() -> None:
    assert choose_device("cpu").type == "cpu"
    with pytest.raises(UsageError, match="cannot be used here"):
        choose_device("cuda:99")
    with pytest.raises(UsageError, match="no-such-device"):
        choose_device("no-such-device")


@pytest.mark.parametrize("compute_type", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", [*ARCHITECTURES, "whisper"])
def test_every_architecture_computes_in_half_precision(name: str, compute_type: str, tmp_path: Path) -> None:
    """Which transcribe does by itself where the CPU has units for it; two clips, so that one is padded."""
    save = save_tiny_whisper if name == "whisper" else partial(save_tiny, name)
    folder = save(tmp_path / "tiny")
    noise = np.random.default_rng(0).normal(0.0, 0.1, 16_000).astype(np.float32)
    recogniser = load_recogniser(folder, device="cpu", compute_type=compute_type)
    assert str(recogniser.dtype) == f"torch.{compute_type}"
    found = recogniser.transcribe([noise, noise[:9_000]], words=True)
    assert [bool(row.text) == bool(row.words) for row in found] == [True, True]
    assert all(row.confidence is None or 0.0 < row.confidence <= 1.0 for row in found)
    with pytest.raises(UsageError, match="int3"):
        load_recogniser(folder, compute_type="int3")


def test_bundled_names_resolve_to_whole_directories() -> None:
    for name, folder in bundled_models().items():
        assert resolve(name) == str(folder)
        assert (folder / "README.md").is_file()
