"""``score``, ``compare``, ``gate`` and ``report``: what predictions are worth.

Knows options and exit status. Does not know how anything is counted, judged or drawn (``asr_adapt.scoring``).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import typer

_BY = typer.Option([], "--by", "-b", help="Field to report apart; repeat it for several and their cross.")
_PROFILE = typer.Option("basic", "--normalise", "-n", help="Normalisation profile: none, basic, whisper-en.")
_JSON = typer.Option(False, "--json", help="Print JSON instead of a table.")
_SEED = typer.Option(0, "--seed", help="Seed of the resampling.")


def register(app: typer.Typer) -> None:
    """Add the four commands."""
    app.command("score")(score_command)
    app.command("compare")(compare_command)


def print_json(value: Any) -> None:
    """Indented UTF-8 JSON on standard output."""
    json.dump(value, sys.stdout, ensure_ascii=False, indent=2, allow_nan=False)
    sys.stdout.write("\n")


def score_command(
    predictions: str = typer.Argument(
        ..., help="Predictions file (JSONL with text and pred_text), glob or -."
    ),
    by: list[str] = _BY,
    normalise: str = _PROFILE,
    as_json: bool = _JSON,
    seed: int = _SEED,
    top: int = typer.Option(20, "--top", help="How many confusions of each kind in the JSON."),
    export: str = typer.Option(
        "", "--export", help="Also write reference and hypothesis files: trn, stm-ctm or seglst."
    ),
    output: Path | None = typer.Option(None, "--output", "-o", help="Folder for --export."),
) -> int:
    """WER, CER and error counts with 95 % intervals, overall and per group."""
    from asr_adapt.scoring import score

    result = score(predictions, by, normalise, seed=seed, top=top)
    if export:
        from asr_adapt.scoring.interchange import export as export_files

        for path in export_files(predictions, output or Path(), export, normalise):
            typer.echo(f"wrote {path}", err=True)
    if as_json:
        print_json(result.to_json())
    else:
        from asr_adapt.cli.score_view import show_score

        show_score(result)
    return 0


def compare_command(
    a: str = typer.Argument(..., help="Predictions of the first system (before)."),
    b: str = typer.Argument(..., help="Predictions of the second system (after), same rows."),
    by: list[str] = _BY,
    normalise: str = _PROFILE,
    as_json: bool = _JSON,
    seed: int = _SEED,
    meaningful: float = typer.Option(
        0.10,
        "--meaningful",
        help="Relative change worth finding; decides between no evidence and underpowered.",
    ),
) -> int:
    """Paired difference of two systems on the same rows: interval, p, verdict per group."""
    from asr_adapt.scoring import compare

    result = compare(a, b, by, normalise, meaningful=meaningful, seed=seed)
    if as_json:
        print_json(result.to_json())
    else:
        from asr_adapt.cli.score_view import show_comparison

        show_comparison(result)
    return 0
