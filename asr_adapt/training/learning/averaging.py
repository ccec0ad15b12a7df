"""Averages of weights: a moving average over steps, the mean of the best evaluations, the pull to the start.

Knows named parameters and folders. Does not know which parameters learn, or how and when dev WER is measured.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from asr_adapt.training.learning.kept_weights import keep_weights, kept_weights

WEIGHTS = "trainable.safetensors"


class MovingAverage:
    """Exponential moving average of the parameters ``names``; without ``decay`` it does nothing.

    The average starts at the weights before training; while few steps were made the decay is
    ``(1 + step) / (10 + step)``, so that short runs do not stay there (the rule of TensorFlow's
    ExponentialMovingAverage). It is measured, kept as best and saved in place of the raw weights.
    """

    def __init__(self, model: nn.Module, names: Collection[str], decay: float | None) -> None:
        self.decay = decay
        self._live = {n: p for n, p in model.named_parameters() if n in names} if decay else {}
        self.average = {n: p.detach().clone() for n, p in self._live.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move towards the weights after optimiser step ``step`` (1 is the first)."""
        if self.decay is None:
            return
        share = 1.0 - min(self.decay, (1 + step) / (10 + step))
        for name, parameter in self._live.items():
            self.average[name].lerp_(parameter, share)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The model holds the average inside the block and its raw weights again behind it."""
        raw = {n: p.detach().clone() for n, p in self._live.items()}
        self._put(self.average)
        try:
            yield
        finally:
            self._put(raw)

    def state(self) -> dict[str, Tensor]:
        """CPU copies for a checkpoint; empty without a decay."""
        return {n: t.cpu().clone().contiguous() for n, t in self.average.items()}

    def load(self, stored: Mapping[str, Tensor]) -> None:
        """Take up a checkpoint's average."""
        for name, tensor in self.average.items():
            tensor.copy_(stored[name])

    @torch.no_grad()
    def _put(self, weights: Mapping[str, Tensor]) -> None:
        for name, parameter in self._live.items():
            parameter.copy_(weights[name])


@dataclass(frozen=True)
class BestAverage:
    """Weights of the ``count`` best evaluations, kept in ``folder`` until training ends; 1 keeps none."""

    folder: Path
    count: int

    def keep(self, state: Mapping[str, Tensor], history: Sequence[Mapping[str, Any]]) -> None:
        """Store the weights of the last evaluation when it is among the best so far."""
        if history[-1]["step"] in self.steps(history):
            keep_weights(self._path(history[-1]["step"]) / WEIGHTS, state)

    def prune(self, history: Sequence[Mapping[str, Any]]) -> None:
        """Forget what no longer counts; only right behind a checkpoint, or a resumed run would miss it."""
        wanted = {self._path(step) for step in self.steps(history)}
        for path in self.folder.glob("step_*"):
            if path not in wanted:
                (path / WEIGHTS).unlink(missing_ok=True)
                path.rmdir()

    def steps(self, history: Sequence[Mapping[str, Any]]) -> list[int]:
        """The best evaluations by dev WER, the earlier of equals first; the untrained base is not one."""
        if self.count < 2:
            return []
        trained = sorted((v for v in history if v["step"] > 0), key=lambda v: (v["dev"], v["step"]))
        return [v["step"] for v in trained[: self.count]]

    def mean(self, history: Sequence[Mapping[str, Any]]) -> dict[str, Tensor] | None:
        """The mean of the stored weights, or None where there are fewer than two."""
        steps = self.steps(history)
        if len(steps) < 2:
            return None
        states = [kept_weights(self._path(step) / WEIGHTS) for step in steps]
        return {
            n: torch.stack([s[n].double() for s in states]).mean(0).to(t.dtype) for n, t in states[0].items()
        }

    def _path(self, step: int) -> Path:
        return self.folder / f"step_{step:06d}"


def pull_to_start(optimiser: torch.optim.Optimizer, strength: float) -> None:
    """Let every step of ``optimiser`` also move each parameter back by ``rate · strength`` of its way.

    This is L2-SP (Li et al. 2018) decoupled from the gradient as AdamW's weight decay is (Loshchilov & Hutter
    2019), so Adam's scaling does not undo it. The start is the weights at the time of this call, biases and
    norms included; a parameter that does not learn yet stays where it is.
    """
    if strength == 0.0:
        return
    start = {p: p.detach().clone() for group in optimiser.param_groups for p in group["params"]}

    @torch.no_grad()
    def pull(stepped: torch.optim.Optimizer, *_: object) -> None:
        for group in stepped.param_groups:
            for parameter in group["params"]:
                if parameter.requires_grad:
                    parameter.lerp_(start[parameter], min(1.0, group["lr"] * strength))

    optimiser.register_step_post_hook(pull)
