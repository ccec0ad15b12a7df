"""How to transcribe, as data.

Knows every option, its default and its bounds. Does not know how an option is carried out, nor the command
line that sets it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from asr_adapt.errors import UsageError
from asr_adapt.scoring.calibration import Calibration

Segmenter = Literal["auto", "windows", "silero", "energy"]
SEGMENTERS: tuple[str, ...] = get_args(Segmenter)


@dataclass(frozen=True)
class TranscribeOptions:
    """Options of one transcription run; raises UsageError for a value out of bounds.

    Seconds everywhere. ``segmenter``: ``windows`` hears every sample, ``silero`` and ``energy`` only what a
    voice-activity detector calls speech; ``auto`` is ``silero`` for recognisers that hear windows with
    timestamps (Whisper), else ``windows``, which overlap. ``condition_on_previous`` gives such a recogniser
    what was said before as context. Outside of ``clips`` (from and to second; None: the end) all is silence.
    ``max_silence`` is the longest that such a recogniser hears. ``batch_seconds`` is the padded audio in
    one batch (None: chosen for the device), ``batch_size`` a further bound on its rows. ``channel`` picks one
    channel (0 is the first); None averages them. ``track`` picks an audio track of a video: a number from 0
    or a language (None: the default track). ``calibration`` maps word confidence (None: as the model gives
    it). ``diarize`` says who speaks in each segment, for which words get their times.
    """

    language: str | None = None
    word_timestamps: bool = False
    segmenter: Segmenter = "auto"
    condition_on_previous: bool = False
    clips: tuple[tuple[float, float | None], ...] = ()
    window_seconds: float | None = None
    overlap_seconds: float = 4.0
    min_speech: float = 0.2
    min_silence: float = 0.4
    max_silence: float = 1.0
    speech_pad: float = 0.2
    speech_threshold: float = 0.5
    batch_seconds: float | None = None
    batch_size: int | None = None
    channel: int | None = None
    track: str | None = None
    pool_seconds: float = 600.0
    workers: int = 2
    fail_fast: bool = False
    calibration: Calibration | None = None
    diarize: bool = False

    def __post_init__(self) -> None:
        if self.segmenter not in SEGMENTERS:
            raise UsageError(f"Segmenter {self.segmenter!r} is not one of {', '.join(SEGMENTERS)}.")
        self._positive(
            "window_seconds", "batch_seconds", "batch_size", "pool_seconds", "workers", "min_silence"
        )
        for name in ("overlap_seconds", "min_speech", "speech_pad"):
            if getattr(self, name) < 0:
                raise UsageError(f"{name} must not be negative, but is {getattr(self, name)}.")
        if not 0 < self.speech_threshold < 1:
            raise UsageError(f"speech_threshold lies between 0 and 1, but is {self.speech_threshold}.")
        if self.window_seconds is not None and self.window_seconds < 2 * self.overlap_seconds:
            raise UsageError(
                f"window_seconds ({self.window_seconds}) must be at least twice overlap_seconds "
                f"({self.overlap_seconds}): otherwise windows do not move on."
            )

    def _positive(self, *names: str) -> None:
        for name in names:
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise UsageError(f"{name} must be above 0, but is {value}.")
