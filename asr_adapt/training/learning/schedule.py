"""Learning rates over time and over depth.

Knows the shape of the schedule and how the stack's depth becomes optimiser groups. Does not
know data or loss.
"""

from __future__ import annotations

import math
from typing import Any

from asr_adapt.models import LayerStack
from asr_adapt.training.learning.rates import rate_overrides
from asr_adapt.training.learning.strategies import LearningPlan
from asr_adapt.training.recipe.schema import Optimiser, Schedule


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


def parameter_groups(stack: LayerStack, plan: LearningPlan, optimiser: Optimiser) -> list[dict[str, Any]]:
    """Optimiser groups of every parameter that ever learns; ``peak`` holds a group's peak rate.

    ``matrix`` marks the weight matrices of the transformer layers, ``phase`` the phase in which a group
    begins to learn: until then it has no gradient, which every optimiser passes over, and no state.

    The rate falls by ``layer_decay`` per layer from the top (Howard & Ruder 2018), times the factors of
    ``rates``; biases and norms (one-dimensional parameters) are not decayed.
    """
    factors = rate_overrides(optimiser.rates, stack, plan.names)
    groups: dict[tuple[float, float, bool, int], dict[str, Any]] = {}
    for name, parameter in plan.model.named_parameters():
        if name not in plan.names:
            continue
        depth = max(0, stack.depth_from_top(name) - 1)
        rate = optimiser.learning_rate * optimiser.layer_decay**depth
        if stack.is_head(name):
            rate = optimiser.head_learning_rate or optimiser.learning_rate
        rate *= factors[name]
        decay = optimiser.weight_decay if parameter.ndim > 1 else 0.0
        matrix = parameter.ndim == 2 and stack.in_layers(name)
        phase = plan.phase_of(name)
        new = {
            "params": [],
            "peak": rate,
            "lr": rate,
            "weight_decay": decay,
            "matrix": matrix,
            "phase": phase,
        }
        groups.setdefault((rate, decay, matrix, phase), new)["params"].append(parameter)
    return list(groups.values())
