"""``asr-adapt merge``: experts of several accents in one model.

Knows the options of the command and what it prints. Does not know how weights are summed or searched.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from asr_adapt.cli import panels
from asr_adapt.destinations import require_folder
from asr_adapt.locks import alone

if TYPE_CHECKING:
    from asr_adapt.training.merging import MergeResult


def register(app: typer.Typer) -> None:
    """Add ``merge`` to the command line."""
    panels.add(app, "merge", merge, panel=panels.ADAPT, no_args_is_help=True)


def merge(
    base: str = typer.Argument(..., metavar="BASE", help="Model name, directory or file, or hub id."),
    experts: list[str] = typer.Argument(
        ..., metavar="EXPERT...", help="LoRA adapters or whole models, each adapted from BASE."
    ),
    target: list[Path] = typer.Option(..., "--target", help="Dev manifest of an accent; may be repeated."),
    guard: Path = typer.Option(..., "--guard", help="Dev manifest of speech that BASE knows."),
    rise: str = typer.Option(
        "10% or 0.01",
        "--rise",
        help="Allowed rise of the guard's WER: 10%, 0.01 (one point), or '10% or 0.01'.",
    ),
    groups: int = typer.Option(1, "--groups", min=1, help="Number of layer groups with separate weights."),
    trials: int = typer.Option(60, "--trials", min=1, help="Maximum number of weightings to measure."),
    output: Path = typer.Option(None, "--output", "-o", help="Write the merged adapter or model here."),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace an earlier merge in OUTPUT."),
    profile: str = typer.Option("basic", "--normalise", help="Text profile for counting errors."),
    device: str = typer.Option("auto", "--device", help="auto, cpu, cuda, mps."),
    as_json: bool = typer.Option(False, "--json", help="Print the search as JSON."),
) -> int:
    """Put the experts of several accents into one adapter or model.

    How much of each is kept is searched: the lowest WER over all targets within the guard's budget.
    """
    import json

    require_folder(output, "merge", [base, *experts, *target, guard], overwrite=overwrite)
    from asr_adapt.scoring.rise import parse_rise
    from asr_adapt.training.merging import MergeSettings, merge_experts

    allowed = parse_rise(rise, place="--rise")
    settings = MergeSettings(allowed, groups, trials, profile, device)
    with alone(output):
        result = merge_experts(base, experts, target, guard, settings)
        if output is not None:
            result.save(output, overwrite=overwrite)
    if as_json:
        print(json.dumps(result.to_json(), indent=2))
        return 0
    _show(result)
    print(f"written to {output}" if output else "nothing written: give --output DIR to keep the merged model")
    return 0


def _show(result: MergeResult) -> None:
    """A line a weighting: weights, WERs, and which one was chosen."""
    found = result.found
    print(f"{'weights':24}  {'way':24}  target WERs  guard WER")
    for trial in found.trials:
        weights = " ".join(f"{value:.2f}" for value in trial.row)
        wers = " ".join(f"{value:.1%}" for value in trial.targets)
        mark = "  <- chosen" if trial == found.chosen else "" if trial.within else "  over budget"
        print(f"{weights:24}  {trial.way:24}  {wers}  {trial.guard:.1%}{mark}")
    if len(set(found.chosen.weights)) > 1:
        for name, row in zip(found.groups, found.chosen.weights, strict=True):
            print(f"{name}: " + " ".join(f"{value:.2f}" for value in row))
    if found.exhausted:
        print("the search used all its trials: --trials allows more.")
