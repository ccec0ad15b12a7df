"""``asr-adapt blend``: interpolate between a base and its adapted model.

Knows the options of the command and what it writes. Does not know how weights are mixed.
"""

from __future__ import annotations

from pathlib import Path

import typer

from asr_adapt.cli import panels
from asr_adapt.destinations import require_folder
from asr_adapt.locks import alone


def register(app: typer.Typer) -> None:
    """Add ``blend`` to the command line."""
    panels.add(app, "blend", blend, panel=panels.ADAPT)


def blend(
    base: str = typer.Argument(..., metavar="BASE", help="Model name, directory or file, or hub id."),
    adapted: str = typer.Argument(..., metavar="ADAPTED", help="A model adapted from it."),
    target: Path = typer.Option(..., "--target", help="Dev manifest of the new accent."),
    guard: Path = typer.Option(..., "--guard", help="Dev manifest of the old accent."),
    budget: str = typer.Option(
        "10%", "--budget", help="Allowed rise of the guard's WER: 10%, 0.01 (one point), or '10% or 0.01'."
    ),
    points: int = typer.Option(
        11, "--points", min=2, help="Number of mixtures to measure, including both models."
    ),
    groups: int = typer.Option(1, "--groups", min=1, help="Number of layer groups with separate shares."),
    output: Path = typer.Option(None, "--output", "-o", help="Write the chosen model here."),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace an earlier blend in OUTPUT."),
    profile: str = typer.Option("basic", "--normalise", help="Text profile for counting errors."),
    device: str = typer.Option("auto", "--device", help="auto, cpu, cuda, mps."),
    as_json: bool = typer.Option(False, "--json", help="Print the sweep as JSON."),
) -> int:
    """Mix the weights of a model and its adapted form.

    Mixtures are measured on target and guard; the best on the target within the guard's budget is kept.
    """
    import json

    require_folder(output, "blend", [base, adapted, target, guard], overwrite=overwrite)
    from asr_adapt.scoring.rise import parse_rise
    from asr_adapt.training.retention.blending import BlendPoint
    from asr_adapt.training.retention.directories import blend_models

    with alone(output):
        result = blend_models(
            (base, adapted),
            (target, guard),
            parse_rise(budget, place="--budget"),
            points,
            groups=groups,
            profile=profile,
            device=device,
        )
        if output is not None:
            result.save(output, overwrite=overwrite)
    found = result.blend
    if as_json:
        print(json.dumps(result.to_json(), indent=2))
        return 0

    def line(point: BlendPoint) -> str:
        mark = "  <- chosen" if point == found.chosen else "" if point.within else "  over budget"
        return f"{point.share:13.2f}  {point.target:10.1%}  {point.guard:9.1%}{mark}"

    print("adapted share  target WER  guard WER")
    print("\n".join(line(point) for point in found.points))
    if found.chosen.shares:
        shares = zip(found.groups, found.chosen.shares, strict=True)
        print("chosen shares: " + ", ".join(f"{name} {share:.2f}" for name, share in shares))
    print(f"written to {output}" if output else "nothing written: give --output DIR to keep the chosen model")
    return 0
