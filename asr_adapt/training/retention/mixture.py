"""Retention: at the end of a run, the mixture of base and adapted weights that the guard can bear.

Knows when it applies, what it loads and what it leaves behind. Does not know how weights are mixed or chosen
(:mod:`asr_adapt.training.retention.blending`) nor how the model was trained.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from asr_adapt.errors import MissingExtraError
from asr_adapt.files import write_json
from asr_adapt.models import DecoderSettings, Recogniser, load_recogniser
from asr_adapt.scoring.rise import Rise
from asr_adapt.training.recipe.schema import Recipe
from asr_adapt.training.retention.blending import (
    Blend,
    Mixer,
    require_same_shape,
    require_same_vocabulary,
    sweep,
    weights_of,
)
from asr_adapt.training.retention.plot import write_blend_plot

logger = logging.getLogger(__name__)
NAME = "retention"


@dataclass(frozen=True)
class Retained:
    """The finished sweep on the dev sets, and under which budget."""

    blend: Blend
    budget: Rise
    #: Parameter → share of what it learnt that was kept.
    shares: Mapping[str, float]

    @property
    def limit(self) -> float:
        """The highest guard WER (dev) that was allowed."""
        return self.budget.limit(self.blend.base.guard)

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``summary.json``; WERs of the dev sets as fractions."""
        return {
            "budget": str(self.budget),
            "sentence": self.sentence(),
            "guard_limit": self.limit,
            **self.blend.to_json(),
        }

    def write(self, folder: Path) -> None:
        """``retention.json`` and, where matplotlib is installed, ``retention.svg`` and ``.png``."""
        write_json(folder / f"{NAME}.json", self.to_json())
        write_plot(folder / NAME, self.blend, self.limit)

    def sentence(self) -> str:
        """What was chosen, for people."""
        base, chosen = self.blend.base, self.blend.chosen
        whole = max((p for p in self.blend.points if not p.shares), key=lambda p: p.share)
        shares = f" (by group of layers: {', '.join(f'{s:.2g}' for s in chosen.shares)})"
        return (
            f"{chosen.share:.2f} of the adapted weights were kept{shares if chosen.shares else ''}: on dev, "
            f"target {base.target:.1%} to {chosen.target:.1%}, guard {base.guard:.1%} to {chosen.guard:.1%} "
            f"(budget {self.budget}; unblended {whole.target:.1%} and {whole.guard:.1%})."
        )


@dataclass(frozen=True)
class KeptShare:
    """A share of the learnt weights that was kept without asking a guard, because there is none."""

    share: float
    #: The same by parameter.
    shares: Mapping[str, float]

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``summary.json``."""
        return {"share": self.share, "sentence": self.sentence()}

    def write(self, folder: Path) -> None:
        """``retention.json``."""
        write_json(folder / f"{NAME}.json", self.to_json())

    def sentence(self) -> str:
        """What was kept, for people."""
        return (
            f"{self.share:.2f} of the adapted weights were kept, so that less of what the base knew is lost: "
            "nothing was given to measure that by. Name a guard, and its WER decides; retention.share: 1 "
            "keeps all."
        )


def write_plot(stem: Path, blend: Blend, limit: float) -> None:
    """Draw the sweep; without matplotlib a warning says what to install, and the finished run is kept."""
    try:
        write_blend_plot(stem, blend.to_json(), limit)
    except MissingExtraError as error:
        logger.warning("no plot: %s", error)


def retain(
    recipe: Recipe, recogniser: Recogniser, measure: Callable[[], Mapping[str, Any]]
) -> Retained | KeptShare | None:
    """Blend ``recogniser`` (adapted, merged) with the recipe's base within its guard budget, or by a share.

    ``measure`` gives ``dev`` and ``guard`` WER of the recogniser as it is now. The chosen weights are left in
    ``recogniser``. Returns None where the recipe has neither budget nor share.
    """
    budget, share = recipe.retention.budget, recipe.retention.share or 1.0
    if budget is None and share == 1.0:
        return None
    base = load_recogniser(recipe.model, device="cpu", compute_type="float32")
    base.configure(recipe.decoder.settings(DecoderSettings))
    weights = weights_of(base), weights_of(recogniser)
    require_same_shape(*weights, (recipe.model, "the adapted model"))
    require_same_vocabulary(base, recogniser)

    def both() -> tuple[float, float]:
        values = measure()
        return values["dev"], values["guard"]

    mixer = Mixer(recogniser, *weights, groups=recipe.retention.groups)
    shares = np.linspace(0.0, 1.0, recipe.retention.points).tolist() if mixer.changed else [0.0]
    recogniser.model.eval()
    if budget is None:
        mixer.set([share] * len(mixer.groups))
        kept = KeptShare(share, mixer.shares)
        logger.info("%s", kept.sentence())
        return kept
    blend = sweep(mixer, both, budget, shares, refine=recipe.retention.refine)
    found = Retained(blend, budget, mixer.shares)
    logger.info("%s", found.sentence())
    return found
