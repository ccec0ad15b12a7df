"""``asr-adapt doctor``: what is wrong with this installation.

Knows how the findings are printed. Does not know how they are found (``doctor``).
"""

from __future__ import annotations

import json
from typing import Annotated

import typer

from asr_adapt.cli import panels
from asr_adapt.errors import EXIT_FAILED, EXIT_OK

JsonFlag = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    panels.add(app, "doctor", doctor, panel=panels.SYSTEM)


def doctor(as_json: JsonFlag = False) -> int:
    """Check this installation and say how to repair it."""
    from asr_adapt.cli.doctor import examine

    findings = examine()
    if as_json:
        print(json.dumps([finding.to_json() for finding in findings], ensure_ascii=False, indent=2))
    else:
        for finding in findings:
            print(finding.line())
    return EXIT_FAILED if any(finding.state == "broken" for finding in findings) else EXIT_OK
