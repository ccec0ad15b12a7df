"""The language that a model with several is taught: the recipe's, else that of the training rows.

Knows the rows' field ``lang`` and which languages a recogniser lists. Does not know tokens.
"""

from __future__ import annotations

import logging
from collections import Counter

from asr_adapt.errors import RecipeError
from asr_adapt.manifest import Manifest
from asr_adapt.models import Recogniser
from asr_adapt.training.recipe.schema import Recipe
from asr_adapt.transcription.row_languages import listed, say_unobeyed

logger = logging.getLogger(__name__)


def in_language(recipe: Recipe, recogniser: Recogniser, rows: Manifest) -> Recipe:
    """The recipe with the rows' language where it names none and the model lists several.

    Raises :class:`RecipeError` where rows are of several languages, since labels would begin with a wrong
    one, and where the model does not list theirs.
    """
    if recipe.decoder.language:
        say_unobeyed(recogniser, recipe.decoder.language, rows)
        return recipe
    if len(recogniser.capabilities.spoken_languages) < 2:
        return recipe
    short = Counter(listed(row.lang, recogniser.capabilities.spoken_languages) for row in rows if row.lang)
    if not short:
        logger.warning(
            "neither the rows (lang) nor the recipe name a language: %s learns the one saved with it, "
            "else English; set decoder.language",
            recogniser.name,
        )
        return recipe
    if len(short) > 1:
        told = ", ".join(f"{name} ({count})" for name, count in short.most_common(5))
        raise RecipeError(
            f"the training rows are of several languages ({told}): set decoder.language, or train on "
            "one language at a time.",
            field="decoder.language",
        )
    (language,) = short
    if language not in recogniser.capabilities.spoken_languages:
        raise RecipeError(
            f"the training rows are in {language!r}, which {recogniser.name} does not list: set "
            "decoder.language, "
            "and decoder.language_from for a language to start from.",
            field="decoder.language",
        )
    logger.info("%s learns the language of the rows: %s", recogniser.name, language)
    return recipe.model_copy(update={"decoder": recipe.decoder.model_copy(update={"language": language})})
