"""What a recipe leaves out, chosen by the kind and size of the model: rate, steps, blending.

Knows the table below. Does not know rows or how a recipe is carried out. The figures for tiny and base are
from ``benchmarks/sweep_defaults.py`` (docs/benchmarks.md, "Starting values of a pretrained Whisper"); larger
ones have the rates that others fine-tune them with, smaller for larger models. Those for CTC are from
docs/benchmarks.md, "Strategies", and from what others published for wav2vec 2.0.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from asr_adapt.models import Recogniser
from asr_adapt.training.recipe.schema import Recipe

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class StartingValues:
    """For models of ``kind`` with at most so many ``millions`` of parameters.

    ``rate`` is for weights of the model's own, ``lora_rate`` where only low-rank updates learn. ``budget`` is
    the guard's, under which base and adapted weights are blended where there is a guard (None: no blend).
    ``strategy`` is what learns: an accent is in the sounds, so where it can be afforded, the encoder too.
    ``share`` of the learnt weights is kept where an accent is learnt and nothing says what must not be lost.
    ``on_gpu`` lines are for CUDA devices, where a learning encoder costs little. ``silence`` is the share of
    rows without speech, lest the model write words into noise; ``timestamps`` that of rows whose target has
    them, lest it forget where phrases end in long audio.
    """

    kind: str
    millions: float
    rate: float
    lora_rate: float
    steps: int
    budget: str | None = None
    strategy: str = "top_layers"
    silence: float = 0.0
    timestamps: float = 0.0
    on_gpu: bool = False
    share: float | None = None


#: Fields that are chosen where a recipe leaves them out.
CHOSEN = (
    *("optimiser.learning_rate", "schedule.steps", "strategy.name", "strategy.frozen", "silence.share"),
    *("evaluation.batch_seconds", "decoder.timestamps_share"),
    *("retention.guard_budget", "retention.points", "retention.share"),
)
#: Share of silent rows for a model that hears 30 s, most of them empty, whatever is said.
SILENCE = 0.06
#: Share of rows with timestamps, for a model that writes them.
TIMESTAMPS = 0.5
#: Mixtures tried where the encoder learns.
FULL_POINTS = 3
#: What an accent leaves alone: tokens stand for the same words. Frozen, an encoder–decoder model of which all
#: layers learn forgets less at the same gain; a new language needs them.
WORDS = ("*.embed_tokens.*",)
#: Seconds in one evaluation batch on a GPU, which a few clips leave idle.
GPU_BATCH_SECONDS = 1280.0
#: The first line that fits is taken.
TABLE = (
    StartingValues("attention", 20, rate=2e-4, lora_rate=2e-4, steps=400),  # the bundled nano-whisper
    StartingValues(
        "attention",
        60,
        rate=5e-5,
        lora_rate=3e-4,
        steps=60,
        budget="10% or 0.01",
        strategy="full",
        silence=SILENCE,
        timestamps=TIMESTAMPS,
        share=0.5,
    ),  # tiny
    StartingValues(
        "attention",
        150,
        rate=2e-5,
        lora_rate=2e-4,
        steps=60,
        budget="10% or 0.01",
        strategy="full",
        silence=SILENCE,
        timestamps=TIMESTAMPS,
        on_gpu=True,
        share=0.75,
    ),  # base
    StartingValues(
        "attention",
        150,
        rate=2.5e-5,
        lora_rate=2.5e-4,
        steps=100,
        budget="10% or 0.01",
        silence=SILENCE,
        timestamps=TIMESTAMPS,
        share=0.75,
    ),  # base, on a CPU
    StartingValues(
        "attention",
        400,
        rate=1.25e-5,
        lora_rate=1.5e-4,
        steps=400,
        budget="10% or 0.01",
        silence=SILENCE,
        timestamps=TIMESTAMPS,
    ),  # small
    StartingValues(
        "attention",
        float("inf"),
        rate=6e-6,
        lora_rate=1e-4,
        steps=400,
        budget="10% or 0.01",
        silence=SILENCE,
        timestamps=TIMESTAMPS,
    ),
    StartingValues("ctc", 20, rate=2e-4, lora_rate=2e-4, steps=400),  # the bundled nano-en
    StartingValues("ctc", float("inf"), rate=3e-5, lora_rate=3e-4, steps=400),
)


def starting_values(recogniser: Recogniser) -> StartingValues:
    """The line of :data:`TABLE` for a model."""
    kind = "attention" if recogniser.capabilities.decoder else "ctc"
    millions = sum(p.numel() for p in recogniser.model.parameters()) / 1e6
    gpu = _on_gpu(recogniser)
    fitting = (line for line in TABLE if line.kind == kind and millions <= line.millions)
    return next(line for line in fitting if gpu or not line.on_gpu)


def _on_gpu(recogniser: Recogniser) -> bool:
    return recogniser.device.type == "cuda"


def with_starting_values(recipe: Recipe, recogniser: Recogniser) -> Recipe:
    """The recipe with the table's values where it leaves a field out; they are said.

    A model whose layers start anew (another vocabulary, random weights) keeps the recipe's own defaults:
    the table is for models that recognise already.
    """
    if recipe.initialise == "random" or recipe.vocabulary.mode == "replace":
        return recipe
    found = starting_values(recogniser)
    rate = found.lora_rate if recipe.strategy.name in ("lora", "adapters") else found.rate
    chosen: dict[str, dict[str, Any]] = {
        "optimiser": {"learning_rate": rate},
        "schedule": {"steps": found.steps},
    }
    if not recipe.strategy.model_fields_set:  # top_layers: 2 alone says what learns
        chosen["strategy"] = {"name": found.strategy}
        if found.strategy == "full" and recipe.decoder.language in (None, "en"):
            chosen["strategy"]["frozen"] = WORDS
    if _on_gpu(recogniser):
        chosen["evaluation"] = {"batch_seconds": GPU_BATCH_SECONDS}
    chosen |= _long_audio(recipe, recogniser, found)
    if recipe.guard and found.budget is not None and recipe.vocabulary.mode == "keep":
        chosen["retention"] = {"guard_budget": found.budget}
        if "strategy" in chosen and found.strategy == "full":
            chosen["retention"]["points"] = FULL_POINTS  # each mixture runs the encoder on dev and guard
    watched = recipe.guard or recipe.replay or recipe.vocabulary.mode != "keep"
    if not watched and "strategy" in chosen and found.share and recipe.decoder.language in (None, "en"):
        chosen["retention"] = {"share": found.share}
    sections = {name: _filled(getattr(recipe, name), values) for name, values in chosen.items()}
    shown = [
        f"{name}.{field} {value}"
        for name, values in chosen.items()
        for field, value in values.items()
        if field not in getattr(recipe, name).model_fields_set
    ]
    if shown:
        logger.info("defaults of this model: %s", ", ".join(shown))
    return recipe.model_copy(update=sections)


def _long_audio(recipe: Recipe, recogniser: Recogniser, found: StartingValues) -> dict[str, dict[str, Any]]:
    """What keeps a model fit for long audio, where nobody speaks at times and times are asked for."""
    can, chosen = recogniser.capabilities, {}
    if can.silence and found.silence:
        chosen["silence"] = {"share": found.silence}
    if can.timestamps and found.timestamps and not recipe.augment.speed:
        chosen["decoder"] = {"timestamps_share": found.timestamps}
    return chosen


def _filled(section: BaseModel, values: dict[str, Any]) -> BaseModel:
    """``section`` with ``values`` for the fields that were not given."""
    return section.model_copy(update={k: v for k, v in values.items() if k not in section.model_fields_set})
