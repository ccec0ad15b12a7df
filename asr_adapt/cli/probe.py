"""``asr-adapt probe``: what the frozen layers know about a label, and a classifier made of it.

Knows the options and what is printed. Does not know features or classifiers.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from asr_adapt.cli import panels
from asr_adapt.destinations import expanded, require_folder
from asr_adapt.errors import EXIT_FAILED, EXIT_OK, UsageError
from asr_adapt.locks import alone
from asr_adapt.pretrained import DEFAULT_MODEL

if TYPE_CHECKING:
    from asr_adapt.manifest import Utterance
    from asr_adapt.probing import Answer


def register(app: typer.Typer) -> None:
    """Add ``probe`` to the command line."""
    panels.add(app, "probe", probe, panel=panels.MEASURE, no_args_is_help=True)


def probe(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="MANIFEST|FILES",
            help="A manifest with labels; with --apply also audio files and folders.",
        ),
    ],
    label: Annotated[
        str | None, typer.Option(help="Field to classify: accent, age_group, text (keywords) …")
    ] = None,
    group: Annotated[str, typer.Option(help="Field whose values train and test must not share.")] = "speaker",
    layers: Annotated[
        str, typer.Option(help="all, or comma-separated numbers and names of layers: 3,6,final_norm.")
    ] = "all",
    pool: Annotated[str, typer.Option(help="Pooling over time: mean or mean_std.")] = "mean",
    folds: Annotated[int, typer.Option(min=2, help="Number of cross-validation folds.")] = 5,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            help="Model name, directory or hub id. Default: nano-en; with --apply the probe's own.",
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for classifier, figures and plot.")
    ] = None,
    apply: Annotated[
        Path | None, typer.Option("--apply", metavar="DIR", help="Classify the inputs with this probe.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier probe in DIR.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Seed of folds and intervals.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Result as JSON on standard output.")] = False,
) -> int:
    """Classify accent, age or keywords from a model's layers.

    Features are frozen, layer by layer; classifiers are tested on speakers that they have not heard.
    """
    if apply is not None:
        return _apply(apply, inputs, model, as_json)
    if label is None or len(inputs) != 1:
        raise UsageError("probe needs one MANIFEST and --label FIELD, or --apply DIR with inputs.")
    from asr_adapt.probing import ProbeOptions, probe_manifest
    from asr_adapt.scoring.figures import require_plots

    if output is not None:
        require_plots()
        require_folder(output, "probe", [*expanded(*inputs), model], overwrite=overwrite)
    chosen = tuple(name.strip() for name in layers.split(",") if name.strip())
    options = ProbeOptions(label, group, chosen, pool, folds, seed)
    with alone(output):
        result = probe_manifest(inputs[0], options, model=model or DEFAULT_MODEL)
        if output is not None:
            result.save(output, overwrite=overwrite)
    if as_json:
        print(json.dumps(result.to_json(), ensure_ascii=False, indent=2))
    else:
        _show(result.to_json(), output)
    return EXIT_OK


def _apply(folder: Path, inputs: list[str], model: str | None, as_json: bool) -> int:
    """Answers for files, folders or manifests; inputs that cannot be read are named and give status 1."""
    from asr_adapt.files import temporary_folder
    from asr_adapt.manifest import Utterance
    from asr_adapt.probing import LinearProbe, apply_probe
    from asr_adapt.transcription.inputs import expand

    classifier = LinearProbe.load(folder)
    with temporary_folder() as spool:
        found = expand(inputs, spool=spool)
        rows = [source.row or Utterance(str(source.path)) for source in found.sources]
        answers = apply_probe(classifier, rows, model=model)
    if as_json:
        records = [_record(row, answer, classifier.field) for row, answer in zip(rows, answers, strict=True)]
        print(json.dumps(records, ensure_ascii=False, indent=2))
    else:
        for row, answer in zip(rows, answers, strict=True):
            sure = "" if answer.probability is None else f"  {answer.probability:.0%}"
            print(f"{answer.label}{sure}  {row.id if row.source else row.audio_filepath}")
    for failure in found.failures:
        print(f"asr-adapt: {failure.message}", file=sys.stderr)
    return EXIT_FAILED if found.failures else EXIT_OK


def _record(row: Utterance, answer: Answer, field: str) -> dict[str, Any]:
    return {
        "audio_filepath": row.audio_filepath,
        "id": row.id,
        "field": field,
        "label": answer.label,
        "probability": answer.probability,
        "true": row.get(field),
    }


def _show(sweep: dict[str, Any], output: Path | None) -> None:
    """The sweep as a table, the choice, and what to do next."""
    from rich.table import Table

    from asr_adapt.screen import console as screen

    console = screen()
    table = Table("layer", "classifier", "accuracy (95 %)", "balanced (95 %)", box=None, pad_edge=False)
    best = sweep["chosen"]
    for entry in sweep["layers"]:
        star = " *" if all(entry[k] == best[k] for k in ("layer", "classifier")) else ""
        cells = [_bounds(entry["accuracy"]), _bounds(entry["balanced"]) + star]
        table.add_row(entry["layer"], entry["classifier"], *cells)
    base = sweep["majority"]
    table.add_row("majority", "–", f"{base['accuracy']:.1%}", f"{base['balanced']:.1%}")
    console.print(table)
    fair = _bounds(best["balanced_on_other_speakers"])
    console.print(f"* best of all lines; on speakers that did not choose it: {fair} balanced")
    speakers = f"{sweep['group']}s"
    recalls = zip(sweep["classes"].items(), best["recalls"], strict=True)
    for (name, size), recall in recalls:
        console.print(f"{name}: recall {recall:.1%} ({size['rows']} rows, {size['groups']} {speakers})")
    unit = speakers if sweep["interval_unit"] == "speaker" else "rows: too few speakers"
    console.print(f"{sweep['folds']} folds, no {sweep['group']} in two; intervals over {unit}")
    if output is not None:
        console.print(f"next: asr-adapt probe --apply {output} recording.wav")


def _bounds(bounds: dict[str, float]) -> str:
    return f"{bounds['value']:.1%} ({bounds['low']:.1%}–{bounds['high']:.1%})"
