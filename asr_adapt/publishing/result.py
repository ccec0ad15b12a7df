"""What a result folder says about itself: its summary, its recipe, the rows that it was tested on.

Knows the files that training writes. Does not know what is published of them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from asr_adapt.errors import ModelError, UsageError
from asr_adapt.manifest import Manifest, Utterance

#: Test sets of a run and what they are for.
SETS = {"target": "what it was adapted to", "guard": "what must not get worse"}


@dataclass(frozen=True)
class Result:
    """A finished run: its ``folder``, ``summary.json`` and ``recipe.yaml``."""

    folder: Path
    summary: dict[str, Any]
    recipe: dict[str, Any]

    @property
    def base(self) -> str:
        """The model that was adapted, as the recipe names it."""
        return str(self.summary["model"])

    @property
    def sets(self) -> list[str]:
        """The test sets with figures."""
        return [name for name in SETS if name in self.summary]

    def predictions(self, name: str, when: str) -> Path:
        """The predictions on a set, ``before`` or ``after``."""
        return self.folder / "predictions" / f"{name}.{when}.jsonl"

    def rows(self, name: str) -> list[Utterance]:
        """The rows of a set; none where their file is gone."""
        path = self.predictions(name, "after")
        return list(Manifest.open(path)) if path.is_file() else []

    def training_rows(self) -> list[Utterance]:
        """The rows of the training manifests that are still there."""
        names = self.recipe.get("train") or []
        paths = [Path(name) for name in ([names] if isinstance(names, str) else names)]
        return [row for path in paths if path.is_file() for row in Manifest.open(path)]


def open_result(path: str | Path) -> Result:
    """The result in ``path``, or in the folder ``model`` of what ``adapt`` and ``demo`` wrote.

    Raises :class:`UsageError` for anything else, :class:`ModelError` for one that cannot be read.
    """
    places = [Path(path), Path(path) / "model"]
    trained = ("recipe.yaml", "metrics.jsonl")
    folder = next((place for place in places if all((place / name).is_file() for name in trained)), None)
    if folder is None:
        raise UsageError(
            f"{path} is no result folder of train or adapt (no recipe.yaml, metrics.jsonl): name one."
        )
    if not (folder / "summary.json").is_file():
        raise UsageError(f"{folder} holds an unfinished run: finish it with asr-adapt train … --resume.")
    try:
        summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        recipe = yaml.safe_load((folder / "recipe.yaml").read_text(encoding="utf-8"))
    except (ValueError, yaml.YAMLError) as error:
        raise ModelError(f"its summary or recipe cannot be read ({error}).", path=folder) from error
    if not isinstance(summary, dict) or not isinstance(recipe, dict) or "model" not in summary:
        raise ModelError("its summary or recipe is none of asr-adapt's: train it again.", path=folder)
    return Result(folder, summary, recipe)


def spread(rows: Sequence[Any], most: int) -> list[Any]:
    """At most ``most`` of them, evenly spread."""
    if len(rows) <= most:
        return list(rows)
    return [rows[round(n * (len(rows) - 1) / max(most - 1, 1))] for n in range(most)]
