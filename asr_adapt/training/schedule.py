"""Learning rates over time and over depth.

Knows the shape of the schedule and how the stack's depth becomes optimiser groups. Does not
know data or loss.
"""

from __future__ import annotations

import math
from typing import Any

from torch import nn

from asr_adapt.models import LayerStack
from asr_adapt.models.stack import EMBEDDING, FRONT_END, HEAD
from asr_adapt.training.recipe import Optimiser, Schedule, Strategy


def rate_factor(schedule: Schedule, step: int) -> float:
    """Share of the peak rate at optimiser step ``step`` (0-based); a pure function, so resuming needs none.

    ``tri_stage`` follows wav2vec 2.0 (Baevski et al. 2020): linear rise, hold, exponential decay.
    """
    done = (step + 1) / schedule.steps
    if done < schedule.warmup:
        return done / schedule.warmup
    if schedule.kind == "constant":
        return 1.0
    if schedule.kind == "tri_stage":
        decay_from = schedule.warmup + schedule.hold
        if done <= decay_from or schedule.final == 0.0:
            return 1.0
        return math.exp(math.log(schedule.final) * (done - decay_from) / (1.0 - decay_from))
    left = max(0.0, 1.0 - (done - schedule.warmup) / (1.0 - schedule.warmup))
    if schedule.kind == "linear":
        return left
    return schedule.final + (1.0 - schedule.final) * 0.5 * (1.0 - math.cos(math.pi * left))


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


def parameter_groups(stack: LayerStack, model: nn.Module, optimiser: Optimiser) -> list[dict[str, Any]]:
    """Optimiser groups of the trainable parameters; ``peak`` holds a group's peak rate.

    ``matrix`` marks the weight matrices of the transformer layers.

    The rate falls by ``layer_decay`` per layer from the top (Howard & Ruder 2018); biases and norms
    (one-dimensional parameters) are not decayed.
    """
    groups: dict[tuple[float, float, bool], dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        depth = max(0, stack.depth_from_top(name) - 1)
        rate = optimiser.learning_rate * optimiser.layer_decay**depth
        if stack.is_head(name):
            rate = optimiser.head_learning_rate or optimiser.learning_rate
        decay = optimiser.weight_decay if parameter.ndim > 1 else 0.0
        matrix = parameter.ndim == 2 and stack.in_layers(name)
        new = {"params": [], "peak": rate, "lr": rate, "weight_decay": decay, "matrix": matrix}
        groups.setdefault((rate, decay, matrix), new)["params"].append(parameter)
    return list(groups.values())
