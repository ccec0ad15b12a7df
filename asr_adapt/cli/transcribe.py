"""``asr-adapt transcribe``: audio and video to text and subtitles.

Knows its own options and the exit status. Does not know how anything is transcribed.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from asr_adapt.api.adapters import adapters_from
from asr_adapt.api.opening import ChosenModel, Runtime, found_in
from asr_adapt.cli import options, panels
from asr_adapt.cli.decoding_options import BATCHES, FILES, MEASURED, calibration_file, takes_decoding
from asr_adapt.cli.live import Live, LiveSettings, MicrophoneName, Step, transcribe_live
from asr_adapt.cli.ranks import is_main, refuse_standard_input
from asr_adapt.decoding import Decoding
from asr_adapt.errors import EXIT_FAILED, EXIT_OK, UsageError
from asr_adapt.pretrained import DEFAULT_MODEL

if TYPE_CHECKING:
    from asr_adapt.transcription.files_run import RunReport, RunSettings
    from asr_adapt.transcription.writing.outputs import Outputs
    from asr_adapt.transcription.writing.writers import WriterOptions

#: Endings of files are no longer than this, names of folders with a dot in them mostly are.
_LONGEST_ENDING = 5
FORMATS = "txt, srt, vtt, tsv, json, csv, lrc, jsonl, all"


INPUT_HELP = "Audio or video files, folders, globs, manifests (.jsonl), lists (.txt), URLs, - (stdin)."
Inputs = Annotated[list[str] | None, typer.Argument(metavar="INPUT...", help=INPUT_HELP, show_default=False)]
Format = Annotated[
    str,
    typer.Option("--format", "-f", "--output-format", metavar="FORMAT", help=f"One or more of {FORMATS}."),
]
Output = Annotated[
    str, typer.Option("--output", "-o", "--output-dir", help="Output folder or file; - is standard output.")
]
Highlight = Annotated[
    bool,
    typer.Option(
        "--highlight-words",
        help="Underline each word as it is spoken (srt, vtt).",
        rich_help_panel=options.SUBTITLES,
    ),
]
Channels = Annotated[str, typer.Option(help="mix, each, or the number of a channel (from 0).")]
Threads = Annotated[
    int | None, typer.Option(min=1, help="CPU threads. Default: all cores.", rich_help_panel=options.SPEED)
]
LineLength = Annotated[
    int,
    typer.Option(
        "--max-line-length",
        "--max-line-width",
        min=10,
        help="Characters in a subtitle line.",
        rich_help_panel=options.SUBTITLES,
    ),
]
WordsPerLine = Annotated[
    int | None,
    typer.Option(min=1, help="Maximum words in a subtitle line.", rich_help_panel=options.SUBTITLES),
]
ModelDir = Annotated[str | None, typer.Option(help="Folder searched first for --model.")]
LineCount = Annotated[
    int, typer.Option(min=1, help="Lines in a subtitle.", rich_help_panel=options.SUBTITLES)
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Also replace files that asr-adapt did not write.")
]
SkipExisting = Annotated[
    bool, typer.Option("--skip-existing", help="Skip inputs that already have an output.")
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    panels.add(app, "transcribe", transcribe, panel=panels.USE, no_args_is_help=True)


@takes_decoding(*MEASURED, *FILES, *BATCHES)
def transcribe(
    inputs: Inputs = None,
    model: options.Model = DEFAULT_MODEL,
    adapter: options.Adapter = None,
    model_dir: ModelDir = None,
    format: Format = "",
    output: Output = "-",
    decoding: Decoding = Decoding(),
    channels: Channels = "mix",
    highlight_words: Highlight = False,
    max_line_length: LineLength = 42,
    max_line_count: LineCount = 2,
    max_words_per_line: WordsPerLine = None,
    live: Live = False,
    step: Step = 1.0,
    microphone: MicrophoneName = None,
    runtime: options.RuntimeName = Runtime.torch,
    device: options.Device = "auto",
    compute_type: options.ComputeType = "fast",
    threads: Threads = None,
    skip_existing: SkipExisting = False,
    overwrite: Overwrite = False,
    quiet: options.Quiet = False,
) -> int:
    """Transcribe audio or video of any length.

    Text goes to standard output or into a folder, everything else to stderr. Exit status 1 when any input
    failed; the others are done all the same.
    """
    from asr_adapt.transcription.files_run import RunSettings

    names = list(inputs or ())
    if not names and not live:
        raise UsageError("name what to transcribe: files, folders, URLs, or - for standard input.")
    outputs = _outputs(
        output, format, _writer((max_line_length, max_line_count, max_words_per_line), highlight_words)
    )
    each, channel = _channels(channels)
    decoding = decoding.but(channel=channel, word_timestamps=decoding.word_timestamps or outputs.needs_words)
    model = found_in(model_dir, model)
    chosen = ChosenModel(model, decoding, runtime, device, compute_type, adapters_from(adapter))
    listening = chosen.listening()
    _set_threads(threads)
    read = (
        *(name for name in names if not _is_folder(name)),
        model,
        decoding.language_model,
        calibration_file(decoding),
        *chosen.adapters.names,
    )
    if live:
        _require_whole(each, skip_existing)
        transcribe_live(
            names, chosen, listening, outputs, LiveSettings(step, microphone, overwrite, quiet, read)
        )
        return EXIT_OK
    settings = RunSettings(listening, skip_existing, each, overwrite=overwrite, read=read)
    report = _run(names, chosen, outputs, settings, quiet)
    return EXIT_FAILED if report.failures else EXIT_OK


def _require_whole(each_channel: bool, skip_existing: bool) -> None:
    """Refuse what only recordings can have."""
    if each_channel:
        raise UsageError("--channels each needs recordings: with --live give the number of a channel.")
    if skip_existing:
        raise UsageError("--skip-existing is for recordings: remove it from --live.")


def _is_folder(name: str) -> bool:
    try:
        return Path(name).is_dir()
    except (OSError, ValueError):  # a name too long, or holding a NUL: the input fails by its name later
        return False


def _run(
    inputs: list[str], chosen: ChosenModel, outputs: Outputs, settings: RunSettings, quiet: bool
) -> RunReport:
    """Transcribe, with progress and a closing line on stderr from the main process."""
    from asr_adapt.cli.progress import audio_progress
    from asr_adapt.transcription.files_run import transcribe_files
    from asr_adapt.transcription.processes import launched

    if "-" in inputs:
        refuse_standard_input()
    with launched() as processes, audio_progress("Transcribing", quiet=quiet or not is_main()) as start:
        own = replace(settings, processes=processes, on_start=start)
        report = transcribe_files(inputs, chosen.load, outputs, own)
    if is_main():
        _report(report, quiet)
    return report


def _writer(rules: tuple[int, int, int | None], highlight_words: bool) -> WriterOptions:
    from asr_adapt.transcription.writing.subtitles import CueRules
    from asr_adapt.transcription.writing.writers import WriterOptions

    length, count, words = rules
    cues = CueRules(line_length=length, line_count=count, line_words=words)
    return WriterOptions(cues, highlight_words)


def _outputs(output: str, formats: str, writer: WriterOptions) -> Outputs:
    from asr_adapt.transcription.writing.outputs import Outputs, parse_formats
    from asr_adapt.transcription.writing.writers import WRITERS

    path = None if output == "-" else Path(output)
    suffix = "" if path is None else path.suffix[1:].lower()
    if path is None or suffix not in WRITERS or path.is_dir():
        _require_folder_name(output, suffix)
        return Outputs(parse_formats(formats or "txt"), directory=path, writer=writer)
    chosen = parse_formats(formats or suffix)
    if chosen != (suffix,):
        raise UsageError(f"{output} ends in .{suffix}, but the format is {formats}: give -o FOLDER.")
    return Outputs(chosen, file=path, writer=writer)


def _require_folder_name(output: str, suffix: str) -> None:
    """Refuse what is meant as a file of a format that we do not write; a folder may be called anything."""
    looks_like_file = (
        suffix.isalpha() and len(suffix) <= _LONGEST_ENDING and not output.endswith(("/", os.sep))
    )
    if output == "-" or not looks_like_file or Path(output).exists():
        return
    raise UsageError(
        f"{output} ends in .{suffix}, which is none of the formats {FORMATS}; "
        f"for a folder of that name give -o {output}/."
    )


def _channels(text: str) -> tuple[bool, int | None]:
    if text in ("mix", "each"):
        return text == "each", None
    if text.isascii() and text.isdigit():
        return False, int(text)
    raise UsageError(f"--channels is mix, each, or a channel number from 0, not {text!r}.")


def _set_threads(threads: int | None) -> None:
    if threads is None:
        return
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
        factor = report.real_time_factor
        speed = f"{factor:.{0 if factor >= 10 else 1}f} times real time"
        parts.append(
            f"{spoken_time(report.audio_seconds)} of audio in {spoken_time(report.wall_seconds)}, {speed}"
        )
    for label, code, share in report.languages:
        print(f"{label}: the language is {code} ({share:.0%}).", file=sys.stderr)
    print("; ".join(parts) + ".", file=sys.stderr)
