"""Checkpoints: the state of a run on disk, never half-written.

Knows that only trainable weights change, where they are stored and which checkpoint is the newest whole one.
Does not know when to save, nor what the numbers mean.
"""

from __future__ import annotations

import hashlib
import json
import logging
import pickle
import re
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from asr_adapt.errors import DataError
from asr_adapt.files import atomic_directory, write_json
from asr_adapt.training.learning.averaging import WEIGHTS
from asr_adapt.training.learning.kept_weights import best_path, is_whole
from asr_adapt.training.learning.state import Learning, whole
from asr_adapt.training.progress import Progress

logger = logging.getLogger(__name__)
_NAME = re.compile(r"step_(\d+)$")
KEEP = 2
AVERAGE = "average.safetensors"
CHECKSUMS = "checksums.json"


def _whole_values(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _whole_values(item) for key, item in value.items()}
    return whole(value) if isinstance(value, torch.Tensor) else value


def save_checkpoint(folder: Path, learning: Learning, *, main: bool = True) -> Path:
    """Write ``folder/step_N`` atomically and remove all but the newest two.

    Every process calls this, because split weights come together here; the main one writes.
    """
    progress = learning.progress
    target = folder / f"step_{progress.step:06d}"
    state, optimiser = learning.state(), _whole_values(learning.optimiser.state_dict())
    if not main:
        return target
    with atomic_directory(target, replace=True) as work:
        save_file(state, work / WEIGHTS)
        save_file(learning.average.state(), work / AVERAGE)
        torch.save(optimiser, work / "optimizer.pt")
        write_json(work / "progress.json", _finite(asdict(progress)))
        write_json(work / CHECKSUMS, {path.name: file_digest(path) for path in sorted(work.iterdir())})
    for old in _whole(folder)[:-KEEP]:
        shutil.rmtree(old)
    return target


def newest_checkpoint(folder: Path) -> Path | None:
    """The newest whole checkpoint; leftovers of a killed writer are ignored."""
    found = _whole(folder)
    return found[-1] if found else None


def oldest_checkpoint(folder: Path) -> Path | None:
    """The oldest checkpoint that is kept: a run may have to go on from it."""
    found = _whole(folder)
    return found[0] if found else None


def set_damaged_aside(folder: Path) -> None:
    """Rename checkpoints that have changed since they were written, so that the newest whole one is resumed.

    Raises :class:`DataError` when none is whole: a run must not begin anew unasked.
    """
    damaged = [path for path in _whole(folder) if not is_intact(path)]
    if damaged and len(damaged) == len(_whole(folder)):
        raise DataError(
            "no checkpoint is intact: start again with --overwrite or another --output.", path=folder
        )
    for path in damaged:
        aside = path.with_name(f"{path.name}.damaged")
        shutil.rmtree(aside, ignore_errors=True)
        path.replace(aside)
        logger.warning("%s is damaged: resuming from the one before it.", path)


def is_intact(path: Path) -> bool:
    """Whether a checkpoint, and the best weights up to it, are as they were written."""
    if not _as_written(path):
        return False
    best = json.loads((path / "progress.json").read_text(encoding="utf-8"))["best_step"]
    return is_whole(best_path(path.parent, best))


def _as_written(path: Path) -> bool:
    """By its checksums; of one of an earlier version, whether it can be read."""
    try:
        sums = json.loads((path / CHECKSUMS).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return _readable(path)
    except (OSError, ValueError):
        return False
    files = (WEIGHTS, AVERAGE, "optimizer.pt", "progress.json")
    try:
        return all(sums.get(name) == file_digest(path / name) for name in files)
    except (OSError, AttributeError):
        return False


def _readable(path: Path) -> bool:
    try:
        load_file(path / WEIGHTS)
        load_file(path / AVERAGE)
        torch.load(path / "optimizer.pt", map_location="cpu", weights_only=True)
        json.loads((path / "progress.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RuntimeError, EOFError, SafetensorError, pickle.UnpicklingError):
        return False
    return True


def file_digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def remove_checkpoints(folder: Path) -> None:
    """Remove the folder of a finished run; a kill meanwhile leaves nothing that looks like a checkpoint."""
    if folder.is_dir():
        doomed = folder.with_name(f".{folder.name}.old")
        shutil.rmtree(doomed, ignore_errors=True)
        folder.replace(doomed)
        shutil.rmtree(doomed, ignore_errors=True)


def load_checkpoint(path: Path, learning: Learning) -> Progress:
    """Restore weights, their average and the optimiser from ``path`` and return the run's progress."""
    learning.put(load_file(path / WEIGHTS), path)
    learning.average.load(load_file(path / AVERAGE))
    learning.optimiser.load_state_dict(
        torch.load(path / "optimizer.pt", map_location="cpu", weights_only=True)
    )
    values = json.loads((path / "progress.json").read_text(encoding="utf-8"))
    if values["best_wer"] is None:
        values["best_wer"] = float("inf")
    return Progress(**values)


def _whole(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    named = [p for p in folder.iterdir() if _NAME.match(p.name) and (p / "progress.json").is_file()]
    return sorted(named)


def _finite(values: dict[str, Any]) -> dict[str, Any]:
    if values["best_wer"] == float("inf"):
        values["best_wer"] = None
    return values
