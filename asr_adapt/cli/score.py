"""``score``, ``compare``, ``gate`` and ``report``: what predictions are worth.

Knows options and exit status. Does not know how anything is counted, judged or drawn (``asr_adapt.scoring``).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from asr_adapt.cli import panels
from asr_adapt.destinations import expanded, require_file, require_files, require_new_names
from asr_adapt.errors import EXIT_OK, AsrAdaptError
from asr_adapt.text import PROFILE_NAMES

if TYPE_CHECKING:
    from asr_adapt.scoring.gate import GateResult
    from asr_adapt.scoring.rules import GateRules

_BY = typer.Option(
    [],
    "--by",
    "-b",
    help="Also report each value of this field; repeat for several fields and their combinations.",
)
_PROFILE = typer.Option(
    "",
    "--normalise",
    "-n",
    help=f"Text profile. Default: the one evaluate used, else basic. One of: {PROFILE_NAMES}.",
)
_JSON = typer.Option(False, "--json", help="Print JSON instead of a table.")
_OVERWRITE = typer.Option(False, "--overwrite", help="Also replace files that asr-adapt did not write.")
_SEED = typer.Option(0, "--seed", help="Seed of the bootstrap.")


def register(app: typer.Typer) -> None:
    """Add the four commands."""
    panels.add(app, "score", score_command, panel=panels.MEASURE)
    panels.add(app, "compare", compare_command, panel=panels.MEASURE)
    panels.add(app, "gate", gate_command, panel=panels.MEASURE)
    panels.add(app, "report", report_command, panel=panels.MEASURE)


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
    result = score(predictions, by, normalise or None, seed=seed, top=top)
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
    by: list[str] = _BY,
    normalise: str = _PROFILE,
    as_json: bool = _JSON,
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


def gate_command(
    predictions: str = typer.Argument(..., help="Predictions of the run to judge."),
    baseline: Path = typer.Option(..., "--baseline", help="Baseline file (JSON), written by --update."),
    update: bool = typer.Option(False, "--update", help="Write the baseline from these predictions."),
    repeat: list[str] = typer.Option(
        [],
        "--repeat",
        help="With --update: predictions of another run of the same model; their spread is the noise floor.",
    ),
    by: list[str] = _BY,
    rules: Path | None = typer.Option(None, "--rules", help="YAML file with rules; options override it."),
    rise: str = typer.Option("", "--rise", help="Allowed rise: 5% (relative) or 0.01 (absolute). Default 0."),
    ceiling: float | None = typer.Option(None, "--ceiling", help="Highest WER allowed, as a fraction."),
    gap: float | None = typer.Option(
        None, "--gap", help="Largest gap between groups allowed, as a fraction."
    ),
    guard: list[str] = typer.Option([], "--guard", help="Group that must not rise at all, e.g. us."),
    level: float | None = typer.Option(None, "--level", help="False-alarm level [0.05]; 1: any rise fails."),
    metric: str = typer.Option("", "--metric", help="wer [default], or cer: characters, not words."),
    accept: list[str] = typer.Option(
        [], "--accept", help="A difference that is wanted, e.g. rows, decoding."
    ),
    normalise: str = _PROFILE,
    junit: Path | None = typer.Option(None, "--junit", help="Write JUnit XML to this file."),
    markdown: Path | None = typer.Option(None, "--markdown", help="Write Markdown to this file."),
    as_json: bool = _JSON,
) -> int:
    """Fail when a model got worse than its baseline (for CI).

    Exit status 0: passed, 1: failed, 4: not comparable.
    """
    from asr_adapt.scoring import gate, make_baseline, read_predictions
    from asr_adapt.scoring.baseline import require_replaceable
    from asr_adapt.scoring.predictions import profile_for

    read = [*expanded(predictions, *repeat), rules]
    require_files([junit, markdown], [*read, baseline], option="--junit and --markdown")
    if update:
        require_file(baseline, read, option="--baseline")
        require_replaceable(baseline)
        found = read_predictions(predictions)
        made = make_baseline(found, profile_for(normalise, found), repeats=repeat)
        made.save(baseline)
        typer.echo(f"wrote {baseline}: {len(made.ids)} rows, WER {100 * made.wer:.2f} %", err=True)
        return EXIT_OK
    options = {"by": by, "rise": rise, "ceiling": ceiling, "gap": gap, "guard": guard, "level": level}
    options["metric"] = metric
    try:
        judged = _rules(rules, options)
        result = gate(predictions, baseline, judged, accept=accept, normalise=normalise or None)
    except AsrAdaptError as error:
        _write_refusal(str(error), junit, markdown)
        raise
    _write_gate(result, junit, markdown)
    if as_json:
        print_json(result.to_json())
    else:
        from asr_adapt.cli.score_view import show_gate

        show_gate(result)
    return result.exit_status


def report_command(
    predictions: list[str] = typer.Argument(
        ..., help="Predictions files; files of the same rows are compared side by side."
    ),
    output: Path = typer.Option(Path("report.html"), "--output", "-o", help="The page to write."),
    by: list[str] = _BY,
    normalise: str = _PROFILE,
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


def _rules(path: Path | None, options: dict[str, Any]) -> GateRules:
    """Rules of the file, if any, with every option that was given in place of its key."""
    from asr_adapt.scoring.rules import load_rules, override_rules

    given = {name: value for name, value in options.items() if value not in (None, "", [])}
    return override_rules(load_rules(path) if path else None, given)


def _write_refusal(reason: str, junit: Path | None, markdown: Path | None) -> None:
    """Say in the files that nothing was judged: those of an earlier run would be taken for this one's."""
    from asr_adapt.files import atomic_write
    from asr_adapt.scoring import gate_output

    for path, render in ((junit, gate_output.refusal_junit), (markdown, gate_output.refusal_markdown)):
        if path is not None:
            with atomic_write(path) as handle:
                handle.write(render(reason))


def _write_gate(result: GateResult, junit: Path | None, markdown: Path | None) -> None:
    from asr_adapt.files import atomic_write
    from asr_adapt.scoring import gate_output

    for path, render in ((junit, gate_output.junit_xml), (markdown, gate_output.markdown)):
        if path is not None:
            with atomic_write(path) as handle:
                handle.write(render(result))
