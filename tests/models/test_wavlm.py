"""WavLM's fused attention against transformers' own: outputs and gradients, alone and in a padded batch."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCTC, WavLMConfig, WavLMModel
from transformers.models.wavlm.modeling_wavlm import WavLMAttention

from asr_adapt.models import load_recogniser
from asr_adapt.models.ctc.wavlm import FusedAttention

from .architectures import save_tiny

FRAMES = (37, 21, 1)


def attention(seed: int = 0, **settings: Any) -> WavLMAttention:
    """Transformers' attention with a gate and a bias that matter; fresh ones are nearly nothing."""
    torch.manual_seed(seed)
    own = WavLMAttention(32, 4, num_buckets=16, max_distance=30, **settings)
    with torch.no_grad():
        own.rel_attn_embed.weight.normal_(0.0, 2.0)
        own.gru_rel_pos_const.normal_(1.0, 0.5)
        own.gru_rel_pos_linear.weight.normal_(0.0, 0.5)
    return own


def fused(own: WavLMAttention) -> WavLMAttention:
    other = copy.deepcopy(own)
    FusedAttention.install(torch.nn.ModuleList([torch.nn.ModuleDict({"attention": other})]))
    return other


def batch(padded: bool) -> tuple[torch.Tensor, torch.Tensor | None]:
    hidden = torch.randn(len(FRAMES), max(FRAMES), 32, generator=torch.Generator().manual_seed(1))
    return hidden, torch.arange(max(FRAMES))[None] < torch.tensor(FRAMES)[:, None] if padded else None


@pytest.mark.parametrize("padded", [False, True])
def test_outputs_and_gradients_equal_those_of_transformers(padded: bool) -> None:
    theirs = attention().double()
    ours = fused(theirs)
    states, mask = batch(padded)
    found = []
    for module in (theirs, ours):
        hidden = states.double().requires_grad_()
        output, _, _ = module(hidden, attention_mask=mask)
        heard = output if mask is None else output[mask]
        heard.square().sum().backward()
        found.append((heard, hidden.grad, {n: p.grad for n, p in module.named_parameters()}))
    (expected, expected_in, expected_of), (got, got_in, got_of) = found
    torch.testing.assert_close(got, expected)
    torch.testing.assert_close(got_in, expected_in)
    assert got_of.keys() == expected_of.keys()
    for name, gradient in expected_of.items():
        assert name == "k_proj.bias" or gradient.abs().max() > 1e-6, name  # softmax cancels a key's bias
        torch.testing.assert_close(got_of[name], gradient)


def test_the_gate_and_the_bias_matter_in_that_comparison() -> None:
    ours = fused(attention())
    hidden, mask = batch(True)
    before = ours(hidden, attention_mask=mask)[0]
    with torch.no_grad():
        ours.gru_rel_pos_const.add_(1.0)
    assert (ours(hidden, attention_mask=mask)[0] - before)[mask].abs().max() > 1e-3


def test_padding_is_not_heard() -> None:
    ours = fused(attention())
    hidden, mask = batch(True)
    before = ours(hidden, attention_mask=mask)[0][mask]
    assert torch.equal(ours(hidden.masked_fill(~mask[..., None], 9.0), attention_mask=mask)[0][mask], before)


def test_dropout_drops_only_in_training() -> None:
    ours = fused(attention(dropout=0.5))
    hidden, _ = batch(False)
    assert not torch.equal(ours.train()(hidden)[0], ours(hidden)[0])
    assert torch.equal(ours.eval()(hidden)[0], ours(hidden)[0])


def test_the_fused_kernel_is_the_one_that_runs() -> None:
    ours = fused(attention()).requires_grad_(False)
    hidden, mask = batch(True)
    with torch.profiler.profile() as profile:
        ours(hidden, attention_mask=mask)
    names = {event.key for event in profile.key_averages()}
    assert "aten::_scaled_dot_product_flash_attention_for_cpu" in names


def test_a_whole_batch_gives_the_loss_and_the_gradients_of_transformers(
    tmp_path: Path, waves: list[np.ndarray]
) -> None:
    folder = save_tiny("wavlm", tmp_path / "wavlm")
    ours = load_recogniser(folder, device="cpu")
    theirs = AutoModelForCTC.from_pretrained(folder, ctc_loss_reduction="sum").eval()
    inputs, texts = ours.inputs(waves), ours.labels(["hello there", "it's", "a line of text"])
    valid = torch.arange(inputs.states.shape[1])[None] < inputs.lengths[:, None]
    longest = max(map(len, texts))
    labels = torch.tensor([row + [-100] * (longest - len(row)) for row in texts])
    expected = theirs(inputs.states, attention_mask=valid.long(), labels=labels).loss
    got = ours.losses(inputs, 0, texts).sum()
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-3)
    expected.backward()
    got.backward()
    own = dict(ours.model.named_parameters())
    for name, parameter in theirs.named_parameters():
        if parameter.grad is not None and ".attention." in name:
            torch.testing.assert_close(own[name].grad, parameter.grad, rtol=2e-3, atol=2e-3)


def test_the_whole_model_of_transformers_still_runs_and_is_saved_as_its_own(tmp_path: Path) -> None:
    torch.manual_seed(0)
    small = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
    model = WavLMModel(WavLMConfig(**small, num_buckets=16)).eval()
    values = torch.randn(1, 4_000)
    with torch.no_grad():
        expected = model(values).last_hidden_state
        FusedAttention.install(model.encoder.layers)
        torch.testing.assert_close(model(values).last_hidden_state, expected, atol=1e-5, rtol=1e-4)
        model.save_pretrained(tmp_path)
        again = WavLMModel.from_pretrained(tmp_path)
        assert type(again.encoder.layers[0].attention) is WavLMAttention
        assert torch.equal(again(values).last_hidden_state, expected)
