"""The recipe's sections on how weights move: optimiser, and schedule of its rate.

Knows fields and ranges. Does not know torch's optimisers, nor how a rate becomes a parameter's.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from asr_adapt.training.recipe.section import Count, Positive, Section, Share


class Optimiser(Section):
    """Optimiser, with separate rates for body and head."""

    kind: Literal["adamw", "adamw_8bit", "muon"] = Field(
        "adamw",
        description="muon: Muon on the layers' matrices, AdamW on the rest; for training from scratch. "
        "adamw_8bit: AdamW with its moments in 8 bits, a quarter of the memory (extra small-gpu).",
    )
    learning_rate: Positive = Field(
        2e-4, description="Peak learning rate of the top trainable layer. Default: chosen for the model."
    )
    head_learning_rate: Positive | None = Field(
        None, description="Peak learning rate of the head. Default: learning_rate."
    )
    layer_decay: Annotated[float, Field(gt=0.0, le=1.0)] = Field(
        1.0, description="Learning rate of each layer, as a factor of the one above it."
    )
    rates: dict[str, Positive] = Field(
        {},
        description="Name → factor on the rate; a glob or regular expression for whole parameter or stage "
        "names. Factors of several matches multiply.",
    )
    weight_decay: Annotated[float, Field(ge=0.0)] = Field(
        0.01, description="Weight decay; not applied to norms and biases."
    )
    betas: tuple[Share, Share] = Field((0.9, 0.98), description="Adam's decay rates.")
    gradient_clip: Annotated[float, Field(ge=0.0)] = Field(
        1.0, description="Maximum gradient norm; 0 disables clipping."
    )


class Schedule(Section):
    """How long, and how the rate moves."""

    steps: Count = Field(400, description="Optimiser steps. Default: chosen for the model.")
    kind: Literal["tri_stage", "linear", "cosine", "constant"] = Field(
        "tri_stage",
        description="After warm-up: hold then exponential decay, linear or cosine to zero, or constant.",
    )
    warmup: Share = Field(0.1, description="Share of the steps used for warm-up.")
    hold: Share = Field(0.4, description="Share of the steps at the peak (tri_stage).")
    final: Share = Field(0.05, description="Final rate as a share of the peak (tri_stage, cosine).")

    @model_validator(mode="after")
    def _fits(self) -> Schedule:
        if self.kind == "tri_stage" and self.warmup + self.hold > 1.0:
            raise ValueError("warmup + hold must not exceed 1")
        return self
