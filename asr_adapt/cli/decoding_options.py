"""The options of decoding on the command line: fields of ``Decoding`` as flags, once for all commands.

Knows how an option is spelled and how its text becomes a value; meaning, default and bounds are the field's
own. Does not decode.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from asr_adapt.cli.options import DECODING, SPEECH, SPEED, WHISPER
from asr_adapt.decoding import Decoding, default_of, meaning_of
from asr_adapt.errors import UsageError

#: What ``evaluate`` and ``calibrate`` take: everything that a figure may depend on.
MEASURED = (
    "language", "language_model", "hotwords", "hotwords_weight", "prompt",
    "fallback", "hallucination_checks", "language_model_weight", "beam_size",
)  # fmt: skip
BATCHES = ("batch_size", "batch_seconds")
#: What ``transcribe`` takes besides.
FILES = (
    "task", "word_timestamps", "diarize", "max_speakers", "segmenter", "speech_threshold",
    "speech_end_threshold", "min_speech", "min_silence", "max_silence", "speech_pad", "clips",
    "window_seconds", "overlap_seconds", "track",
    "best_of", "patience", "length_penalty", "temperatures", "compression_ratio_threshold",
    "log_prob_threshold", "no_speech_threshold", "condition_on_previous_text", "without_timestamps",
    "calibration", "fail_fast",
)  # fmt: skip


class Task(StrEnum):
    """What is written."""

    transcribe = "transcribe"
    translate = "translate"  # type: ignore[assignment]  # hides str.translate


class Segmenter(StrEnum):
    """How long audio is cut."""

    auto = "auto"
    windows = "windows"
    silero = "silero"
    energy = "energy"


@dataclass(frozen=True)
class Flag:
    """One option: the name of the command's parameter, its type and default there, its spellings."""

    name: str
    kind: Any
    default: Any
    spelled: tuple[str, ...] = ()
    help: str | None = None
    group: str | None = None
    bounds: dict[str, float] = field(default_factory=dict)
    metavar: str | None = None

    def parameter(self, option: str) -> inspect.Parameter:
        """As Typer reads it."""
        about = typer.Option(
            *(self.spelled or (f"--{self.name.replace('_', '-')}",)),
            help=self.help or meaning_of(option),
            rich_help_panel=self.group,
            metavar=self.metavar,
            **self.bounds,  # type: ignore[arg-type]
        )
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        return inspect.Parameter(
            self.name, kind, default=self.default, annotation=Annotated[self.kind, about]
        )


@dataclass(frozen=True)
class FlagSpelling:
    """The flags that give one field, and how their values become its value."""

    flags: tuple[Flag, ...]
    read: Callable[..., Any]


def _same(value: Any) -> Any:
    return value


def _one(
    option: str,
    kind: Any,
    *spelled: str,
    read: Callable[[Any], Any] = _same,
    name: str | None = None,
    default: Any = ...,
    **more: Any,
) -> tuple[str, FlagSpelling]:
    own = default_of(option) if default is ... else default
    return option, FlagSpelling((Flag(name or option, kind, own, spelled, **more),), read)


def _milliseconds(option: str, name: str, least: float = 0) -> tuple[str, FlagSpelling]:
    """A field in seconds, in the milliseconds that faster-whisper's options count in."""
    flag = Flag(
        f"vad_{name}_ms", float, round(default_of(option) * 1000), group=SPEECH, bounds={"min": least}
    )
    return option, FlagSpelling((flag,), lambda value: value / 1000)


def _threshold(option: str, *spelled: str) -> tuple[str, FlagSpelling]:
    """A number, or none."""
    flag = Flag(option, str, f"{default_of(option)}", spelled, group=WHISPER)
    shown = (spelled or (f"--{option.replace('_', '-')}",))[0]
    return option, FlagSpelling((flag,), lambda text: number(shown, text))


def number(option: str, text: str) -> float | None:
    """A number, or None for ``none``; raises UsageError for anything else."""
    if text.strip().lower() == "none":
        return None
    try:
        return float(text)
    except ValueError as error:
        raise UsageError(f"{option} is a number or none, not {text!r}.") from error


def temperatures(first: float, increment: str) -> tuple[float, ...]:
    """``first`` and the temperatures of further attempts, up to 1."""
    step = number("--temperature-increment-on-fallback", increment)
    if step is None:
        return (first,)
    if step <= 0:
        raise UsageError(f"--temperature-increment-on-fallback must be above 0 or none, not {increment}.")
    count = int((1.0 - first) / step + 1e-6) + 1
    return tuple(round(first + step * n, 6) for n in range(max(1, count)))


def clips_from(text: str) -> tuple[tuple[float, float | None], ...]:
    """``"0,10,20"`` as ((0, 10), (20, None)); raises UsageError for anything but rising numbers."""
    try:
        times = [float(part) for part in text.split(",") if part.strip()]
    except ValueError as error:
        raise UsageError(f"--clip-timestamps is start,end,… in seconds, not {text!r}.") from error
    if times != sorted(times) or any(time < 0 for time in times):
        raise UsageError(f"--clip-timestamps must not go back or below 0, as {text!r} does.")
    ends: list[float | None] = [*times[1::2], None]
    if text.strip() == "0":  # openai-whisper's default: everything
        return ()
    return tuple(zip(times[::2], ends, strict=False))


