"""LoRA on every architecture: heard, switched off bit for bit, merged, written for PEFT and read back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCTC

from asr_adapt.errors import MissingExtraError, ModelError
from asr_adapt.files import atomic_directory
from asr_adapt.models import Recogniser, load_recogniser
from asr_adapt.models.contract import DecoderSettings
from asr_adapt.models.lora import (
    Lora,
    LoraSettings,
    add_lora,
    attach_adapter,
    save_adapter,
    target_modules,
)

#: Architectures tested with DoRA, which wraps the same maps; the others with LoRA.
DORA = {"hubert", "wav2vec2-bert"}


def loaded(folder: Path) -> Recogniser:
    return load_recogniser(folder, device="cpu")


def logits(recogniser: Recogniser, waves: list[np.ndarray]) -> torch.Tensor:
    recogniser.model.eval()
    with torch.no_grad():
        return recogniser.logits(recogniser.inputs(waves)).states


def stirred(recogniser: Recogniser, settings: LoraSettings) -> Lora:
    """An adapter that does something: a fresh one adds nothing."""
    lora = add_lora(recogniser, settings, seed=1)
    torch.manual_seed(2)
    with torch.no_grad():
        for name, parameter in recogniser.model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0.0, 0.2)
            elif name == "lm_head.weight":
                parameter.add_(0.5 * torch.randn_like(parameter))
    return lora


def test_every_update_is_heard_and_the_base_learns_nothing(tiny: Path, waves: list[np.ndarray]) -> None:
    dora = tiny.name in DORA
    ours = loaded(tiny)
    before = {n: p.detach().clone() for n, p in ours.model.named_parameters()}
    start, near = logits(ours, waves), 1e-3 if dora else 0.0  # DoRA divides by the norm that it multiplies by
    lora = add_lora(ours, LoraSettings(4, 8.0, dora=dora), seed=1)
    torch.testing.assert_close(logits(ours, waves), start, atol=near, rtol=near)
    stirred_names = [n for n in lora.names if "lora_B" in n]
    assert len(stirred_names) == len(target_modules(loaded(tiny), (), None))
    with torch.no_grad():
        for name, parameter in ours.model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0.0, 0.2)
    ours.stack.set_modes()
    ours.losses(
        ours.inputs(waves), 0, ours.labels(["hello there", "it's", "a line of text"])
    ).sum().backward()
    for name, parameter in ours.model.named_parameters():
        heard = parameter.grad is not None and bool(parameter.grad.abs().sum() > 0)
        assert heard == (name in lora.names), name
    lora.recogniser.model.zero_grad()
    own = {n.replace(".base_layer", ""): p for n, p in ours.model.named_parameters() if n not in lora.names}
    assert own.keys() == before.keys()
    assert all(torch.equal(before[name], own[name]) for name in before)


def test_disabled_is_the_base_merged_is_the_adapted_and_peft_reads_the_folder(
    tiny: Path, waves: list[np.ndarray], tmp_path: Path
) -> None:
    import peft

    dora = tiny.name in DORA
    base = logits(loaded(tiny), waves)
    ours = loaded(tiny)
    lora = stirred(ours, LoraSettings(4, 8.0, dora=dora))
    with atomic_directory(tmp_path / "adapter") as work:
        save_adapter(lora, lora.state(head=True), str(tiny), work)
    adapted = logits(ours, waves)
    assert not torch.allclose(adapted, base, atol=0.1)
    lora.merge()
    ours.save(tmp_path / "merged")
    torch.testing.assert_close(logits(ours, waves), adapted, atol=1e-3, rtol=1e-3)

    attached = loaded(tiny)
    attach_adapter(attached, tmp_path / "adapter")
    assert torch.equal(logits(attached, waves), adapted)

    alone, whole = loaded(tmp_path / "adapter"), loaded(tmp_path / "merged")
    assert torch.equal(logits(alone, waves), logits(whole, waves))
    assert alone.transcribe(waves) == whole.transcribe(waves)
    theirs = peft.PeftModel.from_pretrained(AutoModelForCTC.from_pretrained(tiny), tmp_path / "adapter")
    state = theirs.merge_and_unload().state_dict()
    for name, value in whole.model.state_dict().items():
        torch.testing.assert_close(state[name], value, atol=1e-5, rtol=1e-4)


def test_whisper_hears_every_update_and_its_adapter_brings_language_and_task(
    waves: list[np.ndarray], tmp_path: Path
) -> None:
    from .whisper_models import save_tiny_whisper

    tiny = save_tiny_whisper(tmp_path / "whisper")
    ours, base = loaded(tiny), loaded(tiny).transcribe(waves)
    ours.configure(DecoderSettings(language="ha"))
    lora = stirred(ours, LoraSettings(4, 8.0))
    for name, parameter in ours.model.named_parameters():
        parameter.requires_grad_(name in lora.names)
    labels = ours.labels(["hello there", "it's", "a line of text"])
    assert ours.stack.boundary == ours.stack.layers[0]
    ours.losses(ours.inputs(waves), 0, labels).sum().backward()
    silent = [n for n, p in ours.model.named_parameters() if n in lora.names and not p.grad.abs().sum() > 0]
    assert silent == []
    with atomic_directory(tmp_path / "adapter") as work:
        save_adapter(lora, lora.state(head=False), str(tiny), work)
    lora.merge()
    ours.save(tmp_path / "merged")
    alone, whole = loaded(tmp_path / "adapter"), loaded(tmp_path / "merged")
    assert alone.transcribe(waves) == whole.transcribe(waves) != base
    assert alone.model.generation_config.language == "<|ha|>"


def test_layers_and_targets_narrow_what_is_adapted(tmp_path: Path) -> None:
    from .architectures import save_tiny

    ours = loaded(save_tiny("wav2vec2", tmp_path / "tiny"))
    top = target_modules(ours, (), 1)
    assert len(top) == 6 and all(".layers.2." in name for name in top)
    assert len(target_modules(ours, ("q_proj", "v_proj"), None)) == 6
    assert len(target_modules(ours, ("*.attention.*",), 2)) == 8
    with pytest.raises(ModelError, match=r"strategy\.lora\.targets: no linear map .* q_proj"):
        target_modules(ours, ("query",), None)
    lora = add_lora(ours, LoraSettings(2, 4.0, layers=1), seed=0)
    for name, parameter in ours.model.named_parameters():
        parameter.requires_grad_(name in lora.names)
    assert ours.stack.boundary == ours.stack.layers[2]


def test_an_adapter_whose_base_is_gone_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "adapter"
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "/gone/model"}))
    with pytest.raises(ModelError, match=r"adapter_config\.json: base_model_name_or_path: .*/gone/model"):
        load_recogniser(folder)
    (folder / "adapter_config.json").write_text("{}")
    with pytest.raises(ModelError, match="does not name its base"):
        load_recogniser(folder)


def test_without_peft_the_install_command_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from .architectures import save_tiny

    monkeypatch.setitem(sys.modules, "peft", None)
    ours = loaded(save_tiny("wav2vec2", tmp_path / "tiny"))
    with pytest.raises(MissingExtraError, match=r"pip install 'asr-adapt\[lora\]'"):
        add_lora(ours, LoraSettings(2, 4.0), seed=0)
