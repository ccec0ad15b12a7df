"""``asr-adapt transcribe``: audio and video to text and subtitles.

Knows the options and the exit status. Does not know how anything is transcribed.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from asr_adapt.cli import options as shared
from asr_adapt.cli.loading import Runtime
from asr_adapt.cli.ranks import is_main, refuse_standard_input
from asr_adapt.errors import EXIT_FAILED, EXIT_OK, UsageError

if TYPE_CHECKING:
    from asr_adapt.transcription.files_run import RunReport
    from asr_adapt.transcription.outputs import Outputs
    from asr_adapt.transcription.writers import WriterOptions

FORMATS = "txt, srt, vtt, tsv, json, csv, lrc, jsonl, all"


class Segmenter(StrEnum):
    """How long audio is cut."""

    windows = "windows"
    silero = "silero"
    energy = "energy"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("transcribe", no_args_is_help=True)(transcribe)


def transcribe(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT...",
            help="Audio or video files, folders, globs, manifests (.jsonl), lists (.txt), URLs, - (stdin).",
        ),
    ],
    model: Annotated[
        str, typer.Option("--model", "-m", help="Bundled name, model directory or hub id.")
    ] = "nano-en",
    format: Annotated[
        str, typer.Option("--format", "-f", metavar="FORMAT", help=f"One or more of {FORMATS}.")
    ] = "",
    output: Annotated[
        str, typer.Option("--output", "-o", help="Folder, or one file; default: standard output.")
    ] = "-",
    language: Annotated[
        str | None, typer.Option(help="BCP-47 language, for models that know several.")
    ] = None,
    word_timestamps: Annotated[
        bool, typer.Option("--word-timestamps", help="Times and confidence of each word (json).")
    ] = False,
    highlight_words: Annotated[
        bool, typer.Option("--highlight-words", help="Underline each word as it is spoken (srt, vtt).")
    ] = False,
    vad: Annotated[
        bool, typer.Option("--vad", help="Transcribe speech only: silero-vad if installed, else energy.")
    ] = False,
    segmenter: Annotated[
        Segmenter | None, typer.Option(help="How audio longer than the model's window is cut.")
    ] = None,
    window: Annotated[float | None, typer.Option(help="Seconds in one window [the model's own].")] = None,
    overlap: Annotated[float, typer.Option(help="Seconds that windows share.")] = 4.0,
    channels: Annotated[str, typer.Option(help="mix, each, or a channel number from 0.")] = "mix",
    batch_size: Annotated[int | None, typer.Option(help="Most pieces in one batch.")] = None,
    batch_seconds: Annotated[
        float | None, typer.Option(help="Most padded audio in one batch [suits the device].")
    ] = None,
    lm: Annotated[
        Path | None, typer.Option("--lm", help="N-gram language model (ARPA) for CTC models.")
    ] = None,
    hotword: Annotated[
        list[str] | None, typer.Option(help="WORD or WORD:BOOST to favour; may be repeated.")
    ] = None,
    prompt: Annotated[str, typer.Option(help="Text before every piece: names, spellings (Whisper).")] = "",
    fallback: Annotated[
        bool, typer.Option("--fallback", help="Doubtful text again, drop it in silence (Whisper).")
    ] = False,
    lm_weight: Annotated[float | None, typer.Option(help="Weight of the language model [tuned].")] = None,
    beam_width: Annotated[int | None, typer.Option(min=1, help="Width of the beam [32].")] = None,
    calibration: shared.CalibrationFile = None,
    runtime: Annotated[
        Runtime, typer.Option(help="onnx and onnx-int8 take a folder of asr-adapt export.")
    ] = Runtime.torch,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    compute_type: Annotated[str, typer.Option(help="auto, fast, float32, bfloat16, float16.")] = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads [all cores].")] = None,
    max_line_length: Annotated[int, typer.Option(min=10, help="Characters in a subtitle line.")] = 42,
    max_line_count: Annotated[int, typer.Option(min=1, help="Lines in a subtitle.")] = 2,
    skip_existing: Annotated[
        bool, typer.Option("--skip-existing", help="Leave inputs alone whose output is there.")
    ] = False,
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="Stop at the first bad input.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no summary.")] = False,
) -> int:
    """Transcribe audio or video of any length.

    Text goes to standard output or into a folder, everything else to stderr. Exit status 1 when any input
    failed; the others are done all the same.
    """
    from asr_adapt.cli.loading import calibration_from, decoding_from, load
    from asr_adapt.transcription.files_run import RunSettings, transcribe_files
    from asr_adapt.transcription.options import TranscribeOptions
    from asr_adapt.transcription.subtitles import CueRules
    from asr_adapt.transcription.writers import WriterOptions

    if threads is not None:
        _set_threads(threads)
    writer = WriterOptions(CueRules(line_length=max_line_length, line_count=max_line_count), highlight_words)
    outputs = _outputs(output, format, writer)
    each, channel = _channels(channels)
    decoding = replace(decoding_from(lm, hotword, lm_weight, beam_width), prompt=prompt, fallback=fallback)
    options = TranscribeOptions(
        language=language,
        word_timestamps=word_timestamps or outputs.needs_words,
        segmenter=_segmenter(vad, segmenter),  # type: ignore[arg-type]
        window_seconds=window,
        overlap_seconds=overlap,
        batch_seconds=batch_seconds,
        batch_size=batch_size,
        channel=channel,
        fail_fast=fail_fast,
        calibration=calibration_from(calibration, model, decoding),
    )
    from asr_adapt.cli.progress import audio_progress
    from asr_adapt.transcription.processes import launched

    if "-" in inputs:
        refuse_standard_input()
    with launched() as processes, audio_progress("Transcribing", quiet=quiet or not is_main()) as start:
        report = transcribe_files(
            inputs,
            lambda: load(model, runtime, decoding, device=device, compute_type=compute_type),
            outputs,
            RunSettings(
                options=options,
                skip_existing=skip_existing,
                each_channel=each,
                processes=processes,
                on_start=start,
            ),
        )
    if is_main():
        _report(report, quiet)
    return EXIT_FAILED if report.failures else EXIT_OK


def _outputs(output: str, formats: str, writer: WriterOptions) -> Outputs:
    from asr_adapt.transcription.outputs import Outputs, parse_formats
    from asr_adapt.transcription.writers import WRITERS

    path = None if output == "-" else Path(output)
    suffix = "" if path is None else path.suffix[1:].lower()
    if path is None or suffix not in WRITERS or path.is_dir():
        return Outputs(parse_formats(formats or "txt"), directory=path, writer=writer)
    chosen = parse_formats(formats or suffix)
    if chosen != (suffix,):
        raise UsageError(f"{output} ends in .{suffix}, but the format is {formats}: give -o FOLDER.")
    return Outputs(chosen, file=path, writer=writer)


def _channels(text: str) -> tuple[bool, int | None]:
    if text in ("mix", "each"):
        return text == "each", None
    if text.isascii() and text.isdigit():
        return False, int(text)
    raise UsageError(f"--channels is mix, each, or a channel number from 0, not {text!r}.")


def _segmenter(vad: bool, chosen: Segmenter | None) -> str:
    if chosen is not None:
        return chosen.value
    if not vad:
        return "windows"
    from importlib.util import find_spec

    if find_spec("silero_vad") is not None:
        return "silero"
    print("silero-vad is not installed: speech is found by its energy.", file=sys.stderr)
    return "energy"


def _set_threads(threads: int) -> None:
    import torch

    torch.set_num_threads(threads)


def _report(report: RunReport, quiet: bool) -> None:
    """One line on what was done, and one for each failure; failures are printed even when quiet."""
    from asr_adapt.cli.progress import spoken_time

    for failure in report.failures:
        print(f"asr-adapt: {failure.message}", file=sys.stderr)
    if quiet:
        return
    parts = [f"{report.done} transcribed"]
    if report.skipped:
        parts.append(f"{report.skipped} already there")
    if report.failures:
        parts.append(f"{len(report.failures)} failed")
    if report.wall_seconds:
        speed = f"{report.real_time_factor:.0f} times real time"
        parts.append(
            f"{spoken_time(report.audio_seconds)} of audio in {spoken_time(report.wall_seconds)}, {speed}"
        )
    print("; ".join(parts) + ".", file=sys.stderr)
