"""Adaptation from Python: ``adapt`` from recordings, ``train`` from a recipe, ``estimate`` before either.

Knows how recordings become a recipe and what a finished run left. Does not know how rows are chosen
(:mod:`asr_adapt.training.recipe.from_data`) nor how a recipe is carried out.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from asr_adapt.api.adapted import Adapted

if TYPE_CHECKING:
    from asr_adapt.training.callback import Callback
    from asr_adapt.training.device.forecast import Forecast
    from asr_adapt.training.recipe.augmentation import Augment
    from asr_adapt.training.recipe.budget import Retention
    from asr_adapt.training.recipe.decoder import Decoder
    from asr_adapt.training.recipe.from_data import Data, Parts
    from asr_adapt.training.recipe.schema import (
        Batch,
        Cache,
        Evaluation,
        Labels,
        Optimiser,
        Recipe,
        Regularisation,
        Replay,
        Schedule,
        Silence,
        Vocabulary,
    )
    from asr_adapt.training.recipe.strategy import Averaging, Strategy, StrategyName

    Sources = str | Path | Sequence[str | Path]
    Fields = Mapping[str, Any]

KIND = "adapt"
#: What the folder of an adaptation holds.
FILES = ("data", "model", "recipe.yaml")
Profile = Literal["none", "basic", "whisper-en", "alnum-en", "spelled-en"]


def adapt(
    train: Sources,
    *,
    output: str | Path,
    model: str = "whisper-tiny.en",
    dev: Sources = (),
    test: Sources = (),
    guard: Sources = (),
    where: Sequence[str] = (),
    text_column: str | None = None,
    hours: float | None = None,
    seed: int = 1,
    quiet: bool = False,
    callbacks: Sequence[Callback] = (),
    strategy: Strategy | StrategyName | Fields | None = None,
    optimiser: Optimiser | Fields | None = None,
    schedule: Schedule | Fields | None = None,
    batch: Batch | Fields | None = None,
    augment: Augment | Fields | None = None,
    silence: Silence | Fields | None = None,
    replay: Replay | Fields | None = None,
    guard_test: Sources | None = None,
    retention: Retention | Fields | None = None,
    regularisation: Regularisation | Fields | None = None,
    averaging: Averaging | Fields | None = None,
    decoder: Decoder | Fields | None = None,
    vocabulary: Vocabulary | Literal["keep", "extend", "replace", "from_manifest"] | Fields | None = None,
    labels: Labels | Literal["auto", "as_written", "model", "plain"] | Fields | None = None,
    normalise: Profile | None = None,
    evaluation: Evaluation | Fields | None = None,
    cache: Cache | Fields | None = None,
    invalid_rows: Literal["error", "drop"] | None = None,
    initialise: Literal["pretrained", "random"] | None = None,
    checkpoint_every: int | None = None,
    trackers: Sequence[Literal["tensorboard", "wandb", "mlflow", "trackio"]] | None = None,
    precision: Literal["auto", "float32", "bfloat16", "float16"] | None = None,
    gradient_checkpointing: bool | None = None,
    compile: bool | None = None,
    device: str | None = None,
) -> Adapted:
    """Adapt ``model`` to recordings, as ``asr-adapt adapt`` does: read, split by speaker, train, measure.

    ``train``, ``dev``, ``test`` and ``guard`` are corpora in any layout (folders, tables) or manifests;
    ``dev`` and ``test`` are a tenth of ``train`` each where they are not given. ``guard`` is speech that must
    not get worse; for an English model, recordings that travel with the package. ``where`` are conditions
    such as ``"accent=heavy"``, ``hours`` limits what trains; ``callbacks`` are told of every step and
    evaluation. Everything from ``strategy`` on is a field of the recipe (docs/recipes.md): a section, or a
    mapping such as ``{"steps": 60}``; what is left out follows from the model.

    ``output`` gets ``data/``, ``recipe.yaml``, which ``asr-adapt train`` repeats exactly, and ``model/``.
    Raises RecipeError for a field that cannot be, DataError for recordings that cannot be read, and
    UsageError for a folder that holds other things, all before anything is trained.
    """
    from asr_adapt.destinations import mark_folder
    from asr_adapt.training.recipe.from_data import Data

    given = {
        "strategy": strategy, "optimiser": optimiser, "schedule": schedule, "batch": batch, "augment":
        augment, "silence": silence, "replay": replay, "guard_test": guard_test, "retention": retention,
        "regularisation": regularisation, "averaging": averaging, "decoder": decoder, "vocabulary":
        vocabulary, "labels": labels, "normalise": normalise, "evaluation": evaluation, "cache": cache,
        "invalid_rows": invalid_rows, "initialise": initialise, "checkpoint_every": checkpoint_every,
        "precision": precision, "gradient_checkpointing": gradient_checkpointing, "compile": compile,
        "device": device, "seed": seed, "trackers": None if trackers is None else list(trackers),
    }  # fmt: skip
    fields = plain_fields(given)
    require_fields(model, fields)
    told = Data(
        train=_paths(train),
        dev=_paths(dev),
        test=_paths(test),
        guard=_paths(guard),
        where=tuple(where),
        text_column=text_column,
        hours=hours,
        seed=seed,
    )
    folder = Path(output)
    require_new(folder, told)
    parts = gathered(told)
    mark_folder(folder, KIND, FILES)
    recipe = write_plan(parts, told, model, folder, fields)
    return _trained(recipe, folder / "model", quiet=quiet, callbacks=callbacks)


def train(
    recipe: str | Path | Recipe,
    output: str | Path,
    *,
    overrides: Iterable[str] = (),
    resume: bool = False,
    overwrite: bool = False,
    quiet: bool = False,
    callbacks: Sequence[Callback] = (),
) -> Adapted:
    """Carry out a recipe, a file or an object, as ``asr-adapt train`` does; ``output`` is its new folder.

    ``overrides`` are ``key=value`` over the file's. ``resume`` goes on from the newest whole checkpoint,
    ``overwrite`` replaces an earlier run. ``callbacks`` are told of every step and evaluation. Raises
    RecipeError, DataError and UsageError before the work.
    """
    from asr_adapt.training import adapt as carry_out

    resolved = _resolved(recipe, overrides)
    carry_out(resolved, output, resume=resume, overwrite=overwrite, quiet=quiet, callbacks=callbacks)
    return Adapted(Path(output))


#: :func:`adapt` has a parameter of that name.
_trained = train


def estimate(recipe: str | Path | Recipe, *, overrides: Iterable[str] = ()) -> Forecast:
    """What a recipe would do and take on this computer: rows, minutes, disk, memory; nothing is trained.

    Every row is checked; raises RecipeError and DataError as :func:`train` would.
    """
    from asr_adapt.training.adapting import estimate as forecast

    return forecast(_resolved(recipe, overrides))


def _resolved(recipe: str | Path | Recipe, overrides: Iterable[str]) -> Recipe:
    from asr_adapt.training import build_recipe, load_recipe
    from asr_adapt.training.recipe.file import overridden

    if isinstance(recipe, (str, Path)):
        return load_recipe(recipe, overrides)
    changes = list(overrides)
    return build_recipe(overridden(recipe.model_dump(exclude_unset=True), changes)) if changes else recipe


def gathered(told: Data) -> Parts:
    """The rows of an adaptation by part."""
    from asr_adapt.training.recipe.from_data import gather

    return gather(told)


def write_plan(
    parts: Parts,
    told: Data,
    model: str,
    folder: Path,
    fields: Mapping[str, Any],
    settings: Sequence[str] = (),
) -> Path:
    """Manifests and recipe in ``folder``; ``fields`` and ``key=value`` settings stand over what is chosen.

    Paths in settings start at the working folder, as those of ``asr-adapt train`` do.
    """
    from asr_adapt.training.recipe.file import merged, overridden, root_paths, write_recipe
    from asr_adapt.training.recipe.from_data import recipe_of

    paths: dict[str, Path] = parts.write(folder / "data")
    if not told.guard and model.rstrip("/").endswith(".en"):  # a multilingual model may learn any language
        paths |= _packaged_guard(folder / "data" / "english", parts)
    relative = {name: os.path.relpath(path, folder) for name, path in paths.items()}
    changes = overridden({}, settings)
    root_paths(changes, Path.cwd())
    recipe = folder / "recipe.yaml"
    write_recipe(merged(merged(recipe_of(model, relative, parts), fields), changes), recipe)
    return recipe


def _packaged_guard(folder: Path, parts: Parts) -> dict[str, Path]:
    """The native English that travels with the package, as guard and replay."""
    from asr_adapt.demo.recordings import copy_recordings

    corpus = copy_recordings(folder)
    parts.notes.append(
        "guard and replay are recordings of one native speaker that come with the package; "
        "use --guard for other speech that must not get worse."
    )
    return {name: corpus.manifest(name) for name in ("guard_dev", "guard_test", "replay")}


def plain_fields(given: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a recipe as plain values, paths made absolute; those that are None are left out."""
    from pydantic import BaseModel

    from asr_adapt.training.recipe.file import root_paths

    fields: dict[str, Any] = {
        name: value.model_dump(mode="json", exclude_unset=True) if isinstance(value, BaseModel) else value
        for name, value in given.items()
        if value is not None
    }
    if "guard_test" in fields:
        fields["guard_test"] = [str(path) for path in _paths(fields["guard_test"])]
    fields = copy.deepcopy({n: dict(v) if isinstance(v, Mapping) else v for n, v in fields.items()})
    root_paths(fields, Path.cwd())
    return fields


def require_fields(model: str, fields: Mapping[str, Any], *, place: str = "recipe") -> None:
    """Raise RecipeError for fields that no recipe can have, before any recording is read.

    ``place`` is where they were written.
    """
    from asr_adapt.training import build_recipe
    from asr_adapt.training.recipe.file import merged

    stand_ins: dict[str, Any] = {name: f"{name}.jsonl" for name in ("train", "dev", "guard")}
    stand_ins["replay"] = {"manifest": "replay.jsonl"}
    build_recipe(merged({"model": model, **stand_ins}, fields), path=place)


def require_new(folder: Path, told: Data) -> None:
    """Raise UsageError for a folder that holds other things, or an earlier run, with how to continue it."""
    from asr_adapt.destinations import expanded, require_folder

    recipe = folder / "recipe.yaml"
    more = f"continue it with asr-adapt train {recipe} -o {folder / 'model'} --resume"
    sources = expanded(*told.train, *told.dev, *told.test, *told.guard)
    require_folder(folder, KIND, sources, instead=more if recipe.is_file() else "remove it")


def _paths(sources: Sources) -> tuple[Path, ...]:
    given = [sources] if isinstance(sources, (str, Path)) else sources
    return tuple(Path(one) for one in given)
