"""Which parts of the audio are speech, decided while it streams past.

Knows the two detectors (silero-vad's network; energy below the recent peak), and how frame decisions become
pieces: hysteresis, minimum lengths, padding, cuts at silences where a piece would exceed the window. Does not
know any recogniser.

Hysteresis and padding follow silero-vad's ``get_speech_timestamps``; the energy rule is the one of
``librosa.effects.split`` (so many dB below the peak), with a peak that follows the stream.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from asr_adapt.decoding import Decoding
from asr_adapt.errors import UsageError
from asr_adapt.transcription.voice.silero import SILERO_CONTEXT, SILERO_FRAME, SILERO_RATE, SileroNetwork
from asr_adapt.transcription.windows import Piece

#: Once inside speech, the threshold is lower by this much unless another is asked for.
HYSTERESIS = 0.15
#: Audio this far below the recent peak is silence: quieter than librosa's 60 dB default would call it.
TOP_DB = 35.0


class Detector(Protocol):
    """Scores frames of ``frame`` samples; keeps its own state between calls, so one per stream."""

    frame: int

    def scores(self, samples: np.ndarray) -> np.ndarray:
        """Speech score 0…1 of each whole frame in ``samples`` (a multiple of ``frame``)."""
        ...


class EnergyDetector:
    """Speech is what lies within ``top_db`` of the peak level of this block and the fading earlier ones."""

    def __init__(self, sample_rate: int, top_db: float = TOP_DB) -> None:
        self.frame = sample_rate * 32 // 1000
        self._floor = 10 ** (-top_db / 20)
        self._peak = 0.0

    def scores(self, samples: np.ndarray) -> np.ndarray:
        import librosa  # loading it takes longer than many a file

        level = librosa.feature.rms(
            y=samples, frame_length=self.frame, hop_length=self.frame, center=False
        ).ravel()
        self._peak = max(float(level.max(initial=0.0)), 0.7 * self._peak)
        return (level > max(self._floor * self._peak, 1e-5)).astype(np.float32)


class SileroDetector:
    """silero-vad's recurrent network on 32 ms frames at 16 kHz (MIT; weights in its wheel).

    The frames of a block are computed at once and only the recurrent cell goes from frame to frame: the
    same scores as silero-vad's own loop in a small part of its time.
    """

    frame = SILERO_FRAME

    def __init__(self, sample_rate: int) -> None:
        if sample_rate != SILERO_RATE:
            raise UsageError(
                f"silero-vad needs 16 kHz, the model uses {sample_rate} Hz: use --segmenter energy."
            )
        self._network = SileroNetwork()
        self._context = np.zeros(SILERO_CONTEXT, np.float32)
        self._state: Any = None

    def scores(self, samples: np.ndarray) -> np.ndarray:
        if not len(samples):
            return np.empty(0, np.float32)
        stream = np.concatenate([self._context, samples.astype(np.float32, copy=False)])
        self._context = stream[-SILERO_CONTEXT:].copy()
        found, self._state = self._network(stream, self._state)
        return found


@dataclass(frozen=True)
class Thresholds:
    """Scores at which speech begins, and below which it ends: lower, so that a weak syllable does not."""

    begins: float = 0.5
    ends: float = 0.5 - HYSTERESIS

    @staticmethod
    def of(options: Decoding) -> Thresholds:
        """Those that ``options`` ask for."""
        begins, ends = options.speech_threshold, options.speech_end_threshold
        return Thresholds(begins, begins - HYSTERESIS if ends is None else ends)

    def speech(self, score: float, *, speaking: bool) -> bool:
        """Whether a frame of that score is speech, where the frame before it was or was not."""
        return score >= (self.ends if speaking else self.begins)


@dataclass(frozen=True)
class SpeechRules:
    """Lengths in samples; ``join`` is the silence that always ends a piece, ``silence`` one that may."""

    window: int
    overlap: int
    join: int
    silence: int
    shortest: int
    pad: int
    thresholds: Thresholds = field(default_factory=Thresholds)


def speech_pieces(blocks: Iterable[np.ndarray], detector: Detector, rules: SpeechRules) -> Iterator[Piece]:
    """Pieces of speech in order. Only speech without any silence for a whole window is cut with overlap."""
    return pieces_of(blocks, detector, _Cutter(rules))


class PieceMaker(Protocol):
    """What makes pieces of scored frames."""

    def feed(self, samples: np.ndarray, scores: np.ndarray, frame: int) -> Iterator[Piece]:
        """Pieces that are complete once these frames are known."""

    def finish(self) -> Iterator[Piece]:
        """What is left at the end of the stream."""


def pieces_of(blocks: Iterable[np.ndarray], detector: Detector, maker: PieceMaker) -> Iterator[Piece]:
    """Score the stream in whole frames, the last one padded with silence, and give what ``maker`` makes."""
    held = np.empty(0, np.float32)
    for block in blocks:
        held = np.concatenate([held, block])
        whole = len(held) - len(held) % detector.frame
        yield from maker.feed(held[:whole], detector.scores(held[:whole]), detector.frame)
        held = held[whole:]
    if len(held):
        padded = np.pad(held, (0, detector.frame - len(held)))
        yield from maker.feed(held, detector.scores(padded), detector.frame)
    yield from maker.finish()


class _Cutter:
    """The state between two frames: where the current piece began, and where it may be cut."""

    def __init__(self, rules: SpeechRules) -> None:
        self.rules = rules
        self.audio = np.empty(0, np.float32)
        self.audio_start = 0  # sample number of audio[0]
        self.frontier = 0  # nothing before it may be used again
        self.start: int | None = None  # where the open piece begins
        self.speech_end = -1
        self.spoken = 0
        self.seam = False  # the open piece overlaps the one before
        self.cut: tuple[int, int] | None = None  # last silence in the open piece: its start and end

    def feed(self, samples: np.ndarray, scores: np.ndarray, frame: int) -> Iterator[Piece]:
        position = self.audio_start + len(self.audio)
        self.audio = np.concatenate([self.audio, samples])
        end = self.audio_start + len(self.audio)
        for score in scores:
            stop = min(position + frame, end)
            yield from self._step(position, stop, float(score))
            position = stop
        self._forget()

    def finish(self) -> Iterator[Piece]:
        end = self.audio_start + len(self.audio)
        if self.start is not None:
            yield from self._close(min(self.speech_end + self.rules.pad, end))

    def _step(self, begin: int, stop: int, score: float) -> Iterator[Piece]:
        if self.rules.thresholds.speech(score, speaking=self.speech_end == begin):
            self._speech(begin, stop)
        if self.start is None:
            return
        if stop - self.speech_end >= self.rules.join:
            yield from self._close(self.speech_end + self.rules.pad)
        elif stop - self.start >= self.rules.window:
            yield from self._cut(stop)

    def _speech(self, begin: int, stop: int) -> None:
        if self.start is None:
            self.start = max(begin - self.rules.pad, self.frontier)
            self.spoken, self.cut, self.seam = 0, None, False
        elif begin - self.speech_end >= self.rules.silence and self.speech_end > self.start:
            self.cut = (self.speech_end, begin)  # a silence in which the piece began is no place to end it
        self.speech_end = stop
        self.spoken += stop - begin

    def _cut(self, stop: int) -> Iterator[Piece]:
        """The open piece fills the window: end it at its last silence, else with overlap."""
        assert self.start is not None
        if stop - self.speech_end >= self.rules.silence:
            yield from self._close(min(self.speech_end + self.rules.pad, stop))
        elif self.cut is not None:
            before, after = self.cut
            pad = min(self.rules.pad, (after - before) // 2)
            yield self._piece(self.start, before + pad)
            self.start, self.cut, self.seam = after - pad, None, False
        else:
            self.seam = self.rules.overlap > 0
            yield self._piece(self.start, stop)
            self.start = stop - self.rules.overlap
        self.frontier = max(self.frontier, self.start or 0)

    def _close(self, end: int) -> Iterator[Piece]:
        assert self.start is not None
        if self.spoken >= self.rules.shortest and end > self.start:
            yield self._piece(self.start, end)
        self.frontier = end
        self.start = None

    def _piece(self, start: int, end: int) -> Piece:
        return Piece(start, self.audio[start - self.audio_start : end - self.audio_start].copy(), self.seam)

    def _forget(self) -> None:
        """Drop audio that no piece can need any more."""
        end = self.audio_start + len(self.audio)
        keep_from = self.start if self.start is not None else max(self.frontier, end - self.rules.pad)
        self.audio = self.audio[keep_from - self.audio_start :].copy()
        self.audio_start = keep_from
