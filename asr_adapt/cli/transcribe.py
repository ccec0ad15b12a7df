"""``asr-adapt transcribe``: audio and video to text and subtitles.

Knows its own options and the exit status. Does not know how anything is transcribed.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from asr_adapt.cli import options, panels
from asr_adapt.cli import whisper_options as whisper
from asr_adapt.cli.adapters import adapters_from
from asr_adapt.cli.loading import ChosenModel, Runtime, decoding_from, found_in
from asr_adapt.cli.ranks import is_main, refuse_standard_input
from asr_adapt.errors import EXIT_FAILED, EXIT_OK, UsageError

if TYPE_CHECKING:
    from asr_adapt.transcription.files_run import RunReport, RunSettings
    from asr_adapt.transcription.writing.outputs import Outputs
    from asr_adapt.transcription.writing.writers import WriterOptions

#: Endings of files are no longer than this, names of folders with a dot in them mostly are.
_LONGEST_ENDING = 5
FORMATS = "txt, srt, vtt, tsv, json, csv, lrc, jsonl, all"


class Segmenter(StrEnum):
    """How long audio is cut."""

    auto = "auto"
    windows = "windows"
    silero = "silero"
    energy = "energy"


INPUT_HELP = "Audio or video files, folders, globs, manifests (.jsonl), lists (.txt), URLs, - (stdin)."
Inputs = Annotated[list[str], typer.Argument(metavar="INPUT...", help=INPUT_HELP)]
Format = Annotated[
    str,
    typer.Option("--format", "-f", "--output-format", metavar="FORMAT", help=f"One or more of {FORMATS}."),
]
Output = Annotated[
    str, typer.Option("--output", "-o", "--output-dir", help="Output folder or file; - is standard output.")
]
WordTimes = Annotated[
    bool, typer.Option("--word-timestamps", help="Add times and confidence of each word (json).")
]
Diarize = Annotated[
    bool, typer.Option("--diarize", help="Add speaker labels, in every format (needs the extra diarize).")
]
Highlight = Annotated[
    bool,
    typer.Option(
        "--highlight-words",
        help="Underline each word as it is spoken (srt, vtt).",
        rich_help_panel=whisper.SUBTITLES,
    ),
]
SpeechOnly = Annotated[
    bool,
    typer.Option(
        "--vad",
        "--vad-filter",
        help="Transcribe only what silero-vad detects as speech.",
        rich_help_panel=whisper.SPEECH,
    ),
]
CutBy = Annotated[
    Segmenter | None,
    typer.Option(
        help="How to cut long audio. Default: silero for Whisper, else windows.",
        rich_help_panel=whisper.SPEECH,
    ),
]
Window = Annotated[
    float | None, typer.Option(help="Length of a window in seconds. Default: the model's own.")
]
Overlap = Annotated[float, typer.Option(help="Overlap of neighbouring windows in seconds.")]
Channels = Annotated[str, typer.Option(help="mix, each, or the number of a channel (from 0).")]
Track = Annotated[
    str | None,
    typer.Option(
        help="Audio track of a video: number (from 0) or language (eng). Default: the file's default track."
    ),
]
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
        rich_help_panel=whisper.SUBTITLES,
    ),
]
LineCount = Annotated[
    int, typer.Option(min=1, help="Lines in a subtitle.", rich_help_panel=whisper.SUBTITLES)
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Also replace files that asr-adapt did not write.")
]
SkipExisting = Annotated[
    bool, typer.Option("--skip-existing", help="Skip inputs that already have an output.")
]
FailFast = Annotated[bool, typer.Option("--fail-fast", help="Stop at the first input that fails.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    panels.add(app, "transcribe", transcribe, panel=panels.USE, no_args_is_help=True)


def transcribe(
    inputs: Inputs,
    model: options.Model = "nano-en",
    adapter: options.Adapter = None,
    model_dir: whisper.ModelDir = None,
    format: Format = "",
    output: Output = "-",
    language: options.Language = None,
    task: whisper.TaskName = None,
    word_timestamps: WordTimes = False,
    highlight_words: Highlight = False,
    diarize: Diarize = False,
    vad: SpeechOnly = False,
    segmenter: CutBy = None,
    vad_threshold: whisper.Threshold = 0.5,
    vad_min_speech_duration_ms: whisper.LeastSpeech = 200,
    vad_min_silence_duration_ms: whisper.LeastSilence = 400,
    vad_max_silence_duration_ms: whisper.MostSilence = 1000,
    vad_speech_pad_ms: whisper.SpeechPad = 200,
    clip_timestamps: whisper.Clips = "",
    window: Window = None,
    overlap: Overlap = 4.0,
    channels: Channels = "mix",
    track: Track = None,
    batch_size: options.BatchSize = None,
    batch_seconds: options.BatchSeconds = None,
    lm: options.LanguageModel = None,
    hotwords: options.Hotwords = None,
    hotwords_weight: options.HotwordsWeight = None,
    prompt: options.Prompt = "",
    fallback: options.Fallback = False,
    no_guard: options.NoGuard = False,
    lm_weight: options.LanguageModelWeight = None,
    beam_width: options.BeamWidth = None,
    best_of: whisper.BestOf = 5,
    patience: whisper.Patience = 1.0,
    length_penalty: whisper.LengthPenalty = None,
    temperature: whisper.Temperature = 0.0,
    temperature_increment_on_fallback: whisper.Increment = "0.2",
    compression_ratio_threshold: whisper.Compression = "2.4",
    logprob_threshold: whisper.LogProbability = "-1.0",
    no_speech_threshold: whisper.NoSpeech = "0.6",
    condition_on_previous_text: whisper.Previous = False,
    without_timestamps: whisper.Untimed = False,
    calibration: options.CalibrationFile = None,
    runtime: options.RuntimeName = Runtime.torch,
    device: options.Device = "auto",
    compute_type: options.ComputeType = "fast",
    threads: Threads = None,
    max_line_length: LineLength = 42,
    max_line_count: LineCount = 2,
    max_words_per_line: whisper.WordsPerLine = None,
    skip_existing: SkipExisting = False,
    overwrite: Overwrite = False,
    fail_fast: FailFast = False,
    quiet: options.Quiet = False,
) -> int:
    """Transcribe audio or video of any length.

    Text goes to standard output or into a folder, everything else to stderr. Exit status 1 when any input
    failed; the others are done all the same.
    """
    from asr_adapt.transcription.files_run import RunSettings
    from asr_adapt.transcription.options import TranscribeOptions

    given = dict(locals())
    rules = (max_line_length, max_line_count, max_words_per_line)
    outputs = _outputs(output, format, _writer(rules, highlight_words))
    each, channel = _channels(channels)
    decoding = decoding_from(
        lm, hotwords, lm_weight, beam_width, prompt, fallback, not no_guard, hotwords_weight
    )
    decoding = replace(decoding, search=whisper.search_from(given))
    model = found_in(model_dir, model)
    chosen = ChosenModel(
        model, decoding, runtime, device, compute_type, task and task.value, adapters_from(adapter)
    )
    listening = TranscribeOptions(
        language=language,
        word_timestamps=word_timestamps or outputs.needs_words,
        segmenter=_segmenter(vad, segmenter),  # type: ignore[arg-type]
        speech_threshold=vad_threshold,
        min_speech=vad_min_speech_duration_ms / 1000,
        min_silence=vad_min_silence_duration_ms / 1000,
        max_silence=vad_max_silence_duration_ms / 1000,
        speech_pad=vad_speech_pad_ms / 1000,
        clips=whisper.clips_from(clip_timestamps),
        condition_on_previous=condition_on_previous_text,
        window_seconds=window,
        overlap_seconds=overlap,
        batch_seconds=batch_seconds,
        batch_size=batch_size,
        channel=channel,
        track=track,
        fail_fast=fail_fast,
        calibration=chosen.calibration(calibration),
        diarize=diarize,
    )
    _set_threads(threads)
    read = (*(name for name in inputs if not _is_folder(name)), model, lm, calibration)
    read = (*read, *chosen.adapters.names)
    settings = RunSettings(listening, skip_existing, each, overwrite=overwrite, read=read)
    report = _run(inputs, chosen, outputs, settings, quiet)
    return EXIT_FAILED if report.failures else EXIT_OK


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


def _segmenter(vad: bool, chosen: Segmenter | None) -> str:
    if chosen is not None:
        return chosen.value
    if not vad:
        return "auto"
    return "silero"


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
        speed = f"{report.real_time_factor:.0f} times real time"
        parts.append(
            f"{spoken_time(report.audio_seconds)} of audio in {spoken_time(report.wall_seconds)}, {speed}"
        )
    for label, code, share in report.languages:
        print(f"{label}: the language is {code} ({share:.0%}).", file=sys.stderr)
    print("; ".join(parts) + ".", file=sys.stderr)
