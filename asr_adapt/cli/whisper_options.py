"""Options of ``transcribe`` under the names that users of openai-whisper, faster-whisper and whisperX type.

Knows their names, help and bounds, and how they become a :class:`~asr_adapt.models.Search` and voice-activity
settings. Does not decode.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from asr_adapt.errors import UsageError

if TYPE_CHECKING:
    from asr_adapt.models import Search

DECODING = "Decoding, Whisper alone"
SPEECH = "Speech and silence"
SUBTITLES = "Subtitles"


class Task(StrEnum):
    """What is written."""

    transcribe = "transcribe"
    translate = "translate"  # type: ignore[assignment]  # hides str.translate


def _option(*names: str, group: str = DECODING, help: str, **more: Any) -> Any:
    return typer.Option(*names, help=help, rich_help_panel=group, **more)


TaskName = Annotated[
    Task | None, _option("--task", help="transcribe, or translate into English. Default: the model's own.")
]
BestOf = Annotated[
    int, _option("--best-of", min=1, help="Samples per temperature above 0; the best is kept.")
]
Patience = Annotated[
    float,
    _option("--patience", min=0.1, help="Beam search stops after beam width × patience finished hypotheses."),
]
LengthPenalty = Annotated[
    float | None,
    _option("--length-penalty", help="Length penalty of Google's NMT; none: rank by mean log-probability."),
]
Temperature = Annotated[
    float, _option("--temperature", min=0.0, help="Sampling temperature of the first attempt.")
]
Increment = Annotated[
    str,
    _option(
        "--temperature-increment-on-fallback",
        help="Increase for each further attempt; none: no further attempts.",
    ),
]
Compression = Annotated[
    str,
    _option(
        "--compression-ratio-threshold",
        help="Retry text with a higher compression ratio; none disables this.",
    ),
]
LogProbability = Annotated[
    str,
    _option(
        "--logprob-threshold",
        "--log-prob-threshold",
        help="Retry text with a lower mean log-probability; none disables this.",
    ),
]
NoSpeech = Annotated[
    str,
    _option(
        "--no-speech-threshold",
        help="Drop unsure text above this probability of no speech; none disables this.",
    ),
]
Previous = Annotated[
    bool,
    _option(
        "--condition-on-previous-text/--no-condition-on-previous-text",
        help="Give the previous text to Whisper as context.",
    ),
]
Untimed = Annotated[
    bool,
    _option("--without-timestamps", help="Decode without timestamp tokens, for models trained without them."),
]
Clips = Annotated[
    str, _option("--clip-timestamps", help="Transcribe only these parts: start,end,start,end,… in seconds.")
]
Threshold = Annotated[
    float,
    _option(
        "--vad-threshold",
        "--vad-onset",
        group=SPEECH,
        min=0.01,
        max=0.99,
        help="Speech probability above which a frame is speech.",
    ),
]
LeastSpeech = Annotated[
    float,
    _option("--vad-min-speech-duration-ms", group=SPEECH, min=0, help="Ignore speech shorter than this."),
]
LeastSilence = Annotated[
    float,
    _option(
        "--vad-min-silence-duration-ms", group=SPEECH, min=1, help="Shortest pause at which audio may be cut."
    ),
]
MostSilence = Annotated[
    float,
    _option("--vad-max-silence-duration-ms", group=SPEECH, min=0, help="Skip silence longer than this."),
]
SpeechPad = Annotated[
    float, _option("--vad-speech-pad-ms", group=SPEECH, min=0, help="Audio kept before and after speech.")
]
WordsPerLine = Annotated[
    int | None,
    _option("--max-words-per-line", group=SUBTITLES, min=1, help="Maximum words in a subtitle line."),
]
ModelDir = Annotated[str | None, typer.Option("--model-dir", help="Folder searched first for --model.")]


def temperatures(first: float, increment: str) -> tuple[float, ...]:
    """``first`` and the temperatures of further attempts, up to 1."""
    step = number("--temperature-increment-on-fallback", increment)
    if step is None:
        return (first,)
    if step <= 0:
        raise UsageError(f"--temperature-increment-on-fallback must be above 0 or none, not {increment}.")
    count = int((1.0 - first) / step + 1e-6) + 1
    return tuple(round(first + step * n, 6) for n in range(max(1, count)))


def number(option: str, text: str) -> float | None:
    """A number, or None for ``none``; raises UsageError for anything else."""
    if text.strip().lower() == "none":
        return None
    try:
        return float(text)
    except ValueError as error:
        raise UsageError(f"{option} is a number or none, not {text!r}.") from error


def search_from(given: dict[str, Any]) -> Search:
    """The search that the options ask for, by the names of the command's parameters."""
    from asr_adapt.models import Search

    score = number("--logprob-threshold", given["logprob_threshold"])
    compression = number("--compression-ratio-threshold", given["compression_ratio_threshold"])
    return Search(
        temperatures=temperatures(given["temperature"], given["temperature_increment_on_fallback"]),
        mean_score=float("-inf") if score is None else score,
        compression=float("inf") if compression is None else compression,
        no_speech=number("--no-speech-threshold", given["no_speech_threshold"]),
        timestamps=not given["without_timestamps"],
        best_of=given["best_of"],
        patience=given["patience"],
        length_penalty=given["length_penalty"],
    )


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
