"""Networks run for their sizes alone: as many bytes as when they are computed, or as many as CUDA keeps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from torch.nn import functional as F

from asr_adapt.models import load_recogniser
from asr_adapt.training.device.gpu_sizes import SizesOnly, gpu_sizes
from asr_adapt.training.device.live_bytes import LiveBytes
from asr_adapt.training.device.memory_plan import count_step
from asr_adapt.training.device.recomputing import recompute_layers
from tests.models.architectures import save_tiny
from tests.models.whisper_models import save_tiny_whisper

FRAMES, WIDTH, HEADS = 512, 64, 4


class Attention(torch.nn.Module):
    """Attention with dropout among frames, and a normalised sum."""

    def __init__(self) -> None:
        super().__init__()
        self.ask = torch.nn.Linear(WIDTH, 3 * WIDTH)
        self.drop, self.norm = torch.nn.Dropout(0.1), torch.nn.LayerNorm(WIDTH)

    def loss(self, rows: int, seconds: float) -> torch.Tensor:
        states = torch.ones(rows, int(seconds * FRAMES), WIDTH)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            asked = self.ask(states).unflatten(-1, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)
            mixed = F.scaled_dot_product_attention(*asked, dropout_p=0.1).transpose(1, 2).flatten(2)
            return self.norm(self.drop(mixed)).float().sum()


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("name", ["wav2vec2", "wavlm", "parakeet", "whisper"])
def test_what_is_not_computed_counts_as_many_bytes(name: str, recompute: bool, tmp_path: Path) -> None:
    place = save_tiny_whisper(tmp_path / name) if name == "whisper" else save_tiny(name, tmp_path / name)
    recogniser = load_recogniser(place, device="cpu")
    recogniser.stack.freeze_except(range(2, len(recogniser.stack)))
    recogniser.stack.set_modes()
    if recompute:
        recompute_layers(recogniser.model)
    weights = {name: p.detach().clone() for name, p in recogniser.model.named_parameters()}

    def loss(rows: int, seconds: float) -> torch.Tensor:
        sound = np.zeros(int(16_000 * seconds), np.float32)
        with torch.no_grad():
            hidden = recogniser.encode(recogniser.inputs([sound] * rows), 2)
        return recogniser.losses(hidden, 2, recogniser.labels(["a line"] * rows)).sum()

    computed, _ = count_step(loss, recogniser.model, 2.0, 4.0)
    with SizesOnly():
        sized, _ = count_step(loss, recogniser.model, 2.0, 4.0)
    for rows, seconds in ((1, 2.0), (2, 2.0), (1, 4.0), (50, 3.0)):
        assert sized(rows, seconds) == pytest.approx(computed(rows, seconds), rel=0.001)
    for name, parameter in recogniser.model.named_parameters():
        assert torch.equal(parameter, weights[name]) and parameter.grad is None


def test_attention_with_dropout_keeps_no_matrix_and_dropout_a_byte_as_on_cuda() -> None:
    net, own = Attention(), (F.scaled_dot_product_attention, F.dropout, F.layer_norm)
    matrix = HEADS * (4 * FRAMES) ** 2 * 4
    with LiveBytes() as live:
        net.loss(1, 4.0).backward()
    assert live.peak > matrix
    net.zero_grad(set_to_none=True)
    with gpu_sizes():
        step, _ = count_step(net.loss, net, 2.0, 4.0)
        kept = kept_bytes(lambda: net.loss(1, 4.0))
    assert step(1, 4.0) < matrix / 4 and step(1, 8.0) == pytest.approx(2 * step(1, 4.0), rel=0.1)
    # per frame: input; asked and mixed in 16 bits; the mask; the normalised input in 32; and what is small
    assert kept == pytest.approx(4 * FRAMES * WIDTH * (2 + 2 * 3 + 2 + 1 + 4), rel=0.15)
    assert own == (F.scaled_dot_product_attention, F.dropout, F.layer_norm)


def test_a_network_larger_than_memory_is_counted_in_little_of_it() -> None:
    before = psutil.Process().memory_info().rss
    with gpu_sizes():
        net = torch.nn.Linear(30_000, 30_000)  # 3.6 GB, and as much of gradients
        step, again = count_step(lambda rows, seconds: net(torch.ones(rows, 30_000)).sum(), net, 1.0, 2.0)
    assert step(1, 1.0) == pytest.approx(3.6e9, rel=0.01)
    assert again(1, 1.0) == pytest.approx(7.2e9, rel=0.01)
    assert psutil.Process().memory_info().rss - before < 100e6


def kept_bytes(made: Callable[[], torch.Tensor]) -> int:
    """Bytes of all different storages that the backward pass of what is made keeps."""
    found: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        found[tensor.untyped_storage()._cdata] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        made()
    return sum(found.values())
