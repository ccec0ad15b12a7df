"""The frozen encoder under bfloat16 autocast on a CPU: the layers' own numbers, attention in float32."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from asr_adapt.models import load_recogniser
from asr_adapt.models.attention import window_layer

from .whisper_models import save_tiny_whisper


def test_states_are_those_of_the_layers_themselves(
    tmp_path: Path, waves: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = load_recogniser(save_tiny_whisper(tmp_path / "tiny"), device="cpu")
    ours.model.eval()
    inputs = ours.inputs(waves)

    def states(precise: bool) -> torch.Tensor:
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=not precise):
            return ours.encode(inputs, ours.stack.prefix_limit).states.float()

    exact, fast = states(precise=True), states(precise=False)
    monkeypatch.setattr(window_layer, "applies", lambda layer, states: False)
    plain = states(precise=False)
    assert not torch.equal(fast, plain)  # another path
    assert (fast - exact).abs().mean() <= 1.1 * (plain - exact).abs().mean()
    torch.testing.assert_close(fast, plain, atol=0.2, rtol=0.05)
