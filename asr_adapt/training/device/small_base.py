"""Frozen linear maps of the layers that are computed in steps, kept small there: 8 or 4 bits, or on the host.

Knows which maps of the layer stack those are, and that steps alone see them: measuring is wrapped, so that
what is measured and saved is always the network with its own weights. Does not know how weights are kept
small (:mod:`asr_adapt.models.compact`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from asr_adapt.errors import RecipeError
from asr_adapt.models import LayerStack
from asr_adapt.models.compact import Bits, CompactLinear
from asr_adapt.training.device.speedups import RestoredCallback, needed_whole


class SmallBase(RestoredCallback):
    """Follows the boundary of the frozen prefix; above it every frozen linear map of a layer is kept small.

    ``quantise`` and ``offload`` as in :class:`~asr_adapt.models.compact.CompactLinear`; ``kind`` is the type
    in which steps compute. Meanwhile the maps' own weights wait on the host.
    """

    def __init__(self, stack: LayerStack, quantise: Bits | None, *, offload: bool, kind: torch.dtype) -> None:
        self.stack, self.quantise, self.offload, self.kind = stack, quantise, offload, kind
        self._small: dict[str, CompactLinear] = {}
        self._device: torch.device | None = None

    def boundary_moved(self, boundary: int) -> None:
        """Make the frozen maps from ``boundary`` on small.

        Raises :class:`RecipeError` where there is none.
        """
        self._device = next(self.stack.model.parameters()).device
        found = list(frozen_maps(self.stack, boundary))
        if not found:
            raise RecipeError(
                "no frozen linear map is computed in steps: leave quantise and offload out.", field="strategy"
            )
        for name, linear in found:
            small = CompactLinear(linear, self.quantise, offload=self.offload, kind=self.kind)
            self._small[name] = small
            self._put(name, small)
            _move(linear, torch.device("cpu"))

    @contextmanager
    def measuring(self) -> Iterator[None]:
        """The network with its own weights; the small ones wait on the host."""
        self._plain()
        try:
            yield
        finally:
            for name, small in self._small.items():
                if self._now(name) is not small:
                    small.move(self._device)
                    self._put(name, small)
                    _move(small.original, torch.device("cpu"))

    def restore(self) -> None:
        """Give every map its own weights back, bit for bit."""
        self._plain()
        self._small.clear()

    def _plain(self) -> None:
        for name, small in self._small.items():
            small.move(torch.device("cpu"))
            _move(small.original, self._device)
            self._put(name, small.original)

    def _now(self, name: str) -> nn.Module:
        return self.stack.model.get_submodule(name)

    def _put(self, name: str, module: nn.Module) -> None:
        parent, _, own = name.rpartition(".")
        setattr(self.stack.model.get_submodule(parent), own, module)


def frozen_maps(stack: LayerStack, boundary: int) -> Iterator[tuple[str, nn.Linear]]:
    """Names and modules of the linear maps of layers from ``boundary`` on of which nothing learns."""
    whole = needed_whole(stack.model)
    layers = [stack.stages[number] for number in stack.layers if number >= boundary]
    for name, module in stack.model.named_modules():
        if type(module) is not nn.Linear or not any(stage.owns(name) for stage in layers):
            continue
        own = list(module.parameters(recurse=False))
        if whole.isdisjoint(own) and not any(parameter.requires_grad for parameter in own):
            yield name, module


def _move(linear: nn.Linear, device: torch.device | None) -> None:
    """Only the weight: the bias is the small map's too, and stays."""
    linear.weight.data = linear.weight.data.to(device)
