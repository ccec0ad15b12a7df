"""Learning without the sound's keys and values on a CPU: losses and gradients of the layers themselves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from asr_adapt.models import Recogniser, load_recogniser
from asr_adapt.models.attention import text_layer

from .plain_models import save_tiny_speech2text
from .whisper_models import save_tiny_whisper

TEXTS = ("ab", "a", "")
MAKE: dict[str, Callable[[Path], Path]] = {"whisper": save_tiny_whisper, "speech2text": save_tiny_speech2text}


@pytest.fixture(params=MAKE)
def ours(request: pytest.FixtureRequest, tmp_path: Path) -> Recogniser:
    found = load_recogniser(MAKE[request.param](tmp_path / request.param), device="cpu")
    for name, parameter in found.model.named_parameters():
        parameter.requires_grad_("decoder.layers" in name or "encoder.layers.1" in name)
    return found


def learnt(ours: Recogniser, waves: list[np.ndarray]) -> tuple[Tensor, dict[str, Tensor]]:
    """Losses of rows of unlike length, and the gradients by name."""
    torch.manual_seed(3)
    ours.model.zero_grad(set_to_none=True)
    samples = [waves[0], waves[1][:4000], waves[2]]
    hidden = ours.encode(ours.inputs(samples), 2)
    losses = ours.losses(hidden, 2, ours.labels(TEXTS))
    losses.sum().backward()
    named = ours.model.named_parameters()
    return losses.detach(), {name: p.grad.clone() for name, p in named if p.grad is not None}


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A list that grows with every layer that is computed this way."""
    calls: list[int] = []
    read = text_layer.read_layer

    def counting(layer: nn.Module, hidden: Tensor, states: Tensor, mask: Tensor | None) -> Tensor:
        calls.append(hidden.shape[1])
        return read(layer, hidden, states, mask)

    monkeypatch.setattr(text_layer, "read_layer", counting)
    return calls


@pytest.mark.parametrize("training", [False, True])
def test_losses_and_gradients_are_those_of_the_layers_themselves(
    ours: Recogniser, waves: list[np.ndarray], monkeypatch: pytest.MonkeyPatch, training: bool
) -> None:
    ours.model.train(training)
    for layer in ours.model.model.decoder.layers:
        layer.dropout = layer.activation_dropout = 0.3
    calls = counted(monkeypatch)
    losses, gradients = learnt(ours, waves)
    assert len(calls) == len(ours.model.model.decoder.layers)
    monkeypatch.setattr(text_layer, "applies", lambda *_: False)
    plain, wanted = learnt(ours, waves)
    torch.testing.assert_close(losses, plain, atol=1e-4, rtol=1e-4)
    silent = {name for name in wanted if name.endswith("encoder_attn.k_proj.bias")}  # no loss depends on it
    assert wanted.keys() - gradients.keys() == silent
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, wanted[name], atol=1e-3, rtol=1e-3)
    assert all(wanted[name].abs().max() < 1e-4 for name in silent)


def test_bfloat16_errs_no_more_than_the_layers_themselves(
    ours: Recogniser, waves: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    for parameter in ours.model.model.encoder.parameters():
        parameter.requires_grad_(False)

    def off(precise: dict[str, Tensor]) -> float:
        with torch.autocast("cpu", torch.bfloat16):
            _, found = learnt(ours, waves)
        return float(sum((found[name] - precise[name]).square().sum() for name in precise) ** 0.5)

    _, precise = learnt(ours, waves)
    fast = off(precise)
    monkeypatch.setattr(text_layer, "applies", lambda *_: False)
    assert 0.0 < fast < 1.5 * off(precise)


def test_what_only_the_layers_can_do_is_left_to_them(
    ours: Recogniser, waves: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    layers = ours.model.model.decoder.layers
    states = torch.zeros(1, 4, 32)
    assert all(text_layer.applies(layer, states, 12) for layer in layers)
    assert not text_layer.applies(layers[0], states, 13)  # its keys and values would be cheaper
    with torch.no_grad():  # word times read the keys
        assert not text_layer.applies(layers[0], states, 8)
    ours.model.train()
    layers[0].encoder_attn.dropout = 0.1
    assert not text_layer.applies(layers[0], states, 8)
    layers[1].gradient_checkpointing = True
    assert not text_layer.applies(layers[1], states, 8)
    layers[0].encoder_attn.dropout = 0.0
    layers[0].encoder_attn.k_proj = nn.Sequential(layers[0].encoder_attn.k_proj)  # an adapter, say
    assert not text_layer.applies(layers[0], states, 8)
