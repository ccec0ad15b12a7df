"""``asr-adapt evaluate``: transcribe a manifest and score it.

Knows its own options, what is printed, and the exit status. Does not know how rows are transcribed or scored.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from asr_adapt.api.adapters import adapters_from
from asr_adapt.api.opening import ChosenModel, Runtime
from asr_adapt.cli import options, panels
from asr_adapt.cli.decoding_options import BATCHES, MEASURED, calibration_file, takes_decoding
from asr_adapt.cli.evaluate_contexts import Context, context_names, show_contexts
from asr_adapt.cli.loading import scorable, seconds_of
from asr_adapt.cli.ranks import is_main, refuse_standard_input
from asr_adapt.decoding import Decoding
from asr_adapt.errors import EXIT_FAILED, EXIT_OK, UsageError
from asr_adapt.locks import alone
from asr_adapt.pretrained import DEFAULT_MODEL

if TYPE_CHECKING:
    from asr_adapt.cli.progress import Start
    from asr_adapt.manifest import Manifest
    from asr_adapt.models import Recogniser
    from asr_adapt.transcription import ContextEvaluation, EvaluatedRows, Processes

Output = Annotated[Path | None, typer.Option("--output", "-o", help="Predictions file to write (JSONL).")]
By = Annotated[list[str] | None, typer.Option(help="Also score each value of this field; may be repeated.")]
InContext = Annotated[
    Context | None,
    typer.Option(help="Encoder context: full window or clip length. Default: both, if the model has both."),
]
REPEAT_HELP = "Runs in all, for the noise floor; later ones to OUTPUT.repeatN."
Repeat = Annotated[int, typer.Option(min=1, help=REPEAT_HELP)]


def register(app: typer.Typer) -> None:
    """Add the command."""
    panels.add(app, "evaluate", evaluate, panel=panels.MEASURE, no_args_is_help=True)


@takes_decoding(*MEASURED, "word_timestamps", "calibration", *BATCHES)
def evaluate(
    manifest: options.ScoredManifest,
    model: options.Model = DEFAULT_MODEL,
    adapter: options.Adapter = None,
    output: Output = None,
    by: By = None,
    normalise: options.Normalise = "basic",
    decoding: Decoding = Decoding(),
    context: InContext = None,
    runtime: options.RuntimeName = Runtime.torch,
    device: options.Device = "auto",
    compute_type: options.ComputeType = "auto",
    repeat: Repeat = 1,
    fresh: options.Fresh = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> int:
    """Transcribe a manifest with a model and score the result.

    Exit status 1 when a row's audio could not be read; the others are scored and the failed ones listed.
    """
    from asr_adapt.cli.progress import audio_progress
    from asr_adapt.transcription.processes import launched
    from asr_adapt.transcription.row_languages import say_unobeyed

    if manifest == "-":
        refuse_standard_input()
    rows = scorable(manifest)
    if repeat > 1 and output is None:
        raise UsageError("--repeat needs --output: the gate reads the runs as files.")
    read = [model, decoding.language_model, calibration_file(decoding), *(adapter or ())]
    _require_free(output, repeat, rows, read)
    chosen = ChosenModel(model, decoding, runtime, device, compute_type, adapters_from(adapter))
    listening: dict[str, Any] = {"decoding": chosen.listening(), "normalise": normalise}
    with (
        launched() as processes,
        alone(output if is_main() else None),
        audio_progress("Evaluating", quiet=quiet or not is_main()) as start,
    ):
        recogniser = chosen.load()
        if not fresh and repeat == 1 and chosen.keeps:
            from asr_adapt.models import weights_fingerprint
            from asr_adapt.transcription.known_states import KnownRows

            listening["known"] = KnownRows(weights=weights_fingerprint(recogniser))
        if is_main():
            say_unobeyed(recogniser, decoding.language, rows)
        runs = _Runs(rows, recogniser, processes, start, listening)
        evaluation, compared = runs.scored(context, output, normalise)
        again = [runs.once(path, told=False) for path in _repeats(output, repeat)]
    if is_main():
        _show(evaluation, by or [], normalise, as_json, compared)
        if again:
            _show_noise([evaluation, *again], normalise)
    return EXIT_FAILED if evaluation.failures else EXIT_OK


@dataclass(frozen=True)
class _Runs:
    """One recogniser on one manifest, as often as asked; ``listening`` are options of every run."""

    rows: Manifest
    recogniser: Recogniser
    processes: Processes
    start: Start
    listening: dict[str, Any]

    def once(self, output: Path | None, *, told: bool = True) -> EvaluatedRows:
        """One run, with progress where it is ``told``."""
        from asr_adapt.transcription import evaluate_rows

        tell = self.start(seconds_of(self.rows) / self.processes.count) if told else None
        return evaluate_rows(
            self.rows,
            self.recogniser,
            output=output,
            processes=self.processes,
            on_progress=None if tell is None else lambda progress: tell(progress.audio_seconds),
            **self.listening,
        )

    def scored(
        self, context: Context | None, output: Path | None, normalise: str
    ) -> tuple[EvaluatedRows, ContextEvaluation | None]:
        """The run to score; where contexts are compared, the kept one's and the comparison."""
        from asr_adapt.transcription import evaluate_contexts

        names = context_names(context, self.recogniser.capabilities.contexts)
        if not names:
            return self.once(output), None
        compared = evaluate_contexts(
            self.recogniser, self.once, output, names=names, normalise=normalise, processes=self.processes
        )
        return compared.kept, compared


