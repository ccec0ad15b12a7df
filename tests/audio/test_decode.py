"""Decoding: every format, segments, channels, streams, and one precise sentence for each damaged file."""

from __future__ import annotations

import io
import os
import struct
import threading
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from asr_adapt.audio import AudioError, probe, read_audio, stream_audio

RATE = 16_000


def speechlike(seconds: float = 1.5, rate: int = RATE) -> np.ndarray:
    time = np.arange(round(seconds * rate)) / rate
    envelope = 0.4 + 0.3 * np.sin(2 * np.pi * 2.3 * time)
    return (envelope * np.sin(2 * np.pi * (200 + 150 * time) * time)).astype(np.float32)


def write_with_ffmpeg(path: Path, samples: np.ndarray, rate: int, codec: str) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples[None, :], format="fltp", layout="mono")
        frame.sample_rate = rate
        frame.pts = 0
        resampler = av.AudioResampler(
            format=stream.codec_context.format, layout="mono", rate=rate, frame_size=stream.frame_size or 1024
        )
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    size = min(len(a), len(b))
    return float(np.corrcoef(a[:size], b[:size])[0, 1])


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3", "opus"])
def test_libsndfile_formats_keep_the_signal(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    subtype = "OPUS" if suffix == "opus" else None
    soundfile.write(path, speechlike(), RATE, format="OGG" if suffix == "opus" else None, subtype=subtype)
    info = probe(path)
    assert (info.sample_rate, info.channels) == (RATE, 1)
    assert info.duration == pytest.approx(1.5, abs=0.08)
    assert correlation(read_audio(path), speechlike()) > 0.98


@pytest.mark.parametrize(("suffix", "codec"), [("m4a", "aac"), ("mp4", "aac"), ("webm", "libopus")])
def test_ffmpeg_formats_keep_the_signal(tmp_path: Path, suffix: str, codec: str) -> None:
    path = tmp_path / f"a.{suffix}"
    write_with_ffmpeg(path, speechlike(rate=48_000), 48_000, codec)
    info = probe(path)
    assert (info.sample_rate, info.channels) == (48_000, 1)
    assert info.duration == pytest.approx(1.5, abs=0.1)
    samples = read_audio(path)
    lag = int(np.argmax(np.correlate(samples[:6000], speechlike()[:4000], "valid")))
    assert correlation(samples[lag:], speechlike()) > 0.98


@pytest.mark.parametrize(("suffix", "codec"), [("m4a", "aac"), ("webm", "libopus")])
def test_ffmpeg_segment_equals_slice_of_whole(tmp_path: Path, suffix: str, codec: str) -> None:
    path = tmp_path / f"a.{suffix}"
    write_with_ffmpeg(path, speechlike(4.0, 48_000), 48_000, codec)
    whole = read_audio(path, sample_rate=None)
    part = read_audio(path, sample_rate=None, offset=2.0, duration=0.5)
    assert len(part) == 24_000
    lags = np.correlate(whole[94_000:122_000], part, "valid")
    millisecond = 48  # webm stamps its packets in whole milliseconds
    assert abs(int(np.argmax(lags)) - 2_000) <= millisecond
    assert lags.max() / np.dot(part, part) > 0.98


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
def test_segment_equals_slice_of_whole(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, speechlike(4.0), RATE)
    whole = read_audio(path)
    part = read_audio(path, offset=2.25, duration=0.5)
    assert len(part) == RATE // 2
    np.testing.assert_allclose(part, whole[36_000:44_000], atol=2e-3)


def test_segment_past_the_end_is_cut_and_behind_the_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, speechlike(), RATE)
    assert len(read_audio(path, offset=1.0, duration=9.0)) == RATE // 2
    with pytest.raises(AudioError, match=r"starts at 2 s but the audio ends at 1\.500 s"):
        read_audio(path, offset=2.0, duration=1.0)
    with pytest.raises(AudioError, match="not a segment"):
        read_audio(path, offset=-1.0)


