"""``asr-adapt gate``: a regression verdict for CI, the baseline it compares with, and its history.

Knows options, what is printed and the exit status. Does not know how anything is judged or drawn.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from asr_adapt.cli import panels
from asr_adapt.cli.grouped import DefaultCommand
from asr_adapt.cli.score import BY, JSON, PROFILE, print_json
from asr_adapt.destinations import expanded, require_file, require_files
from asr_adapt.errors import EXIT_FAILED, EXIT_OK, AsrAdaptError, DataError, UsageError

if TYPE_CHECKING:
    from asr_adapt.scoring import Baseline
    from asr_adapt.scoring.baseline_change import BaselineChange
    from asr_adapt.scoring.gate import GateResult
    from asr_adapt.scoring.rules import GateRules

_BASELINE = "The baseline"
_RULES = "What may change"
_OUTPUT = "For CI"


def register(app: typer.Typer) -> None:
    """Add ``gate`` with its own meaning, and ``gate history``."""
    group = panels.new_group("Fail when a model got worse than its baseline (for CI).", cls=DefaultCommand)
    panels.add(group, DefaultCommand.default, gate_command, hidden=True)
    panels.add(group, "history", history_command)
    app.add_typer(group, name="gate", rich_help_panel=panels.MEASURE)


def gate_command(
    predictions: str = typer.Argument(..., help="Predictions of the run to judge."),
    baseline: Path = typer.Option(
        ..., "--baseline", help="Baseline file (JSON), written by --update.", rich_help_panel=_BASELINE
    ),
    update: bool = typer.Option(
        False,
        "--update",
        help="Write the baseline from these predictions; says first what it changes.",
        rich_help_panel=_BASELINE,
    ),
    yes: bool = typer.Option(
        False,
        "--yes",
        "-y",
        help="With --update: write it though something gets worse.",
        rich_help_panel=_BASELINE,
    ),
    repeat: list[str] = typer.Option(
        [],
        "--repeat",
        help="With --update: predictions of another run of the same model; their spread is the noise floor.",
        rich_help_panel=_BASELINE,
    ),
    by: list[str] = BY,
    rules: Path | None = typer.Option(
        None, "--rules", help="YAML file with rules; options override it.", rich_help_panel=_RULES
    ),
    rise: str = typer.Option(
        "",
        "--rise",
        help="Allowed rise: 5% (relative) or 0.01 (absolute); accent:5% is --by accent too. Default 0.",
        rich_help_panel=_RULES,
    ),
    ceiling: float | None = typer.Option(
        None, "--ceiling", help="Highest WER allowed, as a fraction.", rich_help_panel=_RULES
    ),
    gap: float | None = typer.Option(
        None, "--gap", help="Largest gap between groups allowed, as a fraction.", rich_help_panel=_RULES
    ),
    guard: list[str] = typer.Option(
        [], "--guard", help="Group that must not rise at all, e.g. us.", rich_help_panel=_RULES
    ),
    level: float | None = typer.Option(
        None,
        "--level",
        help="False-alarm level. Default: 0.05; with 1, any rise fails.",
        rich_help_panel=_RULES,
    ),
    metric: str = typer.Option("", "--metric", help="wer or cer. Default: wer.", rich_help_panel=_RULES),
    accept: list[str] = typer.Option(
        [],
        "--accept",
        help="A difference from the baseline that is wanted: rows, references, normaliser, or a setting of "
        "decoding; the error names it.",
        rich_help_panel=_RULES,
    ),
    normalise: str = PROFILE,
    junit: Path | None = typer.Option(
        None, "--junit", help="Write JUnit XML to this file.", rich_help_panel=_OUTPUT
    ),
    markdown: Path | None = typer.Option(
        None, "--markdown", help="Write Markdown to this file.", rich_help_panel=_OUTPUT
    ),
    as_json: bool = JSON,
) -> int:
    """Fail when a model got worse than its baseline (for CI).

    Exit status 0: passed, 1: failed, 4: not comparable. With --update, 1: not written, since something gets
    worse and --yes was not given.
    """
    from asr_adapt.scoring import gate

    read = [*expanded(predictions, *repeat), rules]
    require_files([junit, markdown], [*read, baseline], option="--junit and --markdown")
    field, _, rise = rise.rpartition(":")
    by = [*by, *([field] if field and field not in by else [])]
    if update:
        require_file(baseline, read, option="--baseline")
        return _BaselineUpdate(baseline, predictions, repeat, by, normalise).carried_out(
            yes, markdown, as_json
        )
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


class _BaselineUpdate:
    """A baseline that is about to be replaced."""

    def __init__(self, path: Path, source: str, repeat: list[str], by: list[str], normalise: str) -> None:
        from asr_adapt.scoring import make_baseline, read_predictions
        from asr_adapt.scoring.baseline_file import require_replaceable
        from asr_adapt.scoring.predictions import profile_for
        from asr_adapt.scoring.score import group_rows

        require_replaceable(path)
        self.path = path
        found = read_predictions(source)
        self.made = make_baseline(found, profile_for(normalise, found), repeats=repeat)
        groups = group_rows(found, by).items()
        self.groups = {f"{f}={v}": rows.tolist() for f, values in groups for v, rows in values.items()}

    def carried_out(self, yes: bool, markdown: Path | None, as_json: bool) -> int:
        """Say what changes, ask where that is for the worse, and write."""
        change, unreadable = self._change()
        if change is not None and not as_json:
            for line in change.lines():
                typer.echo(line)
        if markdown is not None:
            first = f"### New WER baseline\n\n{len(self.made.ids)} rows, WER {100 * self.made.wer:.2f} %\n"
            _write(markdown, first if change is None else change.markdown())
        agreed = yes or self._agreed(change, unreadable)
        if agreed:
            self.made.save(self.path)
        if as_json:
            told = None if change is None else change.to_json()
            print_json({"written": agreed, "wer": self.made.wer, "rows": len(self.made.ids), "change": told})
        if not agreed:
            typer.echo(f"asr-adapt: {self.path} was not written: give --yes to accept this.", err=True)
            return EXIT_FAILED
        rows = f"{len(self.made.ids)} rows, WER {100 * self.made.wer:.2f} %"
        typer.echo(f"wrote {self.path}: {rows}", err=True)
        return EXIT_OK

    def _change(self) -> tuple[BaselineChange | None, str]:
        """The change against the file that is there, if any; why that cannot be read, if it cannot."""
        from asr_adapt.scoring import Baseline
        from asr_adapt.scoring.baseline_change import baseline_change

        if not self.path.is_file() or not self.path.stat().st_size:
            return None, ""
        try:
            old: Baseline = Baseline.load(self.path)
        except DataError as error:
            return None, str(error)
        return baseline_change(old, self.made, self.groups), ""

    @staticmethod
    def _agreed(change: BaselineChange | None, unreadable: str) -> bool:
        """Whether nothing gets worse, or the person at the terminal agrees."""
        if unreadable:
            typer.echo(f"the existing baseline cannot be compared: {unreadable}", err=True)
        if not unreadable and (change is None or not change.worse):
            return True
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            return False
        return typer.confirm("Write it?", default=False, err=True)


def history_command(
    baseline: Path = typer.Option(..., "--baseline", help="The committed baseline file."),
    output: Path | None = typer.Option(None, "--output", "-o", help="File to write: .html, .svg or .md."),
    by: list[str] = BY,
    rows: Path | None = typer.Option(
        None, "--rows", help="Manifest of the baseline's rows, for --by and intervals over speakers."
    ),
    most: int = typer.Option(100, "--last", min=1, help="Maximum number of versions, newest first."),
    metric: str = typer.Option("wer", "--metric", help="wer or cer."),
    title: str = typer.Option("", "--title", help="Heading of the page. Default: the baseline's name."),
    as_json: bool = JSON,
) -> int:
    """Show how the baseline changed over git's commits.

    A table of every commit that changed the file; with --output a plot with 95 % intervals.
    """
    from asr_adapt.scoring import history_page
    from asr_adapt.scoring.history import history
    from asr_adapt.scoring.rules import require_metric

    require_file(output, [baseline, rows])
    kind = _page_kind(output)
    points = history(baseline, by=by, rows=rows, most=most, metric=require_metric(metric))
    heading = title or f"{metric.upper()} over commits: {baseline.name}"
    if output is not None:
        draw = {
            ".html": history_page.page,
            ".svg": lambda *given: history_page.chart(*given, alone=True),
            ".md": history_page.markdown,
        }[kind]
        _write(output, draw(points, heading))
        typer.echo(f"wrote {output}", err=True)
    if as_json:
        print_json([point.to_json() for point in points])
    else:
        from asr_adapt.cli.score_view import show_history

        show_history(points)
    return EXIT_OK


def _page_kind(output: Path | None) -> str:
    kind = ".html" if output is None else output.suffix.lower()
    if kind not in (".html", ".svg", ".md"):
        raise UsageError(f"{output} must end in .html, .svg or .md.")
    return kind


def _rules(path: Path | None, options: dict[str, Any]) -> GateRules:
    """Rules of the file, if any, with every option that was given in place of its key."""
    from asr_adapt.scoring.rules import load_rules, override_rules

    given = {name: value for name, value in options.items() if value not in (None, "", [])}
    return override_rules(load_rules(path) if path else None, given)


def _write_refusal(reason: str, junit: Path | None, markdown: Path | None) -> None:
    """Say in the files that nothing was judged: those of an earlier run would be taken for this one's."""
    from asr_adapt.scoring import gate_output

    for path, render in ((junit, gate_output.refusal_junit), (markdown, gate_output.refusal_markdown)):
        if path is not None:
            _write(path, render(reason))


def _write_gate(result: GateResult, junit: Path | None, markdown: Path | None) -> None:
    from asr_adapt.scoring import gate_output

    for path, render in ((junit, gate_output.junit_xml), (markdown, gate_output.markdown)):
        if path is not None:
            _write(path, render(result))


def _write(path: Path, text: str) -> None:
    from asr_adapt.files import atomic_write

    with atomic_write(path) as handle:
        handle.write(text)
