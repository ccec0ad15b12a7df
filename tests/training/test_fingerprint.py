"""Fingerprints notice every way in which a run changes weights, and the same weights again."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from asr_adapt.models import Recogniser, load_recogniser, weights_fingerprint
from asr_adapt.training.learning.averaging import MovingAverage
from asr_adapt.training.learning.optimisers import build_optimiser
from asr_adapt.training.recipe.schema import Optimiser

from ..models.whisper_models import save_tiny_whisper


@pytest.fixture
def ours(tmp_path: Path) -> Recogniser:
    return load_recogniser(save_tiny_whisper(tmp_path / "tiny"), device="cpu")


def stepped(ours: Recogniser, kind: str) -> None:
    """One step of an optimiser, of all weights."""
    parameters = list(ours.model.parameters())
    for parameter in parameters:
        parameter.grad = torch.full_like(parameter, 1e-3)
    groups = [
        {"params": [p for p in parameters if (p.dim() == 2) is matrix], "lr": 1e-3, "matrix": matrix}
        for matrix in (True, False)
    ]
    build_optimiser(groups, Optimiser(kind=kind)).step()


@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_steps_are_noticed_and_so_is_the_way_back(ours: Recogniser, kind: str) -> None:
    state = {name: tensor.clone() for name, tensor in ours.model.state_dict().items()}
    before = weights_fingerprint(ours)
    stepped(ours, kind)
    learnt = weights_fingerprint(ours)
    assert learnt != before
    ours.model.load_state_dict(state)
    assert weights_fingerprint(ours) == before
    assert weights_fingerprint(load_recogniser(ours.name, device="cpu")) == before


def test_averages_and_assigned_data_are_noticed(ours: Recogniser) -> None:
    names = [name for name, _ in ours.model.named_parameters()]
    average = MovingAverage(ours.model, names, 0.9)
    before = weights_fingerprint(ours)
    stepped(ours, "adamw")
    learnt = weights_fingerprint(ours)
    with average.applied():
        assert weights_fingerprint(ours) == before  # where the average began
    assert weights_fingerprint(ours) == learnt
    weight = ours.model.proj_out.weight
    weight.data = weight.data + 1.0
    assert weights_fingerprint(ours) not in (before, learnt)


def test_equal_weights_are_equal_shared_or_not(ours: Recogniser) -> None:
    before = weights_fingerprint(ours)
    ours.model.proj_out.weight = torch.nn.Parameter(ours.model.proj_out.weight.detach().clone())
    assert weights_fingerprint(ours) == before
    with torch.no_grad():
        ours.model.proj_out.weight[0, 0] += 1.0
    assert weights_fingerprint(ours) != before
