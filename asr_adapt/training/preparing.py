"""What a run starts from: everything that a recipe names, loaded and checked.

Knows the order: manifests, model, vocabulary, language, labels, batches. Does not know what learns, nor
steps.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from accelerate import Accelerator

from asr_adapt.errors import RecipeError
from asr_adapt.manifest import Manifest, require_rows
from asr_adapt.models import (
    DecoderSettings,
    Dropout,
    Recogniser,
    load_recogniser,
    set_vocabulary,
    weights_fingerprint,
)
from asr_adapt.training.callbacks.trackers import require_trackers
from asr_adapt.training.data.batches import BatchLimits, BatchPlan, Silent
from asr_adapt.training.data.corpus import Corpus, silent_rows
from asr_adapt.training.data.windows import Packing
from asr_adapt.training.device.accelerator import seed_all
from asr_adapt.training.device.batch_size import DEFAULT_ROWS, PACKED_ROWS, with_default
from asr_adapt.training.device.frozen_weights import require_small
from asr_adapt.training.labels.choice import fitted, speller, train_vocabulary
from asr_adapt.training.labels.replayed import self_labelled
from asr_adapt.training.labels.rows import LabelledRows, labelled_rows
from asr_adapt.training.learning import sharding
from asr_adapt.training.learning.strategies import expected_boundary
from asr_adapt.training.measuring.sets import Measuring, times_measured
from asr_adapt.training.measuring.wer import spread
from asr_adapt.training.prefix.measured import MeasuredPrefix
from asr_adapt.training.recipe.advice import advised
from asr_adapt.training.recipe.file import expand
from asr_adapt.training.recipe.language import in_language
from asr_adapt.training.recipe.remarks import remarks
from asr_adapt.training.recipe.schema import Recipe
from asr_adapt.training.recipe.starting_values import with_starting_values
from asr_adapt.training.watching import Watch

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sets:
    """The manifests of a run, each opened once; ``dev`` and ``guard`` as many rows as the recipe says, the
    ``tests`` of the before/after figures whole, by name."""

    train: Manifest
    dev: Manifest
    guard: Manifest | None
    replay: Manifest | None
    tests: Mapping[str, Manifest]


@dataclass(frozen=True)
class Ready:
    """A recipe without anything left to choose, its model, its rows and their batches."""

    recipe: Recipe
    accelerator: Accelerator
    sets: Sets
    recogniser: Recogniser
    corpus: Corpus
    advice: str | None
    labelled: LabelledRows
    measuring: Measuring
    #: Whether the recipe left the size of a micro-batch out.
    default_batch: bool


def prepare(
    recipe: Recipe,
    accelerator: Accelerator,
    exchange: Callable[[Recogniser], Recogniser] | None,
    folder: Path,
    watch: Watch,
) -> Ready:
    """Load and check everything that the recipe names; labels that had to be made are kept in ``folder``.

    ``exchange`` may give another recogniser for the loaded one.
    """
    require_trackers(recipe.trackers)
    require_small(recipe)
    sets = open_sets(recipe)
    for sentence in remarks(recipe):
        logger.warning("note: %s", sentence)
    recogniser, spell = load_model(recipe, sets.train, accelerator)
    if exchange is not None:
        recogniser = exchange(recogniser)
    given = recipe.decoder.language
    recipe = in_language(recipe, recogniser, sets.train)
    recogniser.configure(recipe.decoder.settings(DecoderSettings))
    recipe, advice = advised(recipe, recogniser, float(np.nansum(sets.train.durations)) / 3600)
    recipe = with_starting_values(recipe, recogniser)
    measuring = _measuring(recipe, sets, recogniser, watch, given)

    def hear(rows: Manifest) -> list[str]:
        return measuring.heard(recogniser, rows)

    if recipe.replay is not None and sets.replay is not None and recipe.replay.labels == "base":
        sets = replace(sets, replay=self_labelled(recipe, sets.replay, hear))
    labelled = labelled_rows(recipe, recogniser, sets.train, sets.replay, folder, spell, hear)
    pack = packing(recipe, recogniser)
    default = recipe.batch.seconds is None
    recipe = with_default(recipe, recogniser.heard_seconds, DEFAULT_ROWS if pack is None else PACKED_ROWS)
    silent = silent_rows(silence_of(recipe, recogniser), recogniser) if recipe.silence.share else None
    corpus = _corpus(recipe, recogniser, labelled.parts, silent, pack)
    sharding.require_shardable(recipe)
    _set_dropout(recogniser, recipe)
    return Ready(recipe, accelerator, sets, recogniser, corpus, advice, labelled, measuring, default)


def open_sets(recipe: Recipe) -> Sets:
    """The recipe's manifests; raises :class:`~asr_adapt.errors.DataError` for one without rows."""

    def opened(paths: list[str] | None) -> Manifest | None:
        return None if paths is None else require_rows(Manifest.open(expand(paths)))

    train, dev, guard = opened(recipe.train), opened(recipe.dev), opened(recipe.guard)
    assert train is not None and dev is not None  # required fields of the recipe
    replay = opened(recipe.replay.manifest if recipe.replay else None)
    tests = {"target": dev if recipe.test is None else Manifest.open(expand(recipe.test))}
    if guard is not None:
        tests["guard"] = guard if recipe.guard_test is None else Manifest.open(expand(recipe.guard_test))
    rows = recipe.evaluation.rows
    return Sets(train, spread(dev, rows), None if guard is None else spread(guard, rows), replay, tests)


