"""``asr-adapt adapt``: from recordings to an adapted model and its proof, in one command.

Knows options, the plan that is shown before anything is trained, and the question. Does not know how rows are
chosen (:mod:`asr_adapt.training.recipe.from_data`) or how a recipe is carried out.
"""

from __future__ import annotations

import logging
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from asr_adapt.api.adapting import FILES, KIND, require_fields, require_new
from asr_adapt.cli import panels
from asr_adapt.cli.manifest_output import print_table
from asr_adapt.cli.terminal import log_to_stderr
from asr_adapt.destinations import mark_folder
from asr_adapt.errors import UsageError

if TYPE_CHECKING:
    from asr_adapt.training.recipe.from_data import Data, Parts

#: Notes of one kind that are shown.
_MOST_NOTES = 8


def register(app: typer.Typer) -> None:
    """Add the command."""
    panels.add(app, "adapt", adapt, panel=panels.ADAPT)


def adapt(
    data: list[Path] = typer.Argument(
        ..., metavar="DATA", help="Recordings with transcripts: corpus folders, tables or manifests."
    ),
    model: str = typer.Option("whisper-tiny.en", "--model", help="Model to adapt."),
    output: Path = typer.Option(..., "--output", "-o", help="New folder for data, recipe and model."),
    dev: list[Path] = typer.Option([], help="Speech for choosing the best step. Default: a tenth of DATA."),
    test: list[Path] = typer.Option([], help="Speech for WER before and after. Default: a tenth of DATA."),
    guard: list[Path] = typer.Option(
        [], help="Speech that must not get worse. Default for English models: bundled recordings."
    ),
    where: list[str] = typer.Option([], help="Use only rows with FIELD=VALUE; may be repeated."),
    text_column: str | None = typer.Option(None, help="Name of the column or key with the transcript."),
    hours: float | None = typer.Option(None, min=0.001, help="Maximum hours of training speech."),
    setting: list[str] = typer.Option(
        [], "--set", help="Set a recipe field: KEY=VALUE (see docs/recipes.md)."
    ),
    seed: int = typer.Option(1, help="Seed of split, sample and training."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Show the plan and stop; nothing is written."),
    yes: bool = typer.Option(False, "--yes", "-y", help="Start training without asking."),
) -> int:
    """Adapt a model to your recordings, in one command.

    Reads them, splits them by speaker, shows a plan, trains, and states the word error rate before and after.
    """
    from asr_adapt.training.recipe.file import overridden
    from asr_adapt.training.recipe.from_data import Data

    told = Data(tuple(data), tuple(dev), tuple(test), tuple(guard), tuple(where), text_column, hours, seed)
    require_new(output, told)
    if not (dry_run or yes or sys.stdin.isatty()):
        raise UsageError(
            "standard input is not a terminal: give --yes to train, or --dry-run to see the plan."
        )
    require_fields(model, overridden({}, setting), place="--set")
    log_to_stderr(logging.INFO)
    with tempfile.TemporaryDirectory(prefix="asr-adapt-") as place:
        work = Path(place) if dry_run else output
        recipe = _prepared(told, model, work, [f"seed={seed}", *setting], keep=not dry_run)
        if dry_run:
            return 0
    if not (yes or typer.confirm("Train?", default=True, err=True)):
        typer.echo(
            f"Nothing was trained. To train later: asr-adapt train {recipe} -o {output / 'model'}", err=True
        )
        return 0
    return _trained(recipe, output)


def _prepared(told: Data, model: str, folder: Path, settings: list[str], *, keep: bool) -> Path:
    """Manifests and recipe in ``folder``, and the plan on the screen."""
    from asr_adapt.api.adapting import estimate, gathered, write_plan

    parts = gathered(told)
    if keep:
        mark_folder(folder, KIND, FILES)
    recipe = write_plan(parts, told, model, folder, {}, settings)
    _show_plan(parts)
    log_to_stderr(logging.WARNING)  # the run itself will say what it does
    forecast = estimate(recipe)
    typer.echo(f"plan: {forecast.plan}.\n{forecast.sentence()}", err=True)
    log_to_stderr(logging.INFO)
    return recipe


def _trained(recipe: Path, output: Path) -> int:
    """Carry out the recipe as ``train`` does."""
    from asr_adapt.cli.train import show_outcome
    from asr_adapt.training import adapt as carry_out
    from asr_adapt.training import load_recipe

    summary = carry_out(load_recipe(recipe), output / "model").summary()
    show_outcome(summary, output / "model")
    return 0


def _show_plan(parts: Parts) -> None:
    """Parts as a table, then the notes."""
    print_table(parts.table())
    for note in parts.notes[:_MOST_NOTES]:
        typer.echo(f"note: {note}", err=True)
    if len(parts.notes) > _MOST_NOTES:
        typer.echo(f"note: … and {len(parts.notes) - _MOST_NOTES} more like these.", err=True)
