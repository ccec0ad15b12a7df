"""The recipe's sections on what learns: strategy and averages of weights.

Knows fields and ranges. Does not know how a strategy is carried out
(:mod:`asr_adapt.training.learning.unfreezing`).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from asr_adapt.training.recipe.section import Count, Positive, Section, Share

StrategyName = Literal["head", "top_layers", "full", "gradual", "lora", "adapters", "auto"]


class Gradual(Section):
    """When the next layers are freed, from the head down, and how they begin (gradual only)."""

    trigger: Literal["steps", "plateau"] = Field(
        "steps",
        description="Unfreeze the next layers after a number of steps, or when dev WER stops falling.",
    )
    every: Count | None = Field(
        None, description="Steps between unfreezings. Empty: everything is unfrozen after half of the steps."
    )
    patience: Count = Field(
        1, description="Evaluations without a better dev WER before the next layers are unfrozen (plateau)."
    )
    layers: Count = Field(1, description="Layers to unfreeze at a time.")
    depth: Count | None = Field(
        None, description="Top layers to unfreeze in total. Empty: all, and everything below them."
    )
    warmup: Annotated[int, Field(ge=0)] = Field(20, description="Warm-up steps of newly unfrozen layers.")
    factor: Positive = Field(1.0, description="Multiplier on the learning rate of later-unfrozen layers.")


class LoraSection(Section):
    """Low-rank updates of the layers' linear maps, saved as adapter/ and merged (lora only)."""

    rank: Count = Field(32, description="Rank of each update.")
    alpha: Positive = Field(64.0, description="Scale of the updates, times 1 / rank.")
    dropout: Share = Field(0.05, description="Dropout on the input of an update.")
    dora: bool = Field(False, description="Also train the weights' magnitudes (DoRA): slower, forgets less.")
    head: bool | None = Field(
        None, description="Also train the output head. Empty: unless it is also the input embedding."
    )
    layers: Count | None = Field(None, description="Number of top layers to adapt. Empty: all.")
    targets: tuple[str, ...] = Field(
        (), description="Linear layers to adapt (names or globs). Empty: all of attention and feed-forward."
    )


class AdaptersSection(Section):
    """The bottleneck adapters that the model itself has, as MMS does (adapters only)."""

    language: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")] = Field(
        "adapted", description="Name of the adapter: adapter.NAME.safetensors, ISO 639-3 in MMS."
    )


class Strategy(Section):
    """Which part of the network learns."""

    name: StrategyName = Field(
        "top_layers",
        description="head: output head only; top_layers: head, norm and the top k layers; full: all layers; "
        "gradual: from the head down, layer by layer; lora: low-rank updates of frozen weights; "
        "adapters: the model's own bottleneck adapters; auto: chosen from hours of speech and the base.",
    )
    top_layers: Count | None = Field(
        None,
        description="How many of the top layers learn (top_layers only); an encoder–decoder model's decoder "
        "lies above its encoder. Empty: 3, or the whole decoder.",
    )
    feature_encoder: bool = Field(
        False, description="Also train the convolutional feature encoder (full only; rarely useful)."
    )
    frozen: tuple[str, ...] = Field(
        (),
        description="Parameters or stages that stay as they are although the strategy would let them learn "
        "(names, globs or regular expressions; not with lora or adapters).",
    )
    gradual: Gradual = Gradual()
    lora: LoraSection = LoraSection()
    adapters: AdaptersSection = AdaptersSection()
    quantise: Literal["8bit", "4bit"] | None = Field(
        None,
        description="Keep the frozen linear layers in 8 bits (LLM.int8) or 4 bits (QLoRA's NormalFloat) "
        "during steps; the model is measured, merged and saved in float32 (lora and adapters only; extra "
        "small-gpu). Empty: bfloat16 where the run's precision is that on a GPU, else float32.",
    )
    offload: bool = Field(
        False,
        description="Keep the frozen linear layers in the computer's memory and copy each to the GPU when a "
        "step needs it (lora and adapters only): less GPU memory, slower steps.",
    )

    @model_validator(mode="after")
    def _frozen_base(self) -> Strategy:
        for field in ("quantise", "offload"):
            if not getattr(self, field):
                continue
            if self.name not in ("lora", "adapters"):
                raise ValueError(f"{field} needs name lora or adapters: it is for layers that stay frozen")
            if self.name == "lora" and self.lora.dora:
                raise ValueError(f"{field} and lora.dora cannot be combined: DoRA needs the weights' norms")
        return self


class Averaging(Section):
    """Averages of weights in place of the last ones."""

    ema: Annotated[float, Field(gt=0.0, lt=1.0)] | None = Field(
        None,
        description="Decay of a moving average of the weights, which is evaluated and saved instead of them.",
    )
    best: Count = Field(
        1,
        description="Average the weights of this many best evaluations; used unless its dev WER is worse.",
    )
