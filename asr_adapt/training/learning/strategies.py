"""What learns when: a strategy as a list of phases, each a set of parameters that learn.

Knows stages, parameter names and the steps at which a phase began. Does not know gradients, data or how
the dev WER comes about. Most strategies have one phase; ``gradual`` has one for each layer that it frees.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from asr_adapt.errors import RecipeError
from asr_adapt.models import LayerStack
from asr_adapt.models.stack import EMBEDDING, FRONT_END, HEAD
from asr_adapt.training.learning.attachments import Attachment
from asr_adapt.training.learning.rates import matches
from asr_adapt.training.recipe.strategy import Gradual, Strategy


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


def learning_plan(stack: LayerStack, strategy: Strategy, added: Attachment | None = None) -> LearningPlan:
    """The phases of ``strategy`` on the network of ``stack``; what was ``added`` to it is all that learns."""
    if added is not None:
        return LearningPlan(stack.model, [added.names])
    phases = [trainable_stages(stack, strategy)]
    if strategy.name == "gradual":
        phases = gradual_stages(stack, strategy.gradual)
    names = [stack.names_of(stages) for stages in phases]
    frozen = frozen_names(stack, strategy, names[-1])
    return LearningPlan(stack.model, [own - frozen for own in names])


def frozen_names(stack: LayerStack, strategy: Strategy, learning: frozenset[str]) -> frozenset[str]:
    """The parameters in ``learning`` that ``strategy.frozen`` names.

    Raises RecipeError for a pattern that matches none of them, or where nothing is left to learn.
    """
    found: set[str] = set()
    for pattern in strategy.frozen:
        own = {name for name in learning if matches(pattern, (name, stack.stage_name(name)))}
        if not own:
            raise RecipeError(
                f"{pattern!r} matches no parameter that would learn: name a parameter or a stage.",
                field="strategy.frozen",
            )
        found |= own
    if learning == found:
        raise RecipeError("nothing is left to train: remove some of it.", field="strategy.frozen")
    return frozenset(found)


def expected_boundary(stack: LayerStack, strategy: Strategy) -> int:
    """Where the frozen prefix will end, told before anything is added to the network; ``auto``: a guess."""
    if strategy.name in ("auto", "adapters"):
        return stack.prefix_limit
    if strategy.name == "lora":
        stages = stack.layers[-(strategy.lora.layers or len(stack.layers)) :]
    elif strategy.name == "gradual":
        stages = gradual_stages(stack, strategy.gradual)[0]
    else:
        stages = trainable_stages(stack, strategy)
    learning = [stage for stage in stages if stack.names_of([stage])]
    return min([*learning, stack.prefix_limit])


def gradual_stages(stack: LayerStack, gradual: Gradual) -> list[list[int]]:
    """The stages of each phase: the head, ever more layers below it, and last what lies below the layers."""
    depth = min(gradual.depth or len(stack.layers), len(stack.layers))
    phases = [stack.kind(HEAD)]
    phases += [
        _down_to(stack, min(n, depth)) for n in range(gradual.layers, depth + gradual.layers, gradual.layers)
    ]
    if gradual.depth is None:
        phases.append([i for i in range(len(stack)) if i not in stack.kind(FRONT_END)])
    return phases


def _down_to(stack: LayerStack, layers: int) -> list[int]:
    """The top ``layers`` transformer layers and what lies above them."""
    lowest = stack.layers[max(0, len(stack.layers) - layers)]
    below = {*stack.kind(FRONT_END), *stack.kind(EMBEDDING)}
    return [i for i in range(len(stack)) if i >= lowest and i not in below]


def trainable_stages(stack: LayerStack, strategy: Strategy) -> list[int]:
    """Stages that learn under ``strategy``; the feature encoder only where the recipe says so."""
    everything = range(len(stack))
    if strategy.name == "head":
        return stack.kind(HEAD)
    if strategy.name == "full":
        frozen = [] if strategy.feature_encoder else stack.kind(FRONT_END)
        return [i for i in everything if i not in frozen]
    return _down_to(stack, strategy.top_layers or stack.usual_layers)
