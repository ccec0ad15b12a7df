"""A recipe carried out: batching, schedule of layers and rates, THE loop, checkpoints, outcome.

Knows manifests and the recogniser contract. Does not know families, foreign layouts or the command line.
"""

from asr_adapt.training.adapt import adapt
from asr_adapt.training.outcome import Outcome, predictions_of
from asr_adapt.training.recipe import Recipe
from asr_adapt.training.recipe_file import build_recipe, load_recipe, save_recipe

__all__ = ["Outcome", "Recipe", "adapt", "build_recipe", "load_recipe", "predictions_of", "save_recipe"]