def _plain(value: StrEnum | None) -> str | None:
    return None if value is None else value.value


def _segmenter(vad: bool, chosen: Segmenter | None) -> str:
    return chosen.value if chosen is not None else "silero" if vad else "auto"


_SPELLINGS: dict[str, FlagSpelling] = dict([
    _one("language", str | None),
    _one("task", Task | None, read=_plain, group=WHISPER),
    _one("prompt", str, "--prompt", "--initial-prompt", group=DECODING),
    _one("hotwords", list[str] | None, "--hotwords", "--hotword", read=lambda v: v or (), default=None,
         group=DECODING),
    _one("hotwords_weight", float | None, group=DECODING),
    _one("language_model", Path | None, "--lm", name="lm", group=DECODING),
    _one("language_model_weight", float | None, "--lm-weight", name="lm_weight", group=DECODING),
    _one("beam_size", int | None, "--beam-width", "--beam-size", name="beam_width", bounds={"min": 1},
         group=DECODING),
    _one("best_of", int, group=WHISPER, bounds={"min": 1}),
    _one("patience", float, group=WHISPER, bounds={"min": 0.1}),
    _one("length_penalty", float | None, group=WHISPER),
    ("temperatures", FlagSpelling((
        Flag("temperature", float, 0.0, help="Sampling temperature of the first attempt.", group=WHISPER,
             bounds={"min": 0.0}),
        Flag("temperature_increment_on_fallback", str, "0.2", group=WHISPER,
             help="Increase for each further attempt; none: no further attempts."),
    ), temperatures)),
    _threshold("compression_ratio_threshold"),
    _threshold("log_prob_threshold", "--logprob-threshold", "--log-prob-threshold"),
    _threshold("no_speech_threshold"),
    _one("hallucination_checks", bool, "--no-hallucination-checks", "--no-guard",
         read=lambda off: not off, name="no_hallucination_checks", default=False,
         help="Do not stop loops or text in silence: decode as plain transformers does.", group=DECODING),
    _one("fallback", bool, "--fallback", group=DECODING),
    _one("without_timestamps", bool, "--without-timestamps", group=WHISPER),
    _one("condition_on_previous_text", bool | None,
         "--condition-on-previous-text/--no-condition-on-previous-text", group=WHISPER),
    _one("word_timestamps", bool, "--word-timestamps"),
    _one("diarize", bool, "--diarize"),
    _one("max_speakers", int | None, bounds={"min": 1}),
    _one("calibration", str | None, metavar="FILE", group=DECODING),
    ("segmenter", FlagSpelling((
        Flag("vad", bool, False, ("--vad", "--vad-filter"),
             "Transcribe only what silero-vad detects as speech.", SPEECH),
        Flag("segmenter", Segmenter | None, None, group=SPEECH),
    ), _segmenter)),
    _one("clips", str, "--clip-timestamps", name="clip_timestamps", default="", read=clips_from,
         group=WHISPER,
         help="Transcribe only these parts: start,end,start,end,… in seconds."),
    _one("speech_threshold", float, "--vad-threshold", "--vad-onset", name="vad_threshold", group=SPEECH,
         bounds={"min": 0.01, "max": 0.99}),
    _one("speech_end_threshold", float | None, "--vad-offset", "--vad-neg-threshold", name="vad_offset",
         group=SPEECH, bounds={"min": 0.0, "max": 0.99}),
    _milliseconds("min_speech", "min_speech_duration"),
    _milliseconds("min_silence", "min_silence_duration", least=1),
    _milliseconds("max_silence", "max_silence_duration"),
    _milliseconds("speech_pad", "speech_pad"),
    _one("window_seconds", float | None, "--window", "--chunk-size", "--vad-max-speech-duration-s",
         name="window"),
    _one("overlap_seconds", float, "--overlap", name="overlap"),
    _one("track", str | None),
    _one("batch_seconds", float | None, group=SPEED),
    _one("batch_size", int | None, group=SPEED),
    _one("fail_fast", bool, "--fail-fast"),
])  # fmt: skip


def calibration_file(decoding: Decoding) -> str | None:
    """The file of word confidences that is read, if any is named."""
    named = decoding.calibration
    return named if isinstance(named, str) and named != "none" else None


def takes_decoding(*options: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command the flags of ``options`` in the place of its parameter ``decoding``.

    Values out of bounds are refused before the command begins.
    """

    def wrap(command: Callable[..., Any]) -> Callable[..., Any]:
        signature = inspect.signature(command, eval_str=True)

        @functools.wraps(command)
        def run(**given: Any) -> Any:
            values = {}
            for name in options:
                spelling = _SPELLINGS[name]
                values[name] = spelling.read(*(given.pop(flag.name) for flag in spelling.flags))
            return command(decoding=Decoding(**values), **given)

        shown = list(_expanded(signature, options))
        run.__signature__ = signature.replace(parameters=shown)  # type: ignore[attr-defined]
        run.__annotations__ = {one.name: one.annotation for one in shown}
        return run

    return wrap


def _expanded(signature: inspect.Signature, options: tuple[str, ...]) -> Iterator[inspect.Parameter]:
    for parameter in signature.parameters.values():
        if parameter.name != "decoding":
            yield parameter
            continue
        for name in options:
            yield from (flag.parameter(name) for flag in _SPELLINGS[name].flags)
