"""``asr-adapt calibrate``: make word confidence mean what it says.

Knows the options, where the map goes and what is printed. Does not know how it is fitted.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from asr_adapt.api.opening import ChosenModel, Runtime
from asr_adapt.cli import options, panels
from asr_adapt.cli.decoding_options import MEASURED, takes_decoding
from asr_adapt.cli.loading import scorable, seconds_of
from asr_adapt.cli.ranks import is_main, refuse_standard_input
from asr_adapt.decoding import Decoding
from asr_adapt.destinations import require_file
from asr_adapt.errors import EXIT_FAILED, EXIT_OK
from asr_adapt.pretrained import DEFAULT_MODEL

if TYPE_CHECKING:
    from asr_adapt.manifest import Manifest
    from asr_adapt.transcription import EvaluatedRows
    from asr_adapt.transcription.calibration import Calibrated


def register(app: typer.Typer) -> None:
    """Add the command."""
    panels.add(app, "calibrate", calibrate, panel=panels.TUNE, no_args_is_help=True)


@takes_decoding(*MEASURED, "batch_seconds")
def calibrate(
    manifest: options.ScoredManifest,
    model: options.Model = DEFAULT_MODEL,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write. Default: MODEL/calibration.json.")
    ] = None,
    normalise: options.Normalise = "basic",
    decoding: Decoding = Decoding(),
    runtime: options.RuntimeName = Runtime.torch,
    device: options.Device = "auto",
    compute_type: options.ComputeType = "auto",
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> int:
    """Make word confidence mean the share of right words.

    Give speech like that to be transcribed, of speakers with whom the model was not trained. transcribe,
    evaluate and serve find the file in the model's directory; elsewhere name it by --calibration.
    """
    from asr_adapt.transcription.calibration import calibrate as fit_rows

    if manifest == "-":
        refuse_standard_input()
    chosen = ChosenModel(model, decoding, runtime, device, compute_type)
    target = chosen.calibration_target(output)
    rows = scorable(manifest)
    sounds = (row.audio_path for row in rows)
    require_file(target, [*rows.paths, *chosen.files(without=target), decoding.language_model, *sounds])
    run, described = _transcribed(rows, chosen, quiet or not is_main())
    if is_main():
        for failure in run.failures:
            print(f"asr-adapt: {failure.message}", file=sys.stderr)
        found = fit_rows(run.rows, model=model, decoding=described, profile=normalise)
        found.calibration.write(target, **found.to_json())
        _show(found, target, as_json)
    return EXIT_FAILED if run.failures else EXIT_OK


def _transcribed(rows: Manifest, chosen: ChosenModel, quiet: bool) -> tuple[EvaluatedRows, str]:
    """Raw predictions with words, on all processes, and how they were decoded."""
    from asr_adapt.cli.progress import audio_progress
    from asr_adapt.transcription import evaluate_rows
    from asr_adapt.transcription.processes import launched

    with launched() as processes, audio_progress("Transcribing", quiet=quiet) as start:
        recogniser = chosen.load()
        tell = start(seconds_of(rows) / processes.count)
        run = evaluate_rows(
            rows,
            recogniser,
            chosen.decoding.but(word_timestamps=True),
            processes=processes,
            on_progress=None if tell is None else lambda progress: tell(progress.audio_seconds),
        )
    return run, recogniser.description


def _show(found: Calibrated, target: Path, as_json: bool) -> None:
    if as_json:
        about = {"words": found.words, **found.to_json(), "path": str(target)}
        print(json.dumps(about, ensure_ascii=False, indent=2, allow_nan=False))
        return
    print(f"{found.words} words recognised, {found.right:.1%} of them right.")
    print(f"raw:        mean confidence {found.confidence:.1%}, calibration error {found.before:.3f}")
    print(f"calibrated: calibration error {found.after:.3f}, cross-validated; written to {target}.")
