"""``asr-adapt manifest``: build, check, stats, filter, sample, split, join, audit, export, move, label.

Knows options and how results are printed. Does not know what the commands do; the manifest room does.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from asr_adapt.cli import panels
from asr_adapt.cli.manifest_check import check
from asr_adapt.cli.manifest_label import label
from asr_adapt.cli.manifest_output import name_values, print_json, print_table, progress
from asr_adapt.cli.manifest_parts import audit, split
from asr_adapt.destinations import expanded, mark_folder, require_file, require_folder

if TYPE_CHECKING:
    from asr_adapt.manifest.stats import Stats

_MANIFESTS = typer.Argument(
    ..., help="Manifest files or globs; several are read as one. - is standard input."
)
_JSON = typer.Option(False, "--json", help="Machine-readable output.")


def register(app: typer.Typer) -> None:
    """Add the ``manifest`` group."""
    group = panels.new_group("Build, check, split and audit manifests.")
    panels.add(group, "build", build)
    panels.add(group, "check", check)
    panels.add(group, "stats", stats)
    panels.add(group, "filter", filter_rows)
    panels.add(group, "sample", sample)
    panels.add(group, "split", split)
    panels.add(group, "join", join)
    panels.add(group, "audit", audit)
    panels.add(group, "export", export)
    panels.add(group, "move", move)
    panels.add(group, "label", label)
    app.add_typer(group, name="manifest", rich_help_panel=panels.DATA)


def build(
    source: Path = typer.Argument(..., help="Corpus folder, table or manifest in any known layout."),
    output: str = typer.Option(..., "-o", "--output", help="Manifest to write; - is standard output."),
    layout: str = typer.Option("auto", "--format", help="Layout of the source; auto detects it and says so."),
    column: list[str] = typer.Option(
        [], help="THEIRS=OURS: read the source's column or key THEIRS as field OURS."
    ),
    root: Path | None = typer.Option(None, help="Where relative audio paths start."),
    name_pattern: str | None = typer.Option(
        None, help="Fields in file names, such as {text}_{speaker}_{index}."
    ),
    map_values: list[str] = typer.Option(
        [], "--map", help="FIELD=OLD:NEW,OLD:NEW…: replace a field's values, such as text=0:zero,1:one."
    ),
    set_values: list[str] = typer.Option([], "--set", help="FIELD=VALUE on every row, such as lang=ha."),
    tier: str | None = typer.Option(None, help="TextGrid tier that holds the transcripts."),
    skip_unreadable: bool = typer.Option(False, help="Leave out and list rows whose audio cannot be read."),
) -> int:
    """Turn a corpus in any common layout into a manifest."""
    from asr_adapt.manifest.build import BuildOptions, open_build, reading

    require_file(output, [] if source.is_dir() else [source])
    from asr_adapt.manifest.layouts import ImportOptions

    job = open_build(
        source,
        BuildOptions(
            layout=layout,
            root=root,
            source_options=ImportOptions(name_values(column, "--column"), name_pattern, tier),
            values=name_values(set_values, "--set"),
            replacements={field: _mapping(text) for field, text in name_values(map_values, "--map").items()},
            skip_unreadable=skip_unreadable,
        ),
    )
    typer.echo(f"Reading {source} as {job.layout.name}: {job.reason}.", err=True)
    count = _write(output, reading(progress(job.rows(), "rows"), output))
    for reason in job.left_out:
        typer.echo(f"left out: {reason}", err=True)
    left_out = f", {len(job.left_out)} left out" if job.left_out else ""
    typer.echo(f"Wrote {count:,} rows to {output}{left_out}.", err=True)
    return 1 if job.left_out else 0


def stats(
    manifests: list[str] = _MANIFESTS,
    by: list[str] = typer.Option([], "--by", help="Also count the values of this field."),
    as_json: bool = _JSON,
) -> int:
    """Count hours, speakers, accents and texts of a manifest."""
    from asr_adapt.manifest import Manifest
    from asr_adapt.manifest.stats import compute_stats
    from asr_adapt.manifest.utterance import LABEL_FIELDS

    result = compute_stats(progress(Manifest.open(manifests), "rows"), dict.fromkeys([*LABEL_FIELDS, *by]))
    if as_json:
        print_json(result.to_json())
    else:
        _print_stats(result)
    return 0


def filter_rows(
    manifests: list[str] = _MANIFESTS,
    output: str = typer.Option(..., "-o", "--output", help="Manifest to write; - is standard output."),
    where: list[str] = typer.Option(
        [], help="Keep rows with FIELD=VALUE; also != < <= > >=. All conditions must hold."
    ),
    hours: float | None = typer.Option(None, min=0.0, help="Maximum hours; rows are drawn by id."),
    seed: int = typer.Option(0, help="Seed of the sample."),
) -> int:
    """Keep the rows that have some values, and a sample of them."""
    from asr_adapt.manifest import Manifest
    from asr_adapt.manifest.select import matching, sample_hours

    require_file(output, expanded(*manifests))
    rows = Manifest.open(manifests)
    chosen = sample_hours(matching(rows, where), hours, seed)
    count = _write(output, chosen)
    typer.echo(f"Wrote {count:,} of {len(rows):,} rows to {output}.", err=True)
    return 0


def sample(
    manifests: list[str] = _MANIFESTS,
    output: str = typer.Option(..., "-o", "--output", help="Manifest to write; - is standard output."),
    rows: int | None = typer.Option(None, "--rows", "-n", min=1, help="Number of rows."),
    hours: float | None = typer.Option(None, min=0.0, help="Or number of hours."),
    each: str | None = typer.Option(
        None, "--each", help="FIELD: draw this many rows for each of its values."
    ),
    where: list[str] = typer.Option([], help="Use only rows with FIELD=VALUE; also != < <= > >=."),
    seed: int = typer.Option(0, help="Seed of the sample."),
) -> int:
    """Draw a sample of rows, the same every time.

    Rows are drawn by their ids, so that a larger sample holds the smaller one.
    """
    from asr_adapt.errors import UsageError
    from asr_adapt.manifest import Manifest
    from asr_adapt.manifest.select import matching, sample_hours, sample_rows

    if (rows is None) == (hours is None):
        raise UsageError("give --rows or --hours.")
    if each is not None and rows is None:
        raise UsageError(f"--each {each} needs --rows: the number of rows for each value.")
    require_file(output, expanded(*manifests))
    found = Manifest.open(manifests)
    left = matching(found, where)
    chosen = sample_hours(left, hours, seed) if rows is None else sample_rows(left, rows, seed, each)
    count = _write(output, chosen)
    typer.echo(f"Wrote {count:,} of {len(found):,} rows to {output}.", err=True)
    return 0


def join(
    manifests: list[str] = _MANIFESTS,
    output: str = typer.Option(..., "-o", "--output", help="Manifest to write; - is standard output."),
    seconds: float = typer.Option(30.0, min=1.0, help="Longest window; 30 is what Whisper hears at once."),
    pause: float = typer.Option(3.0, min=0.0, help="Longest pause, in seconds, inside a window."),
) -> int:
    """Join consecutive clips of one recording into windows for Whisper.

    Each window keeps its clips' texts and times in segments, and the text of the window before it in
    previous_text. A recipe's decoder.timestamps_share and previous_text_share learn from both, so that a
    tuned Whisper still transcribes long audio. Clips of separate files stay as they are.
    """
    from asr_adapt.manifest import Manifest
    from asr_adapt.manifest.windows import joined_rows

    require_file(output, expanded(*manifests))
    rows = Manifest.open(manifests)
    count = _write(output, joined_rows(rows, seconds, pause))
    typer.echo(f"Joined {len(rows):,} clips into {count:,} windows in {output}.", err=True)
    return 0


def move(
    manifest: Path = typer.Argument(..., help="Manifest to move."),
    target: Path = typer.Argument(..., help="Its new name or folder."),
) -> int:
    """Move a manifest so that its audio is still found.

    The audio stays where it is; relative paths are rewritten to reach it.
    """
    import os

    from asr_adapt.errors import UsageError
    from asr_adapt.manifest import Manifest, write_manifest

    place = target / manifest.name if target.is_dir() else target
    rows = Manifest.open(manifest)
    require_file(place, [manifest])
    if os.path.lexists(place):
        raise UsageError(f"{place} already exists: move the manifest to another name.")
    place.parent.mkdir(parents=True, exist_ok=True)
    count = write_manifest(place, rows)
    manifest.unlink()
    typer.echo(f"Moved {count:,} rows to {place}.", err=True)
    return 0


def export(
    manifests: list[str] = _MANIFESTS,
    to: str = typer.Option(..., help="nemo, commonvoice, kaldi, stm or lhotse."),
    output: Path = typer.Option(..., "-o", "--output", help="File (nemo, stm) or folder to write."),
) -> int:
    """Write a manifest in another tool's layout."""
    from asr_adapt.manifest import Manifest
    from asr_adapt.manifest.export import FILES, export_manifest

    kind = f"manifest export --to {to}"
    if to in FILES:
        require_file(output, expanded(*manifests))
    else:
        require_folder(output, kind, expanded(*manifests), again=True)
    count = export_manifest(progress(Manifest.open(manifests), "rows"), to, output)
    if to not in FILES:
        mark_folder(output, kind)
    typer.echo(f"Wrote {count:,} rows as {to} to {output}.", err=True)
    return 0