def load_model(
    recipe: Recipe, train: Manifest, accelerator: Accelerator
) -> tuple[Recogniser, Callable[[str], str]]:
    """The recogniser with its vocabulary, and a call that makes label texts of characters it can write."""
    recogniser = load_recogniser(
        recipe.model,
        device=str(accelerator.device),
        compute_type="float32",
        new_head=True,
        new_vocabulary=recipe.vocabulary.mode == "replace",
    )
    if recipe.initialise == "random":
        seed_all(recipe.seed)
        _reinitialise(recogniser.model)
    if recipe.vocabulary.mode == "keep":
        return recogniser, speller(recogniser)
    found = train_vocabulary(recipe, recogniser, train)
    spell = speller(recogniser, found, fitted(recipe, recogniser))
    return set_vocabulary(recogniser, found.characters, recipe.vocabulary.mode), spell


def _reinitialise(model: Any) -> None:
    """Fresh weights of the same architecture, as transformers initialises them."""
    fresh = type(model)(model.config)
    model.load_state_dict(fresh.state_dict())


def _measuring(
    recipe: Recipe, sets: Sets, recogniser: Recogniser, watch: Watch, language: str | None
) -> Measuring:
    """What the run measures; dev and guard in part where the recipe says so, the tests whole."""
    boundary = expected_boundary(recogniser.stack, recipe.strategy)
    prefix = MeasuredPrefix(recipe.cache, times_measured(recipe), boundary, watch)
    keeps = recipe.cache.transcripts and recipe.initialise == "pretrained"
    known = weights_fingerprint(recogniser) if keeps else None
    return Measuring(recipe, sets.dev, sets.guard, sets.tests, prefix, watch, known, language)


def _corpus(
    recipe: Recipe, recogniser: Recogniser, parts: list[Corpus], silent: Corpus | None, pack: Packing | None
) -> Corpus:
    """All rows with their labels, and the plan of their batches."""
    augmenter = recipe.augment.augmenter(recipe.seed)
    longest = augmenter.longest if augmenter else 1.0
    every = parts if silent is None else [*parts, silent]
    rows = [row for part in every for row in part.rows]
    labels = [ids for part in every for ids in part.labels]
    quiet = 0 if silent is None else len(silent)
    corpus = Corpus(rows, labels, recogniser.sample_rate, augmenter, len(parts[0].rows), quiet)
    corpus.pack = pack
    corpus.plan = BatchPlan(
        parts[0].durations * longest,
        BatchLimits(_given_seconds(recipe), recipe.batch.quadratic_seconds, recipe.batch.rows),
        seed=recipe.seed,
        replay=parts[1].durations * longest if len(parts) > 1 else None,
        share=recipe.replay.share if recipe.replay else 0.0,
        silent=None if silent is None else Silent(silent.durations * longest, recipe.silence.share),
        heard=recogniser.heard_seconds if pack is None else pack.heard,
    )
    return corpus


def silence_of(recipe: Recipe, recogniser: Recogniser) -> Manifest:
    """The recipe's rows without speech, or the bundled ones.

    Raises RecipeError where the model cannot learn from them.
    """
    if not recogniser.capabilities.silence:
        raise RecipeError(
            f"{recogniser.name} cannot learn from rows without speech (Whisper can): set it to 0.",
            field="silence.share",
        )
    bundled = Path(str(resources.files("asr_adapt.assets"))) / "silence" / "manifest.jsonl"
    return Manifest.open(expand(recipe.silence.manifest) if recipe.silence.manifest else bundled)


def packing(recipe: Recipe, recogniser: Recogniser) -> Packing | None:
    """How clips are joined into windows; None where each is heard by itself.

    Raises RecipeError where ``batch.pack`` is asked for and cannot be.
    """
    chosen, window = recipe.batch.pack, recogniser.window_seconds
    whole = recogniser.capabilities.decoder and recogniser.heard_seconds(0.0) >= window
    kept = expected_boundary(recogniser.stack, recipe.strategy) >= recogniser.stack.prefix_limit
    if chosen is True and (not whole or kept):
        why = "the encoder is frozen and computed once" if whole else "it sees each clip at its own length"
        raise RecipeError(f"clips are not packed for {recogniser.name}: {why}.", field="batch.pack")
    cached = chosen == "auto" and recipe.cache.mode == "on"  # states of single clips cannot be joined
    if not chosen or not whole or kept or cached:
        return None
    most = recogniser.limits().max_labels
    return Packing(window, recogniser.sample_rate, recogniser.window_labels, recipe.seed, most)


def _given_seconds(recipe: Recipe) -> float:
    """The recipe's number; without limit until ``auto`` has been settled."""
    seconds = recipe.batch.seconds
    return seconds if isinstance(seconds, float) else float("inf")


def _set_dropout(recogniser: Recogniser, recipe: Recipe) -> None:
    """Put the recipe's dropout into the modules; the saved configuration keeps the model's own."""
    recogniser.set_dropout(recipe.regularisation.settings(Dropout))
