"""Every option of decoding: name, default, bounds, and one line on what it means.

Knows which part of the work an option belongs to: the decoder's search, how audio is heard, or only how fast
it goes. Does not know how an option is carried out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import InitVar, asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from asr_adapt.decoding.hotwords import parse_hotwords
from asr_adapt.errors import DataError, UsageError
from asr_adapt.files import user_path

if TYPE_CHECKING:
    from asr_adapt.scoring.calibration import Calibration

Task = Literal["transcribe", "translate"]
Segmenter = Literal["auto", "windows", "silero", "energy"]
TASKS: tuple[str, ...] = get_args(Task)
SEGMENTERS: tuple[str, ...] = get_args(Segmenter)
#: ``search``: what the decoder is told. ``hearing``: how audio is cut and what is kept. ``speed``: how fast
#: it goes, which changes no text.
Part = Literal["search", "hearing", "speed"]


def _option(
    default: Any,
    part: Part,
    meaning: str,
    *,
    least: float | None = None,
    above: float | None = None,
    below: float | None = None,
) -> Any:
    """A field with its one line of help and its bounds."""
    about = {"part": part, "meaning": meaning, "least": least, "above": above, "below": below}
    if isinstance(default, dict):
        return field(default_factory=dict, metadata=about)
    return field(default=default, metadata=about)


@dataclass(frozen=True, kw_only=True)
class Decoding:
    """How speech becomes text. All fields have defaults; a value out of bounds raises
    :class:`~asr_adapt.errors.UsageError` at once, before any model is loaded.

    Seconds everywhere; temperatures, thresholds and penalties are those of OpenAI's Whisper.
    ``help(Decoding)`` lists every field with its meaning. ``segmenter``: ``windows`` hears every sample,
    ``silero`` and ``energy`` only what a voice-activity detector calls speech; ``auto`` is ``silero`` for
    recognisers that tell times (Whisper), else ``windows``. ``hotwords`` is a list such as ``["Leith",
    "Arthur's Seat:8", "names.txt"]`` or a mapping from words to boosts.
    """

    # what is heard, and what is written
    language: str | None = _option(
        None, "hearing", "Language code or name, or auto to detect it. Default: the model's own."
    )
    task: Task | None = _option(
        None, "search", "transcribe, or translate into English. Default: the model's own."
    )
    prompt: str = _option(
        "", "search", "Text given to Whisper as context for every window: names, spellings."
    )
    hotwords: Mapping[str, float | None] | Sequence[str] = _option(
        {}, "search", "Words to favour: WORD or WORD:BOOST, comma-separated, or a file with one per line."
    )
    hotwords_weight: float | None = _option(
        None, "search", "Boost in nats. Default: 6 per word for CTC models, 1 per token for others."
    )
    language_model: str | Path | None = _option(
        None, "search", "N-gram language model (ARPA) for CTC models."
    )
    language_model_weight: float | None = _option(
        None, "search", "Weight of the language model. Default: as found by lm tune."
    )

    # how the decoder searches
    beam_size: int | None = _option(
        None,
        "search",
        "Beam width. Default: 32 for CTC with a language model, 5 with hot words, else 1.",
        least=1,
    )
    best_of: int = _option(5, "search", "Samples per temperature above 0; the best is kept.", least=1)
    patience: float = _option(
        1.0, "search", "Beam search stops after beam width × patience finished hypotheses.", above=0
    )
    length_penalty: float | None = _option(
        None, "search", "Length penalty of Google's NMT; none: rank by mean log-probability."
    )
    temperatures: tuple[float, ...] = _option(
        (0.0, 0.2, 0.4, 0.6, 0.8, 1.0),
        "search",
        "Sampling temperatures of the first and of further attempts.",
    )
    compression_ratio_threshold: float | None = _option(
        2.4, "search", "Retry text with a higher compression ratio; none disables this."
    )
    log_prob_threshold: float | None = _option(
        -1.0, "search", "Retry text with a lower mean log-probability; none disables this."
    )
    no_speech_threshold: float | None = _option(
        0.6, "search", "Drop unsure text above this probability of no speech; none disables this."
    )
    hallucination_checks: bool = _option(
        True, "search", "Stop loops and text in silence (models with a decoder)."
    )
    fallback: bool = _option(
        False, "search", "Retry unsure text at higher temperatures; drop text in silence, as OpenAI does."
    )
    without_timestamps: bool = _option(
        False, "search", "Decode without timestamp tokens, for models trained without them."
    )

    # how audio is heard
    condition_on_previous_text: bool | None = _option(
        None,
        "hearing",
        "Give the previous text to Whisper as context. Default: for base and larger models.",
    )
    word_timestamps: bool = _option(False, "hearing", "Add times and confidence of each word.")
    diarize: bool = _option(False, "hearing", "Add speaker labels (needs the extra diarize).")
    max_speakers: int | None = _option(
        None, "hearing", "At most so many speakers: the most alike are one. Default: no bound.", least=1
    )
    calibration: Calibration | str | Path | None = _option(
        None,
        "hearing",
        "Calibration file. Default: MODEL/calibration.json if present; none disables calibration.",
    )
    segmenter: Segmenter = _option(
        "auto", "hearing", "How to cut long audio. Default: silero for Whisper, else windows."
    )
    clips: tuple[tuple[float, float | None], ...] = _option(
        (), "hearing", "Transcribe only these parts, from and to second (None: the end)."
    )
    speech_threshold: float = _option(
        0.5, "hearing", "Speech probability above which a frame is speech.", above=0, below=1
    )
    speech_end_threshold: float | None = _option(
        None,
        "hearing",
        "Speech probability below which speech ends. Default: 0.15 below the threshold.",
        least=0,
        below=1,
    )
    min_speech: float = _option(0.2, "hearing", "Ignore speech shorter than this.", least=0)
    min_silence: float = _option(0.4, "hearing", "Shortest pause at which audio may be cut.", above=0)
    max_silence: float = _option(1.0, "hearing", "Skip silence longer than this.", least=0)
    speech_pad: float = _option(0.2, "hearing", "Audio kept before and after speech.", least=0)
    window_seconds: float | None = _option(
        None, "hearing", "Length of a window in seconds. Default: the model's own.", above=0
    )
    overlap_seconds: float = _option(4.0, "hearing", "Overlap of neighbouring windows in seconds.", least=0)
    channel: int | None = _option(
        None, "hearing", "Number of a channel (from 0). Default: the mean of all.", least=0
    )
    track: str | None = _option(
        None,
        "hearing",
        "Audio track of a video: number (from 0) or language (eng). Default: the file's default track.",
    )

    # how fast it goes
    batch_seconds: float | None = _option(
        None, "speed", "Maximum padded audio in a batch, in seconds. Default: chosen for the device.", above=0
    )
    batch_size: int | None = _option(None, "speed", "Maximum number of clips in a batch.", above=0)
    pool_seconds: float = _option(
        600.0, "speed", "Audio that is read ahead, to batch clips of like length.", above=0
    )
    workers: int = _option(2, "speed", "Threads that read audio.", above=0)
    fail_fast: bool = _option(False, "speed", "Stop at the first input that fails.")

    #: The former name of ``hallucination_checks``, for those who construct with it.
    guard: InitVar[bool | None] = None

    def __post_init__(self, guard: bool | None) -> None:
        if guard is not None:
            object.__setattr__(self, "hallucination_checks", guard)
        for one in fields(self):
            _check_bounds(one.name, getattr(self, one.name), one.metadata)
        _one_of("segmenter", self.segmenter, SEGMENTERS)
        if self.task is not None:
            _one_of("task", self.task, TASKS)
        if not self.temperatures or any(not value >= 0 for value in self.temperatures):
            raise UsageError(f"temperatures must be numbers from 0 on, but are {self.temperatures}.")
        if self.window_seconds is not None and self.window_seconds < 2 * self.overlap_seconds:
            raise UsageError(
                f"window_seconds ({self.window_seconds}) must be at least twice overlap_seconds "
                f"({self.overlap_seconds}): otherwise windows do not move on."
            )
        if self.speech_end_threshold is not None and self.speech_end_threshold > self.speech_threshold:
            raise UsageError(
                f"speech_end_threshold ({self.speech_end_threshold:g}) must not be above speech_threshold "
                f"({self.speech_threshold:g}): else speech ends where it begins."
            )
        if self.max_speakers is not None and not self.diarize:
            raise UsageError("--max-speakers bounds what --diarize finds: add --diarize.")
        if self.fallback and not self.hallucination_checks:
            raise UsageError(
                "--fallback retries what the checks reject: use either --fallback or "
                "--no-hallucination-checks."
            )
        self._settle()

    def _settle(self) -> None:
        """Words with their boosts, and paths that are there."""
        object.__setattr__(self, "hotwords", parse_hotwords(self.hotwords))
        for name, option in (("language_model", "--lm"), ("calibration", "--calibration")):
            value = getattr(self, name)
            if isinstance(value, (str, Path)) and value != "none":
                path = user_path(value)
                if not path.is_file():
                    raise DataError(f"there is no such file: correct {option}.", path=path)
                object.__setattr__(self, name, str(path))

    @property
    def boosts(self) -> dict[str, float | None]:
        """Every hot word with its own boost; None: the boost of the list."""
        return parse_hotwords(self.hotwords)

    @property
    def confidence_map(self) -> Calibration | None:
        """The map of word confidence that has been read; None where none was, or only a file is named."""
        return None if isinstance(self.calibration, (str, Path)) else self.calibration

    @property
    def plain(self) -> bool:
        """Whether the decoder's search is left as it is."""
        return not self.told("search")

    def told(self, part: Part) -> dict[str, Any]:
        """The options of a part that are not at their default, by name."""
        return {name: value for name in names_of(part) if (value := getattr(self, name)) != default_of(name)}

    def key(self) -> dict[str, Any]:
        """What changes how audio is heard, as plain values: nothing that only changes the speed."""
        values = asdict(self)
        return {name: values[name] for name in names_of("hearing")}

    def but(self, **changes: Any) -> Decoding:
        """The same with other values; raises UsageError that lists the names for an unknown one."""
        known = {one.name for one in fields(self)} | {"guard"}
        for name in changes:
            if name not in known:
                raise UsageError(f"There is no option {name!r}; the options are {', '.join(sorted(known))}.")
        return replace(self, **changes)


