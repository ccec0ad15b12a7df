"""``asr-adapt evaluate``: transcribe a manifest and score it.

Knows the options, what is printed, and the exit status. Does not know how rows are transcribed or scored.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from asr_adapt.cli import options
from asr_adapt.cli.evaluate_contexts import Context, context_names, show_contexts
from asr_adapt.cli.loading import Runtime, scorable, seconds_of
from asr_adapt.cli.ranks import is_main, refuse_standard_input
from asr_adapt.errors import EXIT_FAILED, EXIT_OK, UsageError

if TYPE_CHECKING:
    from asr_adapt.transcription import ContextEvaluation, Evaluation


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("evaluate", no_args_is_help=True)(evaluate)


def evaluate(
    manifest: Annotated[str, typer.Argument(metavar="MANIFEST", help="Rows with audio and text, or - .")],
    model: Annotated[
        str, typer.Option("--model", "-m", help="Bundled name, model directory or hub id.")
    ] = "nano-en",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Predictions file to write (JSONL).")
    ] = None,
    by: Annotated[list[str] | None, typer.Option(help="Field to score apart; may be repeated.")] = None,
    normalise: Annotated[str, typer.Option(help="Text profile: none, basic, whisper-en.")] = "basic",
    language: Annotated[
        str | None, typer.Option(help="BCP-47 language, for models that know several.")
    ] = None,
    context: Annotated[
        Context | None,
        typer.Option(help="Sound heard around a clip [both, where the model learnt to hear less]."),
    ] = None,
    word_timestamps: Annotated[
        bool, typer.Option("--word-timestamps", help="Keep word times in the predictions.")
    ] = False,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Most rows in one batch.")] = None,
    batch_seconds: Annotated[
        float | None, typer.Option(help="Most padded audio in one batch [suits the device].")
    ] = None,
    lm: Annotated[
        Path | None, typer.Option("--lm", help="N-gram language model (ARPA) for CTC models.")
    ] = None,
    hotword: Annotated[
        list[str] | None, typer.Option(help="WORD or WORD:BOOST to favour; may be repeated.")
    ] = None,
    lm_weight: Annotated[float | None, typer.Option(help="Weight of the language model [tuned].")] = None,
    beam_width: Annotated[int | None, typer.Option(min=1, help="Width of the beam [32].")] = None,
    calibration: options.CalibrationFile = None,
    runtime: Annotated[
        Runtime, typer.Option(help="onnx and onnx-int8 take a folder of asr-adapt export.")
    ] = Runtime.torch,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    compute_type: Annotated[str, typer.Option(help="auto, fast, float32, bfloat16, float16.")] = "auto",
    repeat: Annotated[
        int, typer.Option(min=1, help="Runs in all, for the noise floor; later ones to OUTPUT.repeatN.")
    ] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="The score as JSON on standard output.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> int:
    """Transcribe every row of a manifest and score the result.

    Exit status 1 when a row's audio could not be read; the others are scored and the failed ones listed.
    """
    from asr_adapt.cli.loading import calibration_from, decoding_from, load
    from asr_adapt.cli.progress import audio_progress
    from asr_adapt.transcription import evaluate as run
    from asr_adapt.transcription import evaluate_contexts
    from asr_adapt.transcription.processes import launched

    if manifest == "-":
        refuse_standard_input()
    rows = scorable(manifest)
    if repeat > 1 and output is None:
        raise UsageError("--repeat needs --output: the gate reads the runs as files.")
    decoding = decoding_from(lm, hotword, lm_weight, beam_width)
    confidence = calibration_from(calibration, model, decoding)

    def once(target: Path | None, tell: Callable[[float], None] | None) -> Evaluation:
        return run(
            rows,
            model=recogniser,
            output=target,
            processes=processes,
            on_progress=None if tell is None else lambda progress: tell(progress.audio_seconds),
            language=language,
            word_timestamps=word_timestamps,
            batch_size=batch_size,
            batch_seconds=batch_seconds,
            calibration=confidence,
        )

    with launched() as processes, audio_progress("Evaluating", quiet=quiet or not is_main()) as start:
        recogniser = load(model, runtime, decoding, device=device, compute_type=compute_type)
        seconds, compared = seconds_of(rows) / processes.count, None
        if names := context_names(context, recogniser.contexts):
            compared = evaluate_contexts(
                recogniser,
                lambda target: once(target, start(seconds)),
                output,
                names=names,
                normalise=normalise,
                processes=processes,
            )
        evaluation = once(output, start(seconds)) if compared is None else compared.kept
        again = [once(path, None) for path in _repeats(output, repeat)]
    if not is_main():
        return EXIT_FAILED if evaluation.failures else EXIT_OK
    for failure in evaluation.failures:
        print(f"asr-adapt: {failure.message}", file=sys.stderr)
    _show(evaluation, by or [], normalise, as_json, compared)
    if again:
        _show_noise([evaluation, *again], normalise)
    return EXIT_FAILED if evaluation.failures else EXIT_OK


def _repeats(output: Path | None, repeat: int) -> list[Path]:
    """Where the second and later runs go: ``test.jsonl`` becomes ``test.repeat2.jsonl`` and so on."""
    if output is None:
        return []
    return [output.with_name(f"{output.stem}.repeat{n}{output.suffix}") for n in range(2, repeat + 1)]


def _show_noise(runs: list[Evaluation], normalise: str) -> None:
    """The spread of equal runs, on stderr, and how the gate takes it into account."""
    from asr_adapt.scoring import word_errors

    rates = [word_errors(run.references, run.hypotheses, normalise).wer for run in runs]
    print(
        f"noise floor of {len(runs)} runs: WER {min(rates):.2%} to {max(rates):.2%}; "
        "give the later files to gate --update --repeat.",
        file=sys.stderr,
    )


def _show(
    evaluation: Evaluation,
    by: list[str],
    normalise: str,
    as_json: bool,
    compared: ContextEvaluation | None,
) -> None:
    from asr_adapt.scoring import score

    if not evaluation.rows:
        raise UsageError("No row could be transcribed, so there is nothing to score.")
    result = score(evaluation.rows, by=by, normalise=normalise)
    if not as_json:
        from asr_adapt.cli.score_view import show_score

        show_score(result)
        if compared is not None:
            show_contexts(compared)
        return
    extra: dict[str, Any] = {
        "model": evaluation.model,
        "failed_rows": len(evaluation.failures),
        "wall_seconds": evaluation.wall_seconds,
    }
    if compared is not None:
        extra["context"] = compared.to_json()
    print(json.dumps(result.to_json() | extra, ensure_ascii=False, indent=2, allow_nan=False))
