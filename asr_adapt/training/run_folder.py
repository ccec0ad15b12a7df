"""Whose a result folder is: taken by one run at a time, resumed only by the run that began it.

Knows what lies in a result folder and what identifies a run: base weights, rows, settings. Does not know how
anything is trained.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import nn

from asr_adapt.destinations import MARKER, mark_folder, read_mark, require_folder
from asr_adapt.errors import RecipeError
from asr_adapt.files import write_json
from asr_adapt.locks import alone
from asr_adapt.manifest import Manifest, Utterance
from asr_adapt.training.learning.checkpoints import newest_checkpoint, set_damaged_aside
from asr_adapt.training.recipe.file import build_recipe
from asr_adapt.training.recipe.schema import Recipe
from asr_adapt.training.recipe.starting_values import CHOSEN

logger = logging.getLogger(__name__)
KIND = "train"
IDENTITY = "identity.json"
#: Labels that are made while rows are checked, so before an earlier run makes way.
LABELS = ("labels.jsonl", "labels.replay.jsonl")
#: What a run writes before its model is there.
RUN_FILES = (
    *("checkpoints", "metrics.jsonl", "recipe.yaml", IDENTITY, "summary.json", "predictions", "tensorboard"),
    *("README.md", "report.html", "retention.json", "retention.svg", "retention.png"),
    *LABELS,
)
#: Settings that may change when a run goes on: how long, how often measured, where and how fast computed.
FREE = (
    *("schedule.steps", "evaluation.every", "evaluation.patience", "evaluation.batch_seconds"),
    *("checkpoint_every", "device", "compile", "batch.prefetch", "batch.accumulate", "cache", "retention"),
    *("test", "guard_test", "trackers"),
)
#: Places: what lies there is compared, not where it lies.
PLACES = ("model", "train", "dev", "guard", "replay.manifest", "silence.manifest")
#: Other fields that name files or folders; these are compared.
PATHS = ("test", "guard_test", "augment.noise.folder", "augment.room.folder")


@dataclass(frozen=True)
class Identity:
    """What must not change while a run goes on; digests, and the recipe as plain values by dotted name."""

    base: str
    rows: str
    dev: str
    micro_batches: int
    recipe: dict[str, Any]

    @staticmethod
    def of(
        recipe: Recipe, base: nn.Module, rows: Sequence[Utterance], dev: Manifest, processes: int
    ) -> Identity:
        """Of a run about to begin; ``rows`` are those that it learns from."""
        return Identity(
            weights_digest(base),
            rows_digest(rows),
            rows_digest(dev),
            recipe.batch.accumulate * processes,
            plain(recipe),
        )

    def differences(self, stored: Identity) -> list[str]:
        """What is not as it was, in words."""
        found = []
        if self.base != stored.base:
            found.append("other base weights")
        if self.rows != stored.rows:
            found.append("other training rows")
        if self.dev != stored.dev:
            found.append("other dev rows")
        if self.micro_batches != stored.micro_batches:
            found.append(f"{self.micro_batches} micro-batches a step instead of {stored.micro_batches}")
        return found + changed(self.recipe, stored.recipe, (*FREE, *PLACES))


@contextmanager
def taken(folder: Path, recipe: Recipe, *, resume: bool, overwrite: bool) -> Iterator[None]:
    """Hold the result folder alone; it is marked as ours, and damaged checkpoints are set aside.

    Raises :class:`UsageError` for a folder that holds anything else or is in use, :class:`RecipeError` for
    one that holds a run which is neither to be resumed nor overwritten. Of several processes the main one
    holds it.
    """
    require_usable(folder, recipe, resume=resume, overwrite=overwrite)
    if os.environ.get("RANK", "0") != "0":
        yield
        return
    with alone(folder, inside=True):
        require_usable(folder, recipe, resume=resume, overwrite=overwrite)
        mark_folder(folder, KIND, (*RUN_FILES, *read_mark(folder).get("files", ())))
        if resume:
            set_damaged_aside(folder / "checkpoints")
        if overwrite:
            for name in LABELS:
                (folder / name).unlink(missing_ok=True)
        try:
            yield
        finally:
            _leave_nothing_empty(folder)


def require_usable(folder: Path, recipe: Recipe, *, resume: bool, overwrite: bool) -> None:
    """Refuse a folder that this run may not write; see :func:`taken`."""
    if resume and _is_run(folder):
        return
    started = newest_checkpoint(folder / "checkpoints") is not None or (folder / "summary.json").is_file()
    if started and _is_run(folder) and not overwrite:
        raise RecipeError(
            "holds an earlier run: give --resume to continue it, --overwrite to replace it, or another "
            "--output.",
            path=folder,
        )
    read = [recipe.model, *recipe.train, *recipe.dev, *(recipe.test or ()), *(recipe.guard or ())]
    require_folder(folder, KIND, read, again=True)


def clear(folder: Path) -> None:
    """Remove an earlier run's files before another one takes their place; folders of results stay."""
    (folder / "summary.json").unlink(missing_ok=True)  # first: without it the rest counts as unfinished
    for name in set(read_mark(folder).get("files", ())) - set(LABELS):
        with suppress(OSError):
            (folder / name).unlink()
    for name in ("checkpoints", "tensorboard", "adapter"):
        shutil.rmtree(folder / name, ignore_errors=True)


