"""A base plus a weighted sum of task vectors (Ilharco et al., arXiv 2212.04089).

Knows tensors, groups of layers, and how a network's weights are set. Does not know which weights are good,
nor whether an expert was trained as a LoRA adapter or whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from asr_adapt.models import Recogniser
from asr_adapt.training.retention.blending import layer_groups, require_same_shape, weights_of

#: A weight for each expert.
Row = tuple[float, ...]
#: A :data:`Row` for each group of layers, bottom first.
Weights = tuple[Row, ...]


@dataclass(frozen=True)
class Expert:
    """A model adapted from the base: ``changed`` holds the parameters in which it differs, on the CPU."""

    name: str
    changed: Mapping[str, Tensor]


def expert_of(name: str, base: Mapping[str, Tensor], adapted: Recogniser, base_name: str) -> Expert:
    """What ``adapted`` learnt over ``base`` (CPU tensors by name).

    That may be nothing. Raises :class:`~asr_adapt.errors.ModelError` for a model of another shape.
    """
    weights = weights_of(adapted)
    require_same_shape(base, weights, (base_name, name))
    changed = {n: value for n, value in weights.items() if not torch.equal(base[n], value)}
    return Expert(name, changed)


class ExpertSum:
    """Sets the weights of ``recogniser``, which holds the base's, to ``base + Σ wᵢ · (expertᵢ - base)``.

    Each of at most ``groups`` runs of neighbouring layers has weights of its own. Without any expert the
    result is the base, and with one at weight 1 that expert, bit for bit.
    """

    def __init__(self, recogniser: Recogniser, experts: Sequence[Expert], groups: int = 1) -> None:
        self.recogniser, self.experts = recogniser, tuple(experts)
        #: Parameters in which any expert differs from the base.
        self.changed = frozenset().union(*(expert.changed for expert in experts))
        named = recogniser.model.named_parameters()
        self.base = {n: p.detach().cpu().clone() for n, p in named if n in self.changed}
        self.groups = layer_groups(recogniser.stack, self.changed, groups)
        self.group_of = {n: i for i, group in enumerate(self.groups) for n in group.parameters}

    @property
    def boundary(self) -> int:
        """The lowest stage in which any expert differs: below it all compute the same."""
        stack = self.recogniser.stack
        stages = range(stack.prefix_limit)
        return next((n for n in stages if self.changed & stack.names_of([n])), stack.prefix_limit)

    def common(self, row: Sequence[float]) -> Weights:
        """The same weights in every group."""
        return (tuple(row),) * len(self.groups)

    @torch.no_grad()
    def set(self, weights: Weights) -> None:
        """Put the sum with ``weights`` into the network."""
        for name, parameter in self.recogniser.model.named_parameters():
            if name in self.changed:
                parameter.copy_(self._sum(name, weights[self.group_of[name]], parameter.device))

    def _sum(self, name: str, row: Row, device: torch.device) -> Tensor:
        parts = [
            (w, e.changed[name]) for w, e in zip(row, self.experts, strict=True) if w and name in e.changed
        ]
        if [w for w, _ in parts] == [1.0]:
            return parts[0][1]
        base = self.base[name].to(device)
        total = base.clone()
        for weight, value in parts:
            total += weight * (value.to(device) - base)
        return total
