"""Replay rows that the base labels itself: what it hears in them is what it must not forget.

Knows whose words the labels are. Does not know batches, nor how rows are transcribed. No transcripts are
needed: any speech that the base recognises well will do (learning without forgetting, Li & Hoiem 2016).
"""

from __future__ import annotations

import logging

from asr_adapt.errors import DataError
from asr_adapt.manifest import Manifest
from asr_adapt.text import normalise
from asr_adapt.training.labels.style import Hear
from asr_adapt.training.recipe.schema import Recipe

logger = logging.getLogger(__name__)


def self_labelled(recipe: Recipe, rows: Manifest, hear: Hear) -> Manifest:
    """``rows`` with the text that the base hears in them (``hear``); where that is none, a row is left out.

    Raises :class:`DataError` where it hears nothing in any of them.
    """
    heard = hear(rows)
    kept = [
        row.replace(text=text)
        for row, text in zip(rows, heard, strict=True)
        if normalise(text, recipe.normalise)
    ]
    if not kept:
        raise DataError(
            "the base finds no words in any replay row: use other speech, or labels: text.",
            path=", ".join(map(str, rows.paths)),
            field="replay.labels",
        )
    silent = len(rows) - len(kept)
    if silent:
        logger.warning("%d of %d replay rows are dropped: the base finds no words in them", silent, len(rows))
    return Manifest.of(kept)
