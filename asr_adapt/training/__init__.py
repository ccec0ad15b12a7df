"""A recipe carried out: batching, schedule of layers and rates, THE loop, checkpoints, outcome.

Knows manifests and the recogniser contract. Does not know families, foreign layouts or the command line.
The names are imported lazily, so that a recipe is read, and its mistakes are named, without torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asr_adapt.training.adapting import adapt
    from asr_adapt.training.outcome import Outcome
    from asr_adapt.training.outcome_files import predictions_of
    from asr_adapt.training.recipe.file import build_recipe, load_recipe, save_recipe
    from asr_adapt.training.recipe.schema import Recipe

_PLACES = {
    "adapt": "adapting",
    "Outcome": "outcome",
    "predictions_of": "outcome_files",
    "Recipe": "recipe.schema",
    "build_recipe": "recipe.file",
    "load_recipe": "recipe.file",
    "save_recipe": "recipe.file",
}
__all__ = ["Outcome", "Recipe", "adapt", "build_recipe", "load_recipe", "predictions_of", "save_recipe"]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)
