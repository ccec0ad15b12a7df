"""Sources into pieces, decoded ahead of the recogniser by a few threads.

Knows how a source becomes a stream of blocks and which segmenter cuts it, and keeps the audio that waits
within a bound. Does not know the recogniser beyond its rate and window.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np

from asr_adapt.audio import AudioError, Remark, read_audio, stream_audio
from asr_adapt.decoding import Decoding
from asr_adapt.transcription.hearing import Hearing
from asr_adapt.transcription.longform.packing import PackingRules, packed_speech
from asr_adapt.transcription.longform.undetected import never_unheard
from asr_adapt.transcription.sources import Failure, Source, source_failure
from asr_adapt.transcription.voice.speech import (
    Detector,
    EnergyDetector,
    SileroDetector,
    SpeechRules,
    Thresholds,
    speech_pieces,
)
from asr_adapt.transcription.windows import Piece, windows

#: A manifest row longer than this is streamed when it starts at 0; shorter ones are read at once.
STREAM_ABOVE_SECONDS = 120.0
#: A silence of this many seconds always ends a piece of speech.
JOIN_SECONDS = 1.0
#: Seconds after which one who waits for audio looks again whether anybody still wants it.
GLANCE_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Read:
    """One event: a piece of source ``job``, or its end, or its failure.

    At the end, ``duration`` is the seconds that were decoded, and ``remarks`` say what of the file was lost.
    """

    job: int
    piece: Piece | None = None
    duration: float | None = None
    failure: Failure | None = None
    remarks: tuple[str, ...] = ()


@dataclass
class Tally:
    """What came of reading a source: samples at the recogniser's rate, and sentences on what was lost."""

    samples: int = 0
    remarks: list[str] = field(default_factory=list)
    #: Whether nobody wants the rest any more.
    stopped: Callable[[], bool] = lambda: False

    def counted(self, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """The blocks as they are, counted, until it is stopped."""
        for block in blocks:
            if self.stopped():
                return
            self.samples += len(block)
            yield block


def pieces_of(
    source: Source, hearing: Hearing, options: Decoding, tally: Tally | None = None
) -> Iterator[Piece]:
    """The pieces of one source in order; raises AudioError where the audio cannot be read.

    Of a damaged file what can be decoded is read, and ``tally`` gets a remark, unless the source is strict.
    """
    tally = Tally() if tally is None else tally
    rate = hearing.sample_rate
    window = round(min(options.window_seconds or hearing.window_seconds, hearing.window_seconds) * rate)
    overlap = min(round(options.overlap_seconds * rate), window // 2) if hearing.words else 0
    blocks = tally.counted(_blocks(source, rate, options, None if source.strict else tally.remarks.append))
    if options.clips:
        blocks = _clipped(blocks, options.clips, rate)
    if hearing.timed_windows(source):
        return _timed_pieces(blocks, window, rate, options, tally.remarks.append)
    # pieces that cannot be joined by their words are cut where nobody speaks
    if options.segmenter == "windows" or (options.segmenter == "auto" and hearing.words):
        return windows(blocks, window, overlap)
    rules = SpeechRules(
        window=window,
        overlap=overlap,
        join=round(max(JOIN_SECONDS, options.min_silence, options.speech_pad) * rate),
        silence=round(options.min_silence * rate),
        shortest=round(options.min_speech * rate),
        pad=round(options.speech_pad * rate),
        thresholds=Thresholds.of(options),
    )
    detector = _detector(rate, options)
    return never_unheard(
        blocks, rate, lambda heard: speech_pieces(heard, detector, rules), tally.remarks.append
    )


def _clipped(
    blocks: Iterable[np.ndarray], clips: Sequence[tuple[float, float | None]], rate: int
) -> Iterator[np.ndarray]:
    """The same audio, silent outside of ``clips``."""
    first = 0
    for block in blocks:
        heard = np.zeros_like(block)
        for start, stop in clips:
            a = max(0, round(start * rate) - first)
            b = len(block) if stop is None else max(0, round(stop * rate) - first)
            heard[a:b] = block[a:b]
        first += len(block)
        yield heard


def _timed_pieces(
    blocks: Iterable[np.ndarray], window: int, rate: int, options: Decoding, remark: Remark
) -> Iterator[Piece]:
    """Pieces for a recogniser that tells times: packed speech, or the whole audio without overlap."""
    if options.segmenter == "windows":
        return windows(blocks, window, 0)
    rules = PackingRules(
        window=window,
        pause=round(options.min_silence * rate),
        kept=round(options.max_silence * rate),
        shortest=round(options.min_speech * rate),
        pad=round(options.speech_pad * rate),
        thresholds=Thresholds.of(options),
    )
    detector = _detector(rate, options)
    return never_unheard(blocks, rate, lambda heard: packed_speech(heard, detector, rules), remark)


def _detector(rate: int, options: Decoding) -> Detector:
    return EnergyDetector(rate) if options.segmenter == "energy" else SileroDetector(rate)


def _blocks(source: Source, rate: int, options: Decoding, remark: Remark | None) -> Iterable[np.ndarray]:
    channel = options.channel if source.channel is None else source.channel
    track = options.track
    if source.samples is not None:
        return [checked_samples(source.samples, source.label)]
    assert source.path is not None
    long = source.duration is None or source.duration > STREAM_ABOVE_SECONDS
    if not source.segment:
        return stream_audio(source.path, sample_rate=rate, channel=channel, track=track, remark=remark)
    if source.offset == 0 and long and source.duration is not None:
        stream = stream_audio(source.path, sample_rate=rate, channel=channel, track=track, remark=remark)
        return _first(stream, round(source.duration * rate))
    return [
        read_audio(
            source.path,
            sample_rate=rate,
            offset=source.offset,
            duration=source.duration,
            channel=channel,
            track=track,
            remark=remark,
        )
    ]


def whole_audio(source: Source, rate: int, options: Decoding) -> np.ndarray:
    """All samples of a source that are heard, float32 mono (n,) at ``rate``; nothing is remarked."""
    blocks = _blocks(source, rate, options, None if source.strict else lambda remark: None)
    if options.clips:
        blocks = _clipped(blocks, options.clips, rate)
    return np.concatenate([np.zeros(0, np.float32), *blocks])


def checked_samples(samples: np.ndarray, label: str) -> np.ndarray:
    """``samples`` as float32 mono; raises AudioError for another shape, no samples, or NaN and infinity."""
    array = np.asarray(samples)
    if array.ndim != 1 or array.size == 0 or array.dtype.kind != "f":
        raise AudioError(
            f"an array of shape {array.shape} and type {array.dtype} is not a waveform; "
            "give float samples (n,) between -1 and 1.",
            path=label,
        )
    if not np.isfinite(array).all():
        raise AudioError("holds NaN or infinite samples; replace them.", path=label)
    return array.astype(np.float32, copy=False)


def _first(blocks: Iterable[np.ndarray], samples: int) -> Iterator[np.ndarray]:
    for block in blocks:
        yield block[:samples]
        samples -= len(block)
        if samples <= 0:
            return


class Reader:
    """Decodes sources in threads and hands out their events; at most about ``pool_seconds`` of audio wait."""

    def __init__(self, sources: list[Source], hearing: Hearing, options: Decoding) -> None:
        self._hearing = hearing
        self._options = options
        self._jobs = iter(enumerate(sources))
        self._events: deque[Read] = deque()
        self._waiting = 0  # samples in _events
        self._limit = round(options.pool_seconds * hearing.sample_rate)
        self._changed = threading.Condition()
        self._stopped = False
        self._running = min(options.workers, max(1, len(sources)))
        self._threads = [
            threading.Thread(target=self._work, name=f"asr-adapt-reader-{number}", daemon=True)
            for number in range(self._running)
        ]
        for thread in self._threads:
            thread.start()

    def take(self, alive: Callable[[], None] = lambda: None) -> list[Read]:
        """Everything that waits, once it is half the pool or nothing more comes; empty at the very end.

        ``alive`` is called now and then while nothing is ready; what it raises ends the waiting.
        """
        with self._changed:
            while self._waiting < self._limit // 2 and self._running:
                alive()
                self._changed.wait(GLANCE_SECONDS)
            events = list(self._events)
            self._events.clear()
            self._waiting = 0
            self._changed.notify_all()
        return events

    def stop(self) -> None:
        """Let the threads end; waiting audio is dropped."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        try:
            while not self._stopped:
                with self._changed:
                    job = list(islice(self._jobs, 1))
                if not job:
                    return
                self._read(*job[0])
        finally:
            with self._changed:
                self._running -= 1
                self._changed.notify_all()

    def _read(self, job: int, source: Source) -> None:
        tally = Tally(stopped=lambda: self._stopped)
        try:
            for piece in pieces_of(source, self._hearing, self._options, tally):
                if not self._put(Read(job, piece=piece), len(piece.samples)):
                    return
        except Exception as error:  # a damaged file must not stop the others, whatever its decoder raises
            self._put(Read(job, failure=source_failure(source, error)), 0)
            return
        duration = tally.samples / self._hearing.sample_rate
        self._put(Read(job, duration=duration, remarks=tuple(tally.remarks)), 0)

    def _put(self, event: Read, samples: int) -> bool:
        """Queue an event when there is room; False when the reader was stopped."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or self._waiting < self._limit)
            if self._stopped:
                return False
            self._events.append(event)
            self._waiting += samples
            self._changed.notify_all()
        return True
