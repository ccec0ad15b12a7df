"""``score``, ``compare`` and ``report``: what predictions are worth.

Knows options and exit status. Does not know how anything is counted, judged or drawn (``asr_adapt.scoring``).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import typer

from asr_adapt.cli import panels
from asr_adapt.destinations import expanded, require_file, require_new_names
from asr_adapt.errors import EXIT_OK
from asr_adapt.text import PROFILE_NAMES

BY = typer.Option(
    [],
    "--by",
    "-b",
    help="Also report each value of this field; repeat for several fields and their combinations.",
)
PROFILE = typer.Option(
    "",
    "--normalise",
    "-n",
    help=f"Text profile. Default: the one evaluate used, else basic. One of: {PROFILE_NAMES}.",
)
JSON = typer.Option(False, "--json", help="Print JSON instead of a table.")
_OVERWRITE = typer.Option(False, "--overwrite", help="Also replace files that asr-adapt did not write.")
_SEED = typer.Option(0, "--seed", help="Seed of the bootstrap.")


def register(app: typer.Typer) -> None:
    """Add the three commands."""
    panels.add(app, "score", score_command, panel=panels.MEASURE)
    panels.add(app, "compare", compare_command, panel=panels.MEASURE)
    panels.add(app, "report", report_command, panel=panels.MEASURE)


def print_json(value: Any) -> None:
    """Indented UTF-8 JSON on standard output."""
    json.dump(value, sys.stdout, ensure_ascii=False, indent=2, allow_nan=False)
    sys.stdout.write("\n")


def score_command(
    predictions: str = typer.Argument(
        ..., help="Predictions file (JSONL with text and pred_text), glob or -."
    ),
    by: list[str] = BY,
    normalise: str = PROFILE,
    spans: list[str] = typer.Option(
        [],
        "--spans",
        metavar="FIELD",
        help="Score parts of the text apart: spans or kinds in this field, or numbers (found by themselves).",
    ),
    as_json: bool = JSON,
    seed: int = _SEED,
    top: int = typer.Option(20, "--top", help="Number of confusions of each kind in the JSON."),
    export: str = typer.Option(
        "", "--export", help="Also write reference and hypothesis files: trn, stm-ctm or seglst."
    ),
    output: Path | None = typer.Option(None, "--output", "-o", help="Folder for --export."),
    overwrite: bool = _OVERWRITE,
) -> int:
    """WER, CER and error counts of a predictions file.

    With 95 % intervals, overall and per group. No model and no audio is needed.
    """
    from asr_adapt.scoring import score

    if export:
        from asr_adapt.scoring.interchange import export_paths

        folder = output or Path()
        paths = export_paths(folder, export)
        require_new_names(paths, expanded(predictions), folder=folder, overwrite=overwrite)
    result = score(predictions, by, normalise or None, seed=seed, top=top, spans=spans)
    if export:
        from asr_adapt.scoring.interchange import export as export_files

        for path in export_files(predictions, output or Path(), export, result.normaliser["name"]):
            typer.echo(f"wrote {path}", err=True)
    if as_json:
        print_json(result.to_json())
    else:
        from asr_adapt.cli.score_view import show_score

        show_score(result)
    return EXIT_OK


def compare_command(
    a: str = typer.Argument(..., help="Predictions of the first system (before)."),
    b: str = typer.Argument(..., help="Predictions of the second system (after), same rows."),
    by: list[str] = BY,
    normalise: str = PROFILE,
    as_json: bool = JSON,
    seed: int = _SEED,
    meaningful: float = typer.Option(
        0.10,
        "--meaningful",
        help="Relative change that matters to you; separates 'no evidence' from 'underpowered'.",
    ),
) -> int:
    """Say whether B is better than A on the same rows.

    The paired difference of two predictions files with interval, p and verdict, overall and per group.
    """
    from asr_adapt.scoring import compare

    result = compare(a, b, by, normalise or None, meaningful=meaningful, seed=seed)
    if as_json:
        print_json(result.to_json())
    else:
        from asr_adapt.cli.score_view import show_comparison

        show_comparison(result)
    return EXIT_OK


def report_command(
    predictions: list[str] = typer.Argument(
        ..., help="Predictions files; files of the same rows are compared side by side."
    ),
    output: Path = typer.Option(Path("report.html"), "--output", "-o", help="The page to write."),
    by: list[str] = BY,
    normalise: str = PROFILE,
    metrics: Path | None = typer.Option(None, "--metrics", help="metrics.jsonl of a training run."),
    title: str = typer.Option("Recognition report", "--title", help="Heading of the page."),
    audio: str = typer.Option(
        "auto", "--audio", help="auto, embed, link or none; auto embeds up to ten minutes."
    ),
    plots: Path | None = typer.Option(None, "--plots", help="Also write the plots as PNG and SVG here."),
    overwrite: bool = _OVERWRITE,
) -> int:
    """Write an HTML page of results, to look at and listen to.

    One self-contained file: results, groups, curves, alignments, players.
    """
    from asr_adapt.scoring import ReportOptions, write_report

    require_file(output, [*expanded(*predictions), metrics])
    options = ReportOptions(title=title, by=tuple(by), normalise=normalise or None, audio=audio)
    if plots is not None:
        from asr_adapt.scoring.plots import write_plots

        for path in write_plots(plots, predictions, options, overwrite=overwrite):
            typer.echo(f"wrote {path}", err=True)
    typer.echo(f"wrote {write_report(output, predictions, metrics, options=options)}", err=True)
    return EXIT_OK
