"""``asr-adapt manifest label``: labels for speech without transcripts.

Knows options and what is printed. Does not know how rows are heard or chosen.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from asr_adapt.cli.manifest_output import print_json
from asr_adapt.destinations import expanded, require_file
from asr_adapt.pretrained import DEFAULT_MODEL

if TYPE_CHECKING:
    from asr_adapt.transcription.pseudo_labels import Labelled


def label(
    manifests: list[str] = typer.Argument(..., help="Manifest files or globs; transcripts are not needed."),
    output: Path = typer.Option(..., "-o", "--output", help="Manifest of the rows that are kept."),
    model: str = typer.Option(
        DEFAULT_MODEL, "--model", "-m", help="Model name, directory or file, or hub id."
    ),
    second: str | None = typer.Option(
        None, "--second", help="Model for the second hearing. Default: --model, on the clip a little faster."
    ),
    confidence: float = typer.Option(0.7, min=0.0, max=1.0, help="Least confidence of a row that is kept."),
    disagreement: float = typer.Option(
        0.1, min=0.0, help="Most word errors between both hearings: 0.1 is 10 %."
    ),
    profile: str = typer.Option("basic", "--normalise", help="Text profile for comparing."),
    device: str = typer.Option("auto", help="auto, cpu, cuda, mps."),
    as_json: bool = typer.Option(False, "--json", help="Machine-readable output."),
) -> int:
    """Label speech without transcripts, where a model is sure of them.

    A row is kept where the model is sure of it and hears the same twice.

    Nothing is learnt here: give the new manifest to a recipe's train, beside rows with real transcripts.
    """
    from asr_adapt.manifest import Manifest, require_rows, write_manifest
    from asr_adapt.models import load_recogniser
    from asr_adapt.text import profile as profile_named
    from asr_adapt.transcription.pseudo_labels import KeepRules, pseudo_label

    require_file(output, expanded(*manifests))
    profile_named(profile)  # an unknown one is refused before the work
    rows = require_rows(Manifest.open(manifests))
    told: dict[str, Any] = {"device": device, "compute_type": "auto"}
    other = None if second is None else load_recogniser(second, **told)
    rules = KeepRules(confidence, disagreement, profile)
    found = pseudo_label(rows, load_recogniser(model, **told), rules, second=other)
    write_manifest(output, found.rows)
    if as_json:
        print_json(found.to_json())
    else:
        _show(found, output)
    return 0


def _show(found: Labelled, output: Path) -> None:
    reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(found.reasons.items()))
    typer.echo(f"{reasons}; {found.hours:.2f} h kept in {output}")
    for name, wer in (("kept", found.wer_kept), ("dropped", found.wer_dropped)):
        if wer is not None:
            typer.echo(f"WER of the {name} labels against the transcripts that rows had: {wer:.1%}")