def settle_identity(folder: Path, identity: Identity, *, resume: bool, main: bool) -> None:
    """Write who begins here; where a run goes on, raise :class:`RecipeError` unless it is the same one."""
    stored = _read(folder)
    if resume and newest_checkpoint(folder / "checkpoints") is not None:
        if stored is None:
            logger.warning("%s does not record its base and rows: not compared.", folder)
            return
        if found := identity.differences(stored):
            raise RecipeError(
                f"was started with other inputs ({'; '.join(found)}): resume with the same inputs, or "
                "start a new run with another --output.",
                path=folder,
            )
        return
    if main:
        write_json(folder / IDENTITY, asdict(identity))


def finished_summary(folder: Path, recipe: Recipe) -> dict[str, Any] | None:
    """The summary of a run that is finished already; None for one that is not.

    Raises :class:`RecipeError` where it was carried out by another recipe.
    """
    path = folder / "summary.json"
    if not path.is_file() or newest_checkpoint(folder / "checkpoints") is not None:
        return None
    stored = _read(folder)
    former = stored.recipe if stored is not None else _saved_recipe(folder)
    given = flat(recipe.model_dump(mode="json", exclude_unset=True))
    chosen = [name for name in (*CHOSEN, "batch.seconds", "decoder.language") if name not in given]
    if recipe.strategy.name == "auto":
        chosen += ["strategy", "optimiser"]
    ignored = ("device", "cache", "batch.prefetch", "compile", "trackers", *chosen)
    if found := changed(plain(recipe), former, ignored):
        raise RecipeError(
            f"is finished, with another recipe ({'; '.join(found)}): name another --output, or give "
            "--overwrite to train again.",
            path=folder,
        )
    value = json.loads(path.read_text(encoding="utf-8"))
    return value if isinstance(value, dict) else None


def changed(now: Mapping[str, Any], former: Mapping[str, Any], ignored: tuple[str, ...]) -> list[str]:
    """Differences of two recipes, ``optimiser.learning_rate 0.01 instead of 0.001``, without ``ignored``."""
    found = []
    for name in sorted(now.keys() | former.keys()):
        old, new = former.get(name), now.get(name)
        settled = name == "batch.seconds" and "auto" in (old, new)
        if old != new and not settled and not any(name == i or name.startswith(f"{i}.") for i in ignored):
            found.append(f"{name} {new} instead of {old}")
    return found


def plain(recipe: Recipe) -> dict[str, Any]:
    """A recipe as plain values by dotted name; places that exist are absolute."""

    def absolute(value: Any) -> Any:
        if isinstance(value, list):
            return [absolute(item) for item in value]
        return str(Path(value).absolute()) if isinstance(value, str) and Path(value).exists() else value

    values = flat(recipe.model_dump(mode="json"))
    return {k: absolute(v) if k in (*PLACES, *PATHS) else v for k, v in values.items()}


def flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, with dotted names."""
    found: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = value
    return found


def weights_digest(model: nn.Module) -> str:
    """SHA-256 of a network's parameters and buffers, names included."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)}".encode())
        raw = tensor.detach().cpu().contiguous().flatten().view(torch.uint8)
        digest.update(raw.numpy().data)
    return digest.hexdigest()


def rows_digest(rows: Sequence[Utterance]) -> str:
    """SHA-256 of what rows say: id, segment, text; not where their audio lies."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(json.dumps([row.id, row.offset, row.duration, row.text]).encode())
    return digest.hexdigest()


def _is_run(folder: Path) -> bool:
    """Whether a run of ours lies there, also one of an earlier version, which left no mark."""
    former = (folder / "recipe.yaml").is_file() and (folder / "metrics.jsonl").is_file()
    return read_mark(folder).get("command") == KIND or former


def _leave_nothing_empty(folder: Path) -> None:
    """A run that was refused before it wrote anything leaves no folder behind."""
    with suppress(OSError):
        if {path.name for path in folder.iterdir()} <= {MARKER, ".lock"}:
            (folder / MARKER).unlink()
            (folder / ".lock").unlink()
            folder.rmdir()


def _read(folder: Path) -> Identity | None:
    try:
        return Identity(**json.loads((folder / IDENTITY).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _saved_recipe(folder: Path) -> dict[str, Any]:
    try:
        tree = yaml.safe_load((folder / "recipe.yaml").read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError):
        tree = None
    if not isinstance(tree, dict):
        raise RecipeError("is finished, but its recipe cannot be read: name another --output.", path=folder)
    return plain(build_recipe(tree))
