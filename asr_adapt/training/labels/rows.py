"""The rows of train and replay, checked and with their labels.

Knows the order: choose a style, check, hear the base where its style is wanted, check what came of it. Does
not know how a style is chosen, nor how batches are made of the rows.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from asr_adapt.manifest import Manifest
from asr_adapt.models import Recogniser
from asr_adapt.training.data.corpus import Corpus, check_characters, check_rows, unwritable
from asr_adapt.training.labels.choice import Taught, begin
from asr_adapt.training.labels.style import Hear, finish, hearing
from asr_adapt.training.recipe.schema import Recipe

logger = logging.getLogger(__name__)


@dataclass
class LabelledRows:
    """``parts``: a corpus a manifest; ``styles``: what each teaches, by name; ``dropped``: rows left out."""

    parts: list[Corpus] = field(default_factory=list)
    styles: dict[str, Taught] = field(default_factory=dict)
    dropped: list[str] = field(default_factory=list)


def labelled_rows(
    recipe: Recipe,
    recogniser: Recogniser,
    train: Manifest,
    replay: Manifest | None,
    folder: Path,
    spell: Callable[[str], str],
    hear: Hear | None = None,
) -> LabelledRows:
    """Check and label every row; the style of each manifest is chosen by itself.

    Labels in the base's style are kept in ``folder``; ``hear`` gives transcripts of the base in rows.
    Raises :class:`~asr_adapt.errors.DataError` naming the first row that cannot be learnt from, before the
    base is heard.
    """
    result = LabelledRows()
    for name, manifest in {"train": train, "replay": replay}.items():
        if manifest is None:
            continue
        taught = begin(recipe, recogniser, manifest, name, spell)
        if taught.style == "model":
            valid = _checked(recipe, recogniser, taught.rows, result.dropped)
            path = folder / ("labels.jsonl" if name == "train" else f"labels.{name}.jsonl")
            taught = finish(
                replace(taught, rows=Manifest.of(valid.rows)),
                recogniser,
                path,
                hear or hearing(recogniser, recipe.evaluation.batch_seconds),
                spell,
                forced=recipe.labels.style == "model",
            )
        _require_characters(recipe, recogniser, taught.rows)
        result.parts.append(_checked(recipe, recogniser, taught.rows, result.dropped))
        result.styles[name] = taught
    return result


def _require_characters(recipe: Recipe, recogniser: Recogniser, rows: Manifest) -> None:
    """An error where the model's own vocabulary lacks a character; a new one was made from the train rows."""
    if recipe.vocabulary.mode == "keep":
        check_characters(rows, recogniser)
    elif lacking := unwritable(rows, recogniser).most_frequent():
        logger.warning("characters outside the new vocabulary become <unk>: %s", lacking)


def _checked(recipe: Recipe, recogniser: Recogniser, rows: Manifest, dropped: list[str]) -> Corpus:
    augmenter = recipe.augment.augmenter(recipe.seed)
    shortest = augmenter.shortest if augmenter else 1.0
    drop = recipe.invalid_rows == "drop"
    corpus, sentences = check_rows(rows, recogniser, drop=drop, shortest=shortest)
    for sentence in sentences:
        logger.warning("left out: %s", sentence)
    dropped.extend(sentences)
    return corpus