def names_of(part: Part) -> tuple[str, ...]:
    """Names of the options of one part, in order."""
    return tuple(one.name for one in fields(Decoding) if one.metadata["part"] == part)


def meaning_of(name: str) -> str:
    """The line of help of an option."""
    return str(Decoding.__dataclass_fields__[name].metadata["meaning"])


def default_of(name: str) -> Any:
    """The default of an option."""
    one = Decoding.__dataclass_fields__[name]
    return {} if name == "hotwords" else one.default


def _check_bounds(name: str, value: Any, bounds: Mapping[str, Any]) -> None:
    if value is None or isinstance(value, bool):
        return
    limits = (
        ("least", "at least", lambda limit: value >= limit),
        ("above", "above", lambda limit: value > limit),
        ("below", "below", lambda limit: value < limit),
    )
    for kind, words, holds in limits:
        limit = bounds[kind]
        if limit is None:
            continue
        if not isinstance(value, (int, float)):
            raise UsageError(f"{name} must be a number, but is {value!r}.")
        if not holds(limit):
            raise UsageError(f"{name} must be {words} {limit:g}, but is {value}.")


def _one_of(name: str, value: object, known: Sequence[str]) -> None:
    if value not in known:
        raise UsageError(f"{name} is one of {', '.join(known)}, not {value!r}.")


Decoding.__doc__ = f"{Decoding.__doc__}\n" + "\n".join(
    f"    {one.name}: {one.metadata['meaning']}" for one in fields(Decoding)
)
