"""What a resolved recipe is going to do, in one sentence: what learns, how fast, and what guards the old.

Knows fields. Does not know rows, minutes or memory (:mod:`asr_adapt.training.device.forecast`).
"""

from __future__ import annotations

from asr_adapt.training.recipe.schema import Recipe


def plan(recipe: Recipe) -> str:
    """``strategy full, learning rate 5e-05, 60 steps; replay 30 % of each batch; blend within …``."""
    rate = f"learning rate {recipe.optimiser.learning_rate:g}"
    learning = f"strategy {recipe.strategy.name}, {rate}, {recipe.schedule.steps} steps"
    replay = f"replay {100 * recipe.replay.share:g} % of each batch" if recipe.replay else "no replay"
    return "; ".join((learning, replay, _blend(recipe)))


def _blend(recipe: Recipe) -> str:
    """How base and adapted weights are mixed at the end."""
    if recipe.retention.budget is not None:
        return f"weights blended so that guard WER rises by at most {recipe.retention.budget}"
    if recipe.retention.share is not None:
        return f"{100 * recipe.retention.share:g} % of the learnt weights kept"
    return "no blend of weights"
