"""Loading: what is found by name, and one sentence for everything that is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from asr_adapt.errors import ModelError, UsageError
from asr_adapt.models import Recogniser, bundled_models, load_recogniser, set_vocabulary
from asr_adapt.models.loading import choose_device, resolve

from .architectures import save_tiny

SENTENCES = {
    "no-such-name": "give a bundled name",
    "./not/here": "no such model",
    "owner/unreachable": "check the spelling and the network",
}


@pytest.mark.parametrize("source", SENTENCES)
def test_what_cannot_be_found_says_what_to_give_instead(source: str) -> None:
    with pytest.raises(ModelError, match=SENTENCES[source]) as caught:
        Recogniser.load(source)
    assert str(caught.value).startswith(f"{source}: ") and "\n" not in str(caught.value)


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no config\.json"):
        Recogniser.load(tmp_path)


def test_a_truncated_checkpoint_is_named(tmp_path: Path) -> None:
    folder = save_tiny("wav2vec2", tmp_path / "tiny")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelError, match="cannot be loaded"):
        Recogniser.load(folder)


def test_a_self_supervised_checkpoint_needs_a_vocabulary_and_takes_one(
    tmp_path: Path, waves: list[np.ndarray]
) -> None:
    tiny = save_tiny("wav2vec2", tmp_path / "tiny")
    folder = tmp_path / "pretrained"
    model = transformers.AutoModelForCTC.from_pretrained(tiny)
    model.wav2vec2.save_pretrained(folder)
    transformers.AutoFeatureExtractor.from_pretrained(tiny).save_pretrained(folder)
    with pytest.raises(ModelError, match="vocabulary: from_manifest"):
        Recogniser.load(folder)
    fresh = load_recogniser(folder, device="cpu", new_head=True)
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


def test_half_precision_weights_are_loaded_as_asked(tmp_path: Path) -> None:
    folder = save_tiny("wav2vec2", tmp_path / "tiny")
    recogniser = Recogniser.load(folder, device="cpu", compute_type="bfloat16")
    assert str(recogniser.dtype) == "torch.bfloat16"
    assert isinstance(recogniser.transcribe([np.zeros(8_000, np.float32)])[0].text, str)
    with pytest.raises(UsageError, match="int3"):
        Recogniser.load(folder, compute_type="int3")


def test_bundled_names_resolve_to_whole_directories() -> None:
    for name, folder in bundled_models().items():
        assert resolve(name) == str(folder)
        assert (folder / "README.md").is_file()
