"""What learns when: a strategy as a list of phases, each a set of parameters that learn.

Knows stages, parameter names and the steps at which a phase began. Does not know gradients, data or how
the dev WER comes about. Most strategies have one phase; ``gradual`` has one for each layer that it frees.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from asr_adapt.models import LayerStack
from asr_adapt.models.stack import EMBEDDING, FRONT_END, HEAD
from asr_adapt.training.strategy_settings import Strategy


class LearningPlan:
    """Phases of ``model``, lowest number first; a parameter that learns once learns to the end."""

    def __init__(self, model: nn.Module, phases: Sequence[frozenset[str]]) -> None:
        self.model = model
        self.phases = tuple(phases)
        #: Every parameter that ever learns: what checkpoints, averages and the optimiser hold.
        self.names = self.phases[-1]

    def apply(self, phase: int) -> None:
        """Let exactly the parameters of ``phase`` require a gradient."""
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(name in self.phases[phase])

    def phase_of(self, name: str) -> int:
        """The phase in which a parameter begins to learn."""
        return next(number for number, names in enumerate(self.phases) if name in names)


def learning_plan(stack: LayerStack, strategy: Strategy) -> LearningPlan:
    """The phases of ``strategy`` on the network of ``stack``."""
    return LearningPlan(stack.model, [stack.names_of(trainable_stages(stack, strategy))])


def trainable_stages(stack: LayerStack, strategy: Strategy) -> list[int]:
    """Stages that learn under ``strategy``; the feature encoder only where the recipe says so."""
    everything = range(len(stack))
    if strategy.name == "head":
        return stack.kind(HEAD)
    if strategy.name == "full":
        frozen = [] if strategy.feature_encoder else stack.kind(FRONT_END)
        return [i for i in everything if i not in frozen]
    lowest = stack.layers[max(0, len(stack.layers) - strategy.top_layers)]
    below = {*stack.kind(FRONT_END), *stack.kind(EMBEDDING)}
    return [i for i in everything if i >= lowest and i not in below]
