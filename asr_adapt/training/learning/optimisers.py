"""The optimisers that a recipe can choose.

Knows AdamW, its form with moments in 8 bits (Dettmers et al., arXiv 2110.02861), and Muon for the matrices of
the layers with AdamW for everything else. Does not know rates over time or which parameters learn.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from asr_adapt.errors import RecipeError
from asr_adapt.models.compact import require_bitsandbytes
from asr_adapt.training.recipe.schema import Optimiser

#: Where PyTorch has AdamW as one kernel; on a CPU 5 million weights take 2 ms a step instead of 9.
_FUSED = ("cpu", "cuda")


class MuonWithAdamW(torch.optim.Optimizer):
    """Muon (Jordan et al. 2024) on groups marked ``matrix``, AdamW on the others, as one optimiser.

    Muon orthogonalises the momentum of a weight matrix; its step is scaled to the size of AdamW's
    (Liu et al., arXiv 2502.16982), so that one learning rate serves both.
    """

    def __init__(self, groups: list[dict[str, Any]], betas: tuple[float, float]) -> None:
        matrices = [group for group in groups if group["matrix"]]
        if not matrices:
            raise RecipeError("muon needs trainable layers: use adamw.", field="optimiser.kind")
        self._muon = torch.optim.Muon(matrices, adjust_lr_fn="match_rms_adamw")
        self._adamw = _adamw([group for group in groups if not group["matrix"]], betas)
        super().__init__([*self._muon.param_groups, *self._adamw.param_groups], {})
        self._share()

    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One step of both; a closure is not supported."""
        self._muon.step()
        self._adamw.step()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore both."""
        super().load_state_dict(state_dict)
        self._share()

    def _share(self) -> None:
        """Let the two work on our groups and state, which are what a checkpoint holds."""
        for inner, matrix in ((self._muon, True), (self._adamw, False)):
            inner.param_groups = [group for group in self.param_groups if group["matrix"] is matrix]
            inner.state = self.state


def build_optimiser(groups: list[dict[str, Any]], settings: Optimiser) -> torch.optim.Optimizer:
    """The optimiser of ``settings`` for parameter groups with their peak rates."""
    if settings.kind == "muon":
        return MuonWithAdamW(groups, settings.betas)
    if settings.kind == "adamw_8bit":
        found: torch.optim.Optimizer = require_bitsandbytes("optimiser.kind adamw_8bit").optim.AdamW8bit(
            groups, betas=settings.betas
        )
        return found
    return _adamw(groups, settings.betas)


def _adamw(groups: list[dict[str, Any]], betas: tuple[float, float]) -> torch.optim.AdamW:
    devices = {parameter.device.type for group in groups for parameter in group["params"]}
    return torch.optim.AdamW(groups, betas=betas, fused=devices <= set(_FUSED))
