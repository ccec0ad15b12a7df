"""``asr-adapt train``: a recipe carried out.

Knows the options of the command. Does not know how training works.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from asr_adapt.cli import panels
from asr_adapt.cli.ranks import is_main
from asr_adapt.cli.terminal import log_to_stderr
from asr_adapt.errors import UsageError

if TYPE_CHECKING:
    from asr_adapt.training import Recipe

#: Group of options in help.
FIELDS = "Fields of the recipe"


def register(app: typer.Typer) -> None:
    """Add ``train`` to the command line."""
    panels.add(app, "train", train, panel=panels.ADAPT)


def train(
    recipe: str = typer.Argument(None, metavar="[RECIPE.yaml]", help="The recipe; see docs/recipes.md."),
    overrides: list[str] = typer.Argument(None, metavar="[key=value …]", help="Recipe fields to override."),
    model: str = typer.Option(
        None, "--model", help="Model to adapt. Default: nano-en.", rich_help_panel=FIELDS
    ),
    train_on: list[str] = typer.Option([], "--train", help="Manifest to learn from.", rich_help_panel=FIELDS),
    dev: list[str] = typer.Option(
        [], "--dev", help="Manifest that chooses the best step.", rich_help_panel=FIELDS
    ),
    test: list[str] = typer.Option(
        [],
        "--test",
        help="Manifest for WER before and after. Default: that of --dev.",
        rich_help_panel=FIELDS,
    ),
    guard: list[str] = typer.Option(
        [], "--guard", help="Manifest of speech that must not get worse.", rich_help_panel=FIELDS
    ),
    replay: list[str] = typer.Option(
        [], "--replay", help="Manifest of such speech to train on besides.", rich_help_panel=FIELDS
    ),
    setting: list[str] = typer.Option(
        [], "--set", help="KEY=VALUE of the recipe, as key=value.", rich_help_panel=FIELDS
    ),
    output: Path = typer.Option(None, "--output", "-o", help="Result folder. Default: runs/RECIPE."),
    resume: bool = typer.Option(False, "--resume", help="Continue a killed run from its last checkpoint."),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace an earlier run in the result folder."),
    curve: str = typer.Option(
        None,
        "--curve",
        help="Train on these fractions of the data and fit a learning curve, e.g. 0.1,0.25,0.5,1.0.",
    ),
    curve_wer: list[float] = typer.Option(
        None, "--curve-wer", help="With --curve: estimate the hours needed for this WER, e.g. 0.2."
    ),
    fresh: bool = typer.Option(False, "--fresh", help="Ignore cached transcripts."),
    dry_run: bool = typer.Option(
        False, "--dry-run", help="Check everything, estimate time and memory, and stop."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print summary.json."),
    quiet: bool = typer.Option(False, "--quiet", "-q", help="Print no progress."),
) -> int:
    """Carry out a recipe: train, and state WER before and after.

    The recipe is a file, or fields given as options, which stand over those of a file.

    WER is stated on the target speech and on the guard: speech that must not get worse.
    """
    import json
    import logging

    if overwrite and (resume or curve is not None):
        raise UsageError("--overwrite starts a new run: remove --resume and --curve.")
    file, given = _file_and_overrides(recipe, overrides or [])
    given += [*setting, *(["cache.transcripts=false"] if fresh else [])]
    fields = _fields(model, {"train": train_on, "dev": dev, "test": test, "guard": guard}, replay)
    resolved = _resolved(file, fields, given)  # mistakes are named before torch is loaded
    spoken = logging.WARNING if quiet or dry_run else logging.INFO
    log_to_stderr(spoken if is_main() else logging.ERROR)
    if dry_run:
        from asr_adapt.training.adapting import estimate

        told = estimate(resolved)
        if is_main():
            text = f"plan: {told.plan}.\n{told.sentence()}"
            print(json.dumps(told.to_json(), indent=2) if as_json else text)
        return 0
    folder = output or Path("runs") / (file.stem if file is not None else Path(resolved.model).name)
    if curve is not None:
        from asr_adapt.cli.curve_view import show_curve
        from asr_adapt.training.curve.parts import learning_curve, parse_fractions

        fractions = parse_fractions(curve)
        found = learning_curve(
            resolved, fractions, folder, wers=curve_wer or (), resume=resume, quiet=quiet
        ).to_json()
        if as_json:
            print(json.dumps(found, indent=2, ensure_ascii=False))
        else:
            show_curve(found, folder)
        return 0
    from asr_adapt.training import adapt

    summary = adapt(resolved, folder, resume=resume, overwrite=overwrite, quiet=quiet).summary()
    if not is_main():
        return 0
    if as_json:
        print(json.dumps(summary, indent=2, ensure_ascii=False))
    else:
        show_outcome(summary, folder)
    return 0


def _file_and_overrides(recipe: str | None, overrides: list[str]) -> tuple[Path | None, list[str]]:
    """The recipe's file, if one is named: ``strategy=full`` in its place is an override."""
    if recipe is not None and "=" in recipe and not Path(recipe).exists():
        return None, [recipe, *overrides]
    return None if recipe is None else Path(recipe), list(overrides)


def _fields(model: str | None, manifests: dict[str, list[str]], replay: list[str]) -> dict[str, Any]:
    """The fields that options name."""
    fields: dict[str, Any] = {name: paths for name, paths in manifests.items() if paths}
    if model is not None:
        fields["model"] = model
    if replay:
        fields["replay"] = {"manifest": replay}
    return fields


def _resolved(file: Path | None, fields: dict[str, Any], overrides: list[str]) -> Recipe:
    """The recipe of a file, of options, or of both."""
    from asr_adapt.training.recipe.file import build_recipe, load_recipe, overridden

    if file is not None:
        return load_recipe(file, overrides, fields)
    if not {"train", "dev"} <= fields.keys() and not overrides:
        raise UsageError("give a RECIPE.yaml (asr-adapt init writes one), or --train and --dev.")
    return build_recipe(overridden(fields, overrides))


def show_outcome(summary: dict[str, Any], folder: Path) -> None:
    """Before and after as a table, then what to do next."""
    from rich.table import Table

    from asr_adapt.scoring.percentages import rate_with_bounds
    from asr_adapt.screen import console as screen
    from asr_adapt.training.outcome import written_changes

    console = screen()
    table = Table("set", "utterances", "WER before (95 %)", "WER after (95 %)", box=None, pad_edge=False)
    for name in ("target", "guard"):
        if name in summary:
            pair = summary[name]
            cells = [rate_with_bounds(pair, when) for when in ("before", "after")]
            table.add_row(name, str(pair["utterances"]), *cells)
    console.print(table)
    for name in ("target", "guard"):
        if changes := written_changes(summary.get(name, {})):
            console.print(f"{name}: {', '.join(changes)}")
    if summary["strategy_advice"]:
        console.print(summary["strategy_advice"])
    steps = f"best model: step {summary['best_step']} of {summary['steps']}"
    console.print(f"{steps}, {summary['training_seconds']:.0f} s of training; in {folder}")
    if "retention" in summary:
        console.print(f"blend: {summary['retention']['sentence']}")
    for hint in summary["hints"]:
        console.print(f"note: {hint}")
    console.print(f"next: asr-adapt transcribe recording.wav --model {folder}")
