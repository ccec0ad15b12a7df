"""The learning curve: the same recipe on growing parts of the data, and how much more data would help.

Knows how nested parts are drawn, trained one after another and read back. Does not know how a part is trained
(:mod:`asr_adapt.training.adapting`) nor how the curve is fitted (:mod:`asr_adapt.training.curve.power_law`).
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from asr_adapt.destinations import mark_folder, require_folder
from asr_adapt.errors import MissingExtraError, RecipeError, UsageError
from asr_adapt.files import write_json
from asr_adapt.manifest import Manifest, Utterance, require_rows, write_manifest
from asr_adapt.scoring import count_errors
from asr_adapt.scoring.bootstrap import speaker_blocks
from asr_adapt.training.adapting import adapt
from asr_adapt.training.curve.picture import write_curve_plot
from asr_adapt.training.curve.power_law import Extrapolation, Need, extrapolate
from asr_adapt.training.recipe.file import expand, save_recipe
from asr_adapt.training.recipe.schema import Recipe

logger = logging.getLogger(__name__)
#: Answered without being asked: WER lower by these shares than with all the data.
RELATIVE_GAINS = (0.1, 0.25)


@dataclass(frozen=True)
class CurvePart:
    """One fraction of the data, trained: its folder, rows and hours of target speech."""

    fraction: float
    folder: Path
    rows: int
    hours: float


@dataclass(frozen=True)
class LearningCurve:
    """All parts by rising size, the fitted law and how much data some WERs need."""

    parts: tuple[CurvePart, ...]
    base_wer: float
    extrapolation: Extrapolation
    needs: tuple[Need, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values; WER as fractions, hours of target speech."""
        parts = [
            asdict(part) | {"folder": part.folder.name} | asdict(size)
            for part, size in zip(self.parts, self.extrapolation.sizes, strict=True)
        ]
        return {
            "base_wer": self.base_wer,
            "parts": parts,
            **{k: v for k, v in self.extrapolation.to_json().items() if k != "sizes"},
            "needs": [asdict(need) for need in self.needs],
        }


def parse_fractions(text: str) -> list[float]:
    """``0.1,0.5,1.0`` as rising numbers; raises :class:`UsageError`."""
    try:
        found = sorted({float(part) for part in text.split(",") if part.strip()})
    except ValueError:
        found = []
    if not found or not 0 < found[0] <= found[-1] <= 1:
        raise UsageError(f"--curve {text!r} is not a list of fractions such as 0.1,0.25,0.5,1.0.")
    return found


def learning_curve(
    recipe: Recipe,
    fractions: Sequence[float],
    output: str | Path,
    *,
    wers: Sequence[float] = (),
    resume: bool = False,
    quiet: bool = False,
) -> LearningCurve:
    """Train ``recipe`` on nested fractions of its rows and fit WER against hours.

    Each fraction is a result folder of its own under ``output``; with ``resume`` finished ones are read back
    and a killed one goes on. Steps are those of the recipe for every fraction, so that only the data differs.
    ``output`` gets ``curve.json`` and the plot. Raises as :func:`~asr_adapt.training.adapt`.
    """
    folder = Path(output)
    _require_same_recipe(recipe, folder, resume)
    rows = require_rows(Manifest.open(expand(recipe.train)))
    order = nested_order(rows, recipe.seed)
    parts = [_train_part(recipe, rows, order, f, folder, resume=resume, quiet=quiet) for f in fractions]
    extrapolation = _extrapolate(recipe, parts)
    largest = extrapolation.sizes[-1].wer
    asked = sorted({*wers, *(largest * (1 - gain) for gain in RELATIVE_GAINS)}, reverse=True)
    summary = json.loads((parts[-1].folder / "summary.json").read_text(encoding="utf-8"))
    needs = tuple(extrapolation.need(wer) for wer in asked)
    curve = LearningCurve(tuple(parts), summary["target"]["before"], extrapolation, needs)
    write_json(folder / "curve.json", curve.to_json())
    mark_folder(folder, "train --curve")
    try:
        write_curve_plot(folder / "curve", extrapolation, curve.base_wer)
    except MissingExtraError as error:
        logger.warning("no plot: %s", error)
    return curve


def nested_order(rows: Sequence[Utterance], seed: int) -> list[int]:
    """Row numbers such that each beginning of the list holds an equal share of every speaker's rows.

    A row's place among its speaker's rows is drawn by hash of seed and id; rows without speaker are one's.
    """
    speakers = [row.speaker for row in rows]
    sizes = Counter(speakers)
    drawn = [hashlib.sha256(f"{seed}:{row.id}".encode()).digest() for row in rows]
    members: dict[str | None, list[int]] = defaultdict(list)
    for number in sorted(range(len(rows)), key=lambda n: drawn[n]):
        members[speakers[number]].append(number)
    place = {n: (rank + 0.5) / sizes[name] for name, own in members.items() for rank, n in enumerate(own)}
    return sorted(range(len(rows)), key=lambda n: (place[n], drawn[n]))


def _train_part(
    recipe: Recipe,
    rows: Manifest,
    order: list[int],
    fraction: float,
    output: Path,
    *,
    resume: bool,
    quiet: bool,
) -> CurvePart:
    folder = output / f"fraction-{fraction:g}"
    part = rows.select(sorted(order[: max(1, round(fraction * len(order)))]))
    hours = float(part.durations.sum()) / 3600
    if not (resume and (folder / "summary.json").is_file()):
        manifest = output / f"fraction-{fraction:g}.jsonl"
        write_manifest(manifest, part)
        logger.info("fraction %g: %d rows, %.2f h", fraction, len(part), hours)
        adapt(recipe.model_copy(update={"train": [str(manifest)]}), folder, resume=resume, quiet=quiet)
    return CurvePart(fraction, folder, len(part), hours)


def _extrapolate(recipe: Recipe, parts: Sequence[CurvePart]) -> Extrapolation:
    """Read every part's predictions on the test rows and fit the law."""
    tables, words, speakers = [], np.zeros(0), []
    for part in parts:
        found = list(Manifest.open(part.folder / "predictions" / "target.after.jsonl"))
        texts = [row.text or "" for row in found], [str(row.extra["pred_text"]) for row in found]
        table = count_errors(*texts, recipe.normalise)
        tables.append(table.errors.astype(np.float64))
        words, speakers = table.words.astype(np.float64), [row.speaker for row in found]
    hours = np.array([part.hours for part in parts])
    return extrapolate(hours, np.stack(tables), words, speaker_blocks(speakers, len(speakers)), recipe.seed)


def _require_same_recipe(recipe: Recipe, folder: Path, resume: bool) -> None:
    """Parts of one curve come from one recipe; another one is refused by name."""
    stored = folder / "recipe.yaml"
    values = recipe.model_dump(mode="json")
    if not stored.is_file():
        require_folder(folder, "train --curve", [recipe.model, *recipe.train, *recipe.dev], again=True)
    else:
        if not resume:
            raise RecipeError("holds an earlier curve: give --resume or another --output.", path=folder)
        if yaml.safe_load(stored.read_text(encoding="utf-8")) != values:
            raise RecipeError("belongs to another recipe: name another --output.", path=stored)
    mark_folder(folder, "train --curve", ("recipe.yaml",))
    save_recipe(recipe, stored)