def _require_free(output: Path | None, repeat: int, rows: Manifest, read: list[Any]) -> None:
    """Raise UsageError where a file of this run would replace something that it reads."""
    if output is None:
        return
    from asr_adapt.destinations import require_files
    from asr_adapt.scoring.predictions import settings_path
    from asr_adapt.transcription.rows.encoder_contexts import beside

    written = [output, *_repeats(output, repeat)]
    written += [path for context in Context if (path := beside(output, context.value)) is not None]
    sounds = (row.audio_path for row in rows)
    require_files([*written, *map(settings_path, written)], [*rows.paths, *read, *sounds])


def _repeats(output: Path | None, repeat: int) -> list[Path]:
    """Where the second and later runs go: ``test.jsonl`` becomes ``test.repeat2.jsonl`` and so on."""
    if output is None:
        return []
    return [output.with_name(f"{output.stem}.repeat{n}{output.suffix}") for n in range(2, repeat + 1)]


def _show_noise(runs: list[EvaluatedRows], normalise: str) -> None:
    """The spread of equal runs, on stderr, and how the gate takes it into account."""
    from asr_adapt.scoring import word_errors

    rates = [word_errors(run.references, run.hypotheses, normalise).wer for run in runs]
    print(
        f"noise floor of {len(runs)} runs: WER {min(rates):.2%} to {max(rates):.2%}; "
        "give the later files to gate --update --repeat.",
        file=sys.stderr,
    )


def _show(
    evaluation: EvaluatedRows,
    by: list[str],
    normalise: str,
    as_json: bool,
    compared: ContextEvaluation | None,
) -> None:
    from asr_adapt.scoring import score

    if evaluation.kept:
        print(
            f"{evaluation.kept} of {len(evaluation.rows)} rows: transcripts of an earlier run with the same "
            "model and settings are reused; --fresh transcribes again.",
            file=sys.stderr,
        )
    for failure in evaluation.failures:
        print(f"asr-adapt: {failure.message}", file=sys.stderr)
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
        "kept_rows": evaluation.kept,
    }
    if compared is not None:
        extra["context"] = compared.to_json()
    print(json.dumps(result.to_json() | extra, ensure_ascii=False, indent=2, allow_nan=False))
