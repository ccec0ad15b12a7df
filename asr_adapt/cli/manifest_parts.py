"""``asr-adapt manifest split`` and ``audit``: parts without leaks, and leaks between parts.

Knows options and how results are printed. Does not know what a leak is; the manifest room does.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from asr_adapt.cli.manifest_output import name_values, print_json, print_table, row_counter
from asr_adapt.destinations import expanded, mark_if_new, require_new_names
from asr_adapt.errors import UsageError

if TYPE_CHECKING:
    from asr_adapt.manifest import Manifest
    from asr_adapt.manifest.fingerprints import Digests

_AUDIO = typer.Option(True, "--audio/--no-audio", help="Decode audio to find identical recordings.")
_CACHE = typer.Option(True, "--cache/--no-cache", help="Cache measurements of audio.")


def split(
    manifests: list[str] = typer.Argument(..., help="Manifest files or globs; several are read as one."),
    output: Path | None = typer.Option(
        None, "-o", "--output", help="Folder for the parts. Default: the manifest's folder."
    ),
    by: str = typer.Option(
        "speaker", help="Fields whose values parts must not share, such as speaker,session."
    ),
    parts: str = typer.Option("train=0.8,dev=0.1,test=0.1", help="Names and shares of the hours."),
    stratify: str | None = typer.Option(None, help="Field whose values are balanced across parts."),
    where: list[str] = typer.Option([], help="Use only rows with FIELD=VALUE; also != < <= > >=."),
    seed: int = typer.Option(0, help="Seed; chooses among equally good splits."),
    shared_text: bool = typer.Option(
        False, "--shared-text", help="Let parts share sentences and recordings (digits, commands)."
    ),
    audio: bool = _AUDIO,
    cache: bool = _CACHE,
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace existing parts."),
    as_json: bool = typer.Option(False, "--json", help="Machine-readable output."),
) -> int:
    """Split a manifest into parts that share no speaker.

    Nor, unless --shared-text is given, a sentence or a sound.
    """
    from asr_adapt.manifest import Manifest, require_rows
    from asr_adapt.manifest.select import matching
    from asr_adapt.manifest.split import LEFT_OVER, SplitOptions, split_manifest

    manifest = matching(require_rows(Manifest.open(manifests)), where)
    fields = tuple(name.strip() for name in by.split(",") if name.strip())
    if not fields:
        raise UsageError("--by needs at least one field, such as speaker.")
    first, shares = Path(manifests[0]), _shares(parts)
    folder = output or first.parent
    names = [_part_path(name, first, output) for name in (*shares, LEFT_OVER)]
    require_new_names(names, expanded(*manifests), folder=folder, overwrite=overwrite)
    options = SplitOptions(shares, fields, stratify, seed)
    sounds = (lambda: _sounds(manifest, cache)) if audio else None
    chosen = split_manifest(manifest, options, sounds, shared_text=shared_text)
    mark_if_new(folder, "manifest split")
    paths = {name: _part_path(name, first, output) for name in chosen}
    table = [_write_part(name, rows, paths[name], fields[0]) for name, rows in chosen.items()]
    if as_json:
        print_json(table)
    else:
        print_table(table)
        if LEFT_OVER in chosen:
            typer.echo(
                "leftover: rows that repeat a sentence or sound of a smaller part; --shared-text keeps them"
            )
    return 0


def audit(
    manifests: list[str] = typer.Argument(..., help="Two manifests or more, each one part."),
    ignore: str = typer.Option("", help="Kinds of leak to ignore: speaker, sentence, near, audio."),
    audio: bool = _AUDIO,
    cache: bool = _CACHE,
    as_json: bool = typer.Option(False, "--json", help="Machine-readable output."),
) -> int:
    """Find what parts share: speakers, sentences, sounds.

    Exit status 1 where they share any.
    """
    from asr_adapt.errors import EXIT_FAILED, EXIT_OK
    from asr_adapt.manifest import Manifest
    from asr_adapt.manifest.audit import LEAK_KINDS, Part, audit_parts

    ignored = {name.strip() for name in ignore.split(",") if name.strip()}
    if ignored - set(LEAK_KINDS):
        raise UsageError(
            f"--ignore knows {', '.join(LEAK_KINDS)}, not {', '.join(sorted(ignored - set(LEAK_KINDS)))}."
        )
    names = _short_names(manifests)
    parts = []
    for name, path in zip(names, manifests, strict=True):
        manifest = Manifest.open(path)
        sounds = _sounds(manifest, cache) if audio and "audio" not in ignored else None
        parts.append(Part.of(name, manifest, sounds))
    result = audit_parts(parts, [kind for kind in LEAK_KINDS if kind not in ignored])
    if as_json:
        print_json(result.to_json())
        return EXIT_FAILED if result.leaks else EXIT_OK
    for leak in result.leaks:
        typer.echo(f"{leak.first} and {leak.second} share {leak.values:,} × {LEAK_KINDS[leak.kind]}")
        typer.echo(f"  ({leak.first_rows:,} and {leak.second_rows:,} rows)")
        for example in leak.examples:
            typer.echo(f"  {example}")
    for note in result.notes:
        typer.echo(f"note: {note}", err=True)
    if not result.leaks:
        typer.echo(f"No leaks between {len(parts)} parts.")
    return EXIT_FAILED if result.leaks else EXIT_OK


def _sounds(manifest: Manifest, cache: bool) -> Digests:
    """A digest of every row's sound, 0 where it cannot be decoded."""
    from asr_adapt.manifest.check import CheckOptions, default_cache_path, measure_rows

    options = CheckOptions(workers=None, cache=default_cache_path() if cache else None)
    return measure_rows(manifest, options, row_counter(len(manifest), "rows heard"))[0].sounds


def _shares(parts: str) -> dict[str, float]:
    try:
        return {name: float(share) for name, share in name_values(parts.split(","), "--parts").items()}
    except ValueError as error:
        raise UsageError(f"--parts {parts!r} must read like train=0.8,dev=0.1,test=0.1.") from error


def _part_path(name: str, manifest: Path, output: Path | None) -> Path:
    return output / f"{name}.jsonl" if output else manifest.parent / f"{manifest.stem}.{name}.jsonl"


def _write_part(name: str, part: Manifest, path: Path, field: str) -> dict[str, str | int | float]:
    from asr_adapt.manifest import write_manifest

    write_manifest(path, part)
    key = "text" if field == "sentence" else field
    values = {str(row.get(key)) for row in part}
    hours = sum(row.duration or 0.0 for row in part) / 3600
    return {
        "part": name,
        "file": str(path),
        "rows": len(part),
        "hours": round(hours, 3),
        f"{field}s": len(values),
    }


def _short_names(manifests: list[str]) -> list[str]:
    """File names, or whole paths where two manifests have the same name."""
    names = [Path(path).stem for path in manifests]
    return names if len(set(names)) == len(names) else manifests
