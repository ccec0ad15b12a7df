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
Memory = Annotated[
    float | None,
    typer.Option(
        min=0.0, metavar="GB", help="Only say how many clips of 10 s a GPU of so many GB trains on at once."
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    panels.add(app, "doctor", doctor, panel=panels.SYSTEM)


def doctor(as_json: JsonFlag = False, memory: Memory = None) -> int:
    """Check this installation and say how to repair it."""
    if memory is not None:
        _show_what_fits(memory, as_json)
        return EXIT_OK
    from asr_adapt.cli.doctor import examine

    findings = examine()
    if as_json:
        print(json.dumps([finding.to_json() for finding in findings], ensure_ascii=False, indent=2))
    else:
        for finding in findings:
            print(finding.line())
    return EXIT_FAILED if any(finding.state == "broken" for finding in findings) else EXIT_OK


def _show_what_fits(gigabytes: float, as_json: bool) -> None:
    """Clips in a micro-batch, by model and way to train, in bfloat16; none where not even one fits."""
    from asr_adapt.training.device.known_plans import known_plans

    fits = {name: known.rows(gigabytes) for name, known in known_plans().items()}
    if as_json:
        print(json.dumps(fits, indent=2))
        return
    for name, ways in fits.items():
        told = "; ".join(f"{way} {count or 'none'}" for way, count in ways.items())
        print(f"{name}: {told}")
