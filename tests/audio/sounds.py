"""Sounds and containers for the tests of decoding: tones in any codec, each chunk at its own time."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

RATE = 16_000


def tone(pitch: float, seconds: float, rate: int = RATE) -> np.ndarray:
    time = np.arange(round(seconds * rate)) / rate
    return (0.4 * np.sin(2 * np.pi * pitch * time)).astype(np.float32)


def pitch_at(samples: np.ndarray, second: float, rate: int = RATE) -> float:
    """The strongest frequency in 0.2 s from ``second`` on; 0 where there is silence."""
    part = samples[round(second * rate) : round((second + 0.2) * rate)]
    if not len(part) or np.abs(part).max() < 0.02:
        return 0.0
    spectrum = np.abs(np.fft.rfft(part * np.hanning(len(part))))
    return float(spectrum.argmax()) * rate / len(part)


def encode(container: Any, stream: Any, chunks: Sequence[tuple[float, np.ndarray]], rate: int) -> None:
    """Put ``(start in seconds, samples)`` into a stream; between chunks there are no packets at all."""
    for start, samples in chunks:
        frame = av.AudioFrame.from_ndarray(samples[None, :], format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, round(start * rate), Fraction(1, rate)
        resampler = av.AudioResampler(
            format=stream.codec_context.format, layout="mono", rate=rate, frame_size=stream.frame_size or 1024
        )
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(piece))
    container.mux(stream.encode(None))


def picture(container: Any, stream: Any, seconds: float) -> None:
    """A black video of ``seconds`` that starts at once."""
    for number in range(round(seconds * 10)):
        frame = av.VideoFrame(64, 64, "yuv420p")
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        frame.pts, frame.time_base = number, Fraction(1, 10)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def write_media(
    path: Path,
    codec: str,
    *tracks: Sequence[tuple[float, np.ndarray]],
    rate: int = RATE,
    video: float = 0.0,
    languages: Sequence[str] = (),
    default: int | None = None,
    container_format: str | None = None,
) -> Path:
    """A file with one or more audio tracks of timed chunks, beside ``video`` seconds of picture."""
    from av.stream import Disposition

    with av.open(str(path), "w", format=container_format) as container:
        shown = container.add_stream("mpeg4", rate=10) if video else None
        if shown is not None:
            shown.width, shown.height, shown.pix_fmt = 64, 64, "yuv420p"
        streams = [container.add_stream(codec, rate=rate, layout="mono") for _ in tracks]
        for number, stream in enumerate(streams):
            if languages:
                stream.metadata["language"] = languages[number]
            if default is not None:
                stream.disposition = Disposition.default if number == default else Disposition(0)
        if shown is not None:
            picture(container, shown, video)
        for stream, chunks in zip(streams, tracks, strict=True):
            encode(container, stream, chunks, rate)
    return path