def _print_stats(result: Stats) -> None:
    quantiles = result.quantiles()
    span = "".join(f", {name} {value:g} s" for name, value in quantiles.items())
    typer.echo(f"{result.rows:,} rows, {result.seconds / 3600:.2f} hours{span}")
    if result.rows_without_duration:
        typer.echo(f"{result.rows_without_duration:,} rows have no duration")
    typer.echo(
        f"{result.words:,} words, {len(result.characters)} different characters, "
        f"{result.rows_without_text:,} rows without text"
    )
    for name, stats in result.fields.items():
        typer.echo(f"\n{name}: {len(stats.rows):,} values")
        shown = stats.rows.most_common(12)
        print_table([{name: v, "rows": n, "hours": round(stats.seconds[v] / 3600, 3)} for v, n in shown])
        if len(stats.rows) > len(shown):
            typer.echo(f"  … and {len(stats.rows) - len(shown):,} more (--json lists 20)")


def _write(output: str, rows: object) -> int:
    import sys
    from collections.abc import Iterable
    from typing import cast

    from asr_adapt.manifest import Utterance, write_manifest, write_rows

    utterances = cast("Iterable[Utterance]", rows)
    if output == "-":
        return write_rows(sys.stdout, utterances, Path())
    return write_manifest(output, utterances)


def _mapping(text: str) -> dict[str, str]:
    from asr_adapt.errors import UsageError

    mapping: dict[str, str] = {}
    for item in text.split(","):
        old, colon, new = item.partition(":")
        if not colon or not old:
            raise UsageError(f"--map …={text!r} must read OLD:NEW,OLD:NEW.")
        mapping[old.strip()] = new.strip()
    return mapping
