"""``asr-adapt manifest check``.

Knows options and how findings are printed, and hands the manifest room a model's limits, what it hears and
when. Does not know what is checked.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from asr_adapt.cli.manifest_output import print_json, print_table, row_counter
from asr_adapt.destinations import expanded, require_files
from asr_adapt.errors import EXIT_INVALID, EXIT_OK, DataError, UsageError

if TYPE_CHECKING:
    from asr_adapt.manifest import Manifest, Utterance
    from asr_adapt.manifest.check import Repairer, Report
    from asr_adapt.manifest.check.fix import Splitter
    from asr_adapt.manifest.check.suspects import Suspect
    from asr_adapt.models import Recogniser
    from asr_adapt.text import Writing

#: Findings of one code shown on screen; ``--json`` has up to 1,000.
SHOWN = 5


def check(
    manifests: list[str] = typer.Argument(..., help="Manifest files or globs; - is standard input."),
    model: str | None = typer.Option(None, "--model", help="Also check against this model's limits."),
    fix: str | None = typer.Option(
        None, "--fix", help="Write a repaired manifest here; - is standard output."
    ),
    audio: bool = typer.Option(True, "--audio/--no-audio", help="Decode and measure the audio."),
    align: bool = typer.Option(False, "--align", help="List the worst-aligned transcripts (needs --model)."),
    worst: int = typer.Option(20, help="Number of transcripts that --align lists."),
    profile: str = typer.Option("basic", "--normalise", help="Text profile for checks against the model."),
    workers: int | None = typer.Option(None, help="Number of processes. Default: all cores."),
    cache: Path | None = typer.Option(
        None, help="Folder for cached measurements. Default: the user's cache."
    ),
    no_cache: bool = typer.Option(False, "--no-cache", help="Neither read nor write the cache."),
    as_json: bool = typer.Option(False, "--json", help="Machine-readable output."),
) -> int:
    """Find what is wrong with a manifest, with file and line.

    Exit status 3 where there are errors.
    """
    from asr_adapt.manifest import Manifest, require_rows
    from asr_adapt.manifest.check import CheckOptions, Repairer, check_manifest, default_cache_path

    if fix is not None:
        changes = None if fix == "-" else f"{fix}.changes.txt"
        require_files([fix, changes], [*expanded(*manifests), model, cache], option="--fix")
    if align and model is None:
        raise UsageError("--align needs a model, for example --model whisper-tiny.en.")
    manifest = require_rows(Manifest.open(manifests))
    recogniser = _load(model) if model is not None else None
    options = CheckOptions(
        audio=audio,
        limits=recogniser.limits() if recogniser is not None else None,
        profile=profile,
        workers=workers,
        cache=None if no_cache else cache or default_cache_path(),
    )
    report = check_manifest(manifest, options, row_counter(len(manifest), "rows checked"))
    suspects = _suspects(manifest, recogniser, profile, report) if align and recogniser is not None else []
    if as_json:
        print_json(
            report.to_json() | ({"suspects": _suspect_rows(manifest, suspects[:worst])} if align else {})
        )
    else:
        _print_report(report)
        _print_suspects(manifest, suspects[:worst])
    if fix is not None:
        splitter = _splitter(recogniser) if align and recogniser is not None else None
        _write_repaired(Repairer(manifest, report.findings, splitter), fix)
    return EXIT_INVALID if report.failed else EXIT_OK


def _load(model: str) -> Recogniser:
    from asr_adapt.models import load_recogniser

    return load_recogniser(model)


def _suspects(manifest: Manifest, recogniser: Recogniser, profile: str, report: Report) -> list[Suspect]:
    """Score every transcript, worst first; outliers also become findings."""
    from asr_adapt.manifest.check.suspects import add_suspects, score_rows
    from asr_adapt.models.alignment import DECODER_SUSPECT, transcript_fits
    from asr_adapt.text import normalise

    suspects = score_rows(
        manifest,
        lambda waves, texts: [(fit.score, fit.heard) for fit in transcript_fits(recogniser, waves, texts)],
        sample_rate=recogniser.sample_rate,
        prepare=lambda text: normalise(text, profile),
        progress=row_counter(len(manifest), "rows aligned"),
    )
    least = DECODER_SUSPECT if recogniser.capabilities.decoder else 0.0
    add_suspects(manifest, suspects, report.findings, least)
    return suspects


def _splitter(recogniser: Recogniser) -> Splitter | None:
    """Cuts rows that are too long at their pauses; None where the model cannot align words to frames."""
    from asr_adapt.manifest.check.suspects import splitter
    from asr_adapt.models.alignment import word_times
    from asr_adapt.models.ctc.recogniser import require_ctc

    if not recogniser.capabilities.alignment:
        return None
    ctc = require_ctc(recogniser)
    longest = ctc.limits().max_seconds or ctc.window_seconds
    return splitter(
        lambda samples, words: [
            (word.text, word.start, word.end) for word in word_times(ctc, samples, words)
        ],
        sample_rate=ctc.sample_rate,
        max_seconds=longest,
    )


def _suspect_rows(manifest: Manifest, suspects: list[Suspect]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for suspect in suspects:
        row = manifest[suspect.row]
        score = round(suspect.score, 4) if math.isfinite(suspect.score) else None
        rows.append(
            {"line": row.line, "id": row.id, "score": score, "text": row.text, "heard": suspect.heard}
        )
    return rows


def _print_suspects(manifest: Manifest, suspects: list[Suspect]) -> None:
    if not suspects:
        return
    typer.echo("\nworst-aligned transcripts (nats per label; 0: as likely as the model's own transcript):")
    for row in _suspect_rows(manifest, suspects):
        score = "no path" if row["score"] is None else f"{row['score']:.2f}"
        typer.echo(f"{score:>8}  line {row['line']}  {row['id']}\n          text   {row['text']}")
        typer.echo(f"          heard  {row['heard']}")


def _print_report(report: Report) -> None:
    from asr_adapt.manifest.check import KINDS

    errors, warnings = report.findings.count("error"), report.findings.count("warning")
    shown: dict[str, int] = {}
    for finding in report.findings:
        shown[finding.code] = shown.get(finding.code, 0) + 1
        if shown[finding.code] <= SHOWN:
            typer.echo(f"{finding.severity}: {finding}")
        elif shown[finding.code] == SHOWN + 1:
            typer.echo(
                f"  … {len(report.findings.rows[finding.code]) - SHOWN:,} more {finding.code} (--json)"
            )
    if report.findings.rows:
        typer.echo("")
        print_table(
            [
                {
                    "finding": code,
                    "weight": KINDS[code].severity,
                    "rows": len(rows),
                    "meaning": KINDS[code].meaning,
                }
                for code, rows in sorted(report.findings.rows.items(), key=lambda item: -len(item[1]))
            ]
        )
    if report.unknown:
        typer.echo("\ncharacters the model lacks:")
        print_table(
            [
                {"character": repr(c), "count": n, "example": report.examples[c]}
                for c, n in report.unknown.most_common(15)
            ]
        )
    if report.writing is not None:
        typer.echo(f"\n{_writing(report.writing)}")
    typer.echo(
        f"\n{report.rows:,} rows, {report.seconds / 3600:.2f} hours: {errors} errors, {warnings} warnings"
    )


def _kept(repairer: Repairer) -> Iterator[Utterance]:
    """The rows that stay. Raises DataError where that is none, so that no empty manifest is written."""
    rows = iter(repairer.rows())
    first = next(rows, None)
    if first is None:
        reasons = Counter(action.reason for action in repairer.actions).most_common(1)
        raise DataError(
            f"--fix would leave no row ({reasons[0][0] if reasons else 'no rows'}): nothing was written; "
            "check that the audio is where the manifest says.",
            path=", ".join(map(str, repairer.manifest.paths)) or None,
        )
    yield first
    yield from rows


def _writing(writing: Writing) -> str:
    """What the rows have of capitals and punctuation, and what a model that writes both is taught then."""
    if writing.written:
        follows = "the model writes both and learns the transcripts as written"
    else:
        follows = (
            "the model writes both: training takes them from the model's own transcripts, words from yours "
            "(labels.style model; labels.jsonl shows what came of it)"
        )
    return f"{writing.sentence}; {follows}."


def _write_repaired(repairer: Repairer, output: str) -> None:
    """The repaired manifest, and beside it ``OUT.changes.txt``: what was done to which row."""
    import sys

    from asr_adapt.files import atomic_write
    from asr_adapt.manifest import write_manifest, write_rows

    if output == "-":
        count = write_rows(sys.stdout, _kept(repairer), Path())
        for action in repairer.actions:
            typer.echo(str(action), err=True)
    else:
        count = write_manifest(output, _kept(repairer))
        with atomic_write(f"{output}.changes.txt") as handle:
            handle.writelines(f"{action}\n" for action in repairer.actions)
    done: dict[str, int] = {}
    for action in repairer.actions:
        done[action.repair] = done.get(action.repair, 0) + 1
    summary = (
        ", ".join(f"{repair} {number:,}" for repair, number in sorted(done.items())) or "nothing to repair"
    )
    typer.echo(f"Wrote {count:,} rows to {output} ({summary}).", err=True)
