"""``strategy: auto``: which strategy suits the data and the base, and why.

Knows hours, depth and whether the base already recognises. Does not know rows, weights or how a strategy is
carried out. The limits are those of the guide's table: a part that learns from too little speech learns its
speakers, and the more layers learn the more of the old accent is lost. The head alone is never chosen: on
real speech it hardly learns, however little speech there is (docs/benchmarks.md, strategies).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from importlib.util import find_spec

from asr_adapt.models import Recogniser
from asr_adapt.training.recipe.schema import Recipe
from asr_adapt.training.recipe.starting_values import starting_values
from asr_adapt.training.recipe.strategy import Gradual, Strategy

logger = logging.getLogger(__name__)

#: Hours of training speech below which only a third or a half of the layers learn.
THIRD_HOURS, HALF_HOURS = 1.0, 5.0
#: Below this many hours an encoder–decoder model learns by LoRA, above HALF_HOURS as a whole.
LORA_HOURS = 1.0
NEW_HEAD_RATE = 10.0
DEEP_DECAY = 0.9


@dataclass(frozen=True)
class Situation:
    """What the choice depends on: training speech in ``hours`` (without replay), layers, the base's state.

    ``small``: by :mod:`asr_adapt.training.recipe.starting_values`, the whole network is quick to train.
    """

    hours: float
    layers: int
    tuned: bool
    decoder: bool = False
    lora: bool = True
    small: bool = False


@dataclass(frozen=True)
class Advice:
    """A strategy and its reason, half a sentence."""

    strategy: Strategy
    why: str

    def sentence(self) -> str:
        """For people and for ``summary.json``."""
        chosen = self.strategy
        detail = f": {chosen.top_layers}" if chosen.name == "top_layers" and chosen.top_layers else ""
        return f"strategy auto chose {chosen.name}{detail}, because {self.why}."


def advise(found: Situation, steps: int) -> Advice:
    """The strategy for a situation; ``steps`` is the length of the schedule."""
    spoken = f"{found.hours * 60:.0f} minutes" if found.hours < 1 else f"{found.hours:.1f} hours"
    if not found.tuned:
        first = max(1, steps // 3)
        gradual = Gradual(layers=found.layers, every=first)
        why = "the output head is new: its first gradients would damage the layers"
        return Advice(Strategy(name="gradual", gradual=gradual), why)
    if found.decoder:
        return _decoder(found, spoken)
    if found.hours < HALF_HOURS:
        third = found.hours < THIRD_HOURS
        layers = max(1, round(found.layers / (3 if third else 2)))
        why = (
            f"{spoken} of speech are enough for {layers} of {found.layers} layers; more would "
            "forget the old accent"
        )
        return Advice(Strategy(name="top_layers", top_layers=layers), why)
    return Advice(
        Strategy(name="full"), f"{spoken} of speech are enough for all layers, with lower rates below"
    )


def _decoder(found: Situation, spoken: str) -> Advice:
    if found.small:
        return Advice(
            Strategy(name="full"), "an accent is mostly acoustic, and this encoder is quick to train"
        )
    if found.hours >= HALF_HOURS:
        return Advice(Strategy(name="full"), f"{spoken} of speech are enough for encoder and decoder")
    if found.hours < LORA_HOURS and found.lora:
        return Advice(Strategy(name="lora"), f"{spoken} of speech are not enough to change all weights")
    return Advice(
        Strategy(name="top_layers"),
        f"{spoken} of speech are enough for the decoder; the encoder stays frozen",
    )


def advised(recipe: Recipe, recogniser: Recogniser, hours: float) -> tuple[Recipe, str | None]:
    """The recipe with ``auto`` replaced, and the reason; any other recipe as it is.

    Rates that follow from the choice are set where the recipe leaves them out: ten times the rate for a new
    head, and rates that fall with depth where all layers learn.
    """
    if recipe.strategy.name != "auto":
        return recipe, None
    found = Situation(
        hours,
        len(recogniser.stack.layers),
        tuned=recipe.vocabulary.mode != "replace" and not recogniser.fresh_head,
        decoder=recogniser.capabilities.tied_head,
        lora=find_spec("peft") is not None,
        small=starting_values(recogniser).strategy == "full",
    )
    advice = advise(found, recipe.schedule.steps)
    own = recipe.optimiser
    rates: dict[str, float] = {}
    if not found.tuned and own.head_learning_rate is None:
        rates["head_learning_rate"] = NEW_HEAD_RATE * own.learning_rate
    deep = advice.strategy.name in ("full", "gradual") and not found.small
    if deep and "layer_decay" not in own.model_fields_set:
        rates["layer_decay"] = DEEP_DECAY
    logger.info("%s", advice.sentence())
    changed = {"strategy": advice.strategy, "optimiser": own.model_copy(update=rates)}
    return recipe.model_copy(update=changed), advice.sentence()