def test_channels_are_averaged_or_chosen(tmp_path: Path) -> None:
    path = tmp_path / "stereo.wav"
    left, right = speechlike(), np.zeros_like(speechlike())
    soundfile.write(path, np.stack([left, right], axis=1), RATE, subtype="FLOAT")
    np.testing.assert_allclose(read_audio(path), left / 2, atol=1e-6)
    np.testing.assert_allclose(read_audio(path, channel=0), left, atol=1e-6)
    assert not read_audio(path, channel=1).any()
    with pytest.raises(AudioError, match="no channel 2"):
        read_audio(path, channel=2)


def test_resampling_gives_the_models_rate(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, speechlike(2.0, 44_100), 44_100)
    samples = read_audio(path)
    assert samples.dtype == np.float32
    assert len(samples) == 2 * RATE
    assert correlation(samples, speechlike(2.0)) > 0.999


@pytest.mark.parametrize("rate", [RATE, 44_100])
def test_stream_is_the_whole_file_in_equal_blocks(tmp_path: Path, rate: int) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, speechlike(5.3, rate), rate, subtype="FLOAT")
    blocks = list(stream_audio(path, block_seconds=1.0))
    assert [len(block) for block in blocks[:-1]] == [RATE] * 5
    assert abs(sum(map(len, blocks)) - round(5.3 * RATE)) <= 1
    whole = read_audio(path)
    np.testing.assert_allclose(np.concatenate(blocks)[: len(whole)], whole, atol=1e-3)


def test_mp3_longer_than_one_block_has_no_gaps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "long.mp3"
    soundfile.write(path, speechlike(6.0), RATE)
    whole = read_audio(path)
    monkeypatch.setattr("asr_adapt.audio.libsndfile.BLOCK_SAMPLES", 10_000)
    np.testing.assert_allclose(read_audio(path), whole, atol=1e-6)


def test_streams_and_pipes_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    soundfile.write(path, speechlike(), RATE)
    content = path.read_bytes()
    np.testing.assert_array_equal(read_audio(io.BytesIO(content)), read_audio(path))
    receiving, sending = os.pipe()
    writer = threading.Thread(target=lambda: (os.write(sending, content), os.close(sending)))
    writer.start()
    with os.fdopen(receiving, "rb") as pipe:
        np.testing.assert_array_equal(read_audio(pipe), read_audio(path))
    writer.join()


def damaged(folder: Path, kind: str) -> Path:
    path = folder / "x.wav"
    if kind == "empty":
        path.touch()
    elif kind == "text":
        path.write_text("this is not audio at all\n" * 20)
    elif kind == "header-only":
        soundfile.write(path, np.zeros(0, dtype=np.float32), RATE)
    elif kind == "nan":
        samples = speechlike()
        samples[100] = np.nan
        soundfile.write(path, samples, RATE, subtype="FLOAT")
    elif kind == "folder":
        path.mkdir()
    elif kind == "playlist":
        path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n/etc/hostname\n#EXT-X-ENDLIST\n")
    return path


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing", "cannot be opened"),
        ("empty", "is empty"),
        ("text", "is not audio"),
        ("header-only", "no samples"),
        ("nan", "NaN"),
        ("folder", "is a folder"),
        ("playlist", "is not audio"),
    ],
)
def test_damaged_files_are_named_in_one_sentence(tmp_path: Path, kind: str, message: str) -> None:
    path = damaged(tmp_path, kind)
    with pytest.raises(AudioError, match=message) as caught:
        read_audio(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(AudioError, match=message):
        list(stream_audio(path))


def test_header_without_bits_is_named(tmp_path):
    path = tmp_path / "bits.wav"
    sizes = struct.pack("<IHHIIHH", 16, 1, 1, 16_000, 0, 0, 0)
    path.write_bytes(b"RIFF" + struct.pack("<I", 136) + b"WAVEfmt " + sizes + b"data" + bytes(104))
    with pytest.raises(AudioError, match=r"bits\.wav: its header names no known coding"):
        read_audio(path)
