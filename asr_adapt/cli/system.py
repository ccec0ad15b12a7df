"""``asr-adapt models`` and ``asr-adapt doctor``: what can be loaded, and what is wrong here.

Knows how the findings are printed. Does not know how they are found (``doctor``).
"""

from __future__ import annotations

import json
import textwrap
from typing import Annotated

import typer

from asr_adapt.errors import EXIT_FAILED, EXIT_OK

JsonFlag = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("models")(models)
    app.command("doctor")(doctor)


def models(as_json: JsonFlag = False) -> None:
    """List the models that can be loaded by name."""
    from asr_adapt.cli.doctor import bundled

    found = bundled()
    if as_json:
        print(json.dumps(found, ensure_ascii=False, indent=2))
        return
    for row in found:
        print(f"{row['name']:<10} {row['architecture']}, {row['megabytes']:.1f} MB, {row['licence']}")
        if row["summary"]:
            print(textwrap.fill(row["summary"], 79, initial_indent=" " * 11, subsequent_indent=" " * 11))
    if not found:
        print("No model travels with this installation.")
    print("Also: any model directory, or a hub id such as facebook/wav2vec2-base-960h.")


def doctor(as_json: JsonFlag = False) -> int:
    """Check this installation: one line a check, and a fix for whatever is wrong."""
    from asr_adapt.cli.doctor import examine

    findings = examine()
    if as_json:
        print(json.dumps([finding.to_json() for finding in findings], ensure_ascii=False, indent=2))
    else:
        for finding in findings:
            print(finding.line())
    return EXIT_FAILED if any(finding.state == "broken" for finding in findings) else EXIT_OK
