"""The recipe's sections on what learns: strategy and averages of weights.

Knows fields and ranges. Does not know how a strategy is carried out (:mod:`asr_adapt.training.unfreezing`).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from asr_adapt.training.section import Count, Section

StrategyName = Literal["head", "top_layers", "full"]


class Strategy(Section):
    """Which part of the network learns."""

    name: StrategyName = Field(
        "top_layers",
        description="head: output head only; top_layers: head, norm and the top k layers; full: all layers.",
    )
    top_layers: Count = Field(
        3, description="How many of the top transformer layers learn (top_layers only)."
    )
    feature_encoder: bool = Field(
        False, description="Let the convolutional feature encoder learn too (full only; rarely right)."
    )


class Averaging(Section):
    """Averages of weights in place of the last ones."""

    ema: Annotated[float, Field(gt=0.0, lt=1.0)] | None = Field(
        None,
        description="Decay of a moving average of the weights, which is measured and saved in their place.",
    )
    best: Count = Field(
        1,
        description="Average the weights of this many best evaluations; kept unless its dev WER is worse.",
    )
