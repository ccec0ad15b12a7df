"""What a header promises against what is there: unknown and false lengths, cut files, damaged packets."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr_adapt.audio import AudioError, probe, read_audio, stream_audio
from asr_adapt.audio.structure import examine
from tests.audio.sounds import RATE, pitch_at, tone, write_media

SECONDS = 4.0


def sound(rate: int = RATE) -> np.ndarray:
    """A tone in a little noise, which no codec packs into one page."""
    samples = tone(600, SECONDS, rate)
    return samples + 0.02 * np.random.default_rng(0).standard_normal(len(samples)).astype(np.float32)


def recording(folder: Path, suffix: str) -> Path:
    path = folder / f"a.{suffix}"
    if suffix in ("m4a", "webm"):
        rate = 48_000 if suffix == "webm" else RATE
        codec = "libopus" if suffix == "webm" else "aac"
        return write_media(path, codec, [(0.0, sound(rate))], rate=rate)
    subtype = "OPUS" if suffix == "opus" else None
    soundfile.write(path, sound(), RATE, format="OGG" if suffix == "opus" else None, subtype=subtype)
    return path


def cut(path: Path, share: float) -> Path:
    content = path.read_bytes()
    shorter = path.with_name(f"cut{path.suffix}")
    shorter.write_bytes(content[: int(len(content) * share)])
    return shorter


@pytest.mark.parametrize("suffix", ["wav", "aiff", "flac", "ogg", "opus", "mp3"])
def test_a_cut_file_is_heard_up_to_the_cut_and_the_loss_is_said(tmp_path, suffix):
    path = cut(recording(tmp_path, suffix), 0.6)
    remarks: list[str] = []
    samples = read_audio(path, remark=remarks.append)
    assert 0.25 * SECONDS < len(samples) / RATE < 0.8 * SECONDS
    assert pitch_at(samples, 0.5) == pytest.approx(600, abs=10)
    assert any("ends early" in remark for remark in remarks), remarks
    streamed = np.concatenate(list(stream_audio(path, remark=[].append)))
    np.testing.assert_allclose(streamed, samples, atol=1e-3)


def test_without_a_listener_damage_is_an_error_and_a_missing_end_is_logged(tmp_path, caplog):
    with pytest.raises(AudioError, match="decoding stopped in the middle of the file"):
        read_audio(cut(recording(tmp_path, "flac"), 0.6))
    short = cut(recording(tmp_path, "mp3"), 0.6)
    assert len(read_audio(short))
    assert len(read_audio(short))
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 1, "once for each file, not once for each reading"
    assert "cut.mp3: ends early: its header promises 4.0 s" in said[0]


def test_a_whole_file_gives_no_remark(tmp_path):
    for suffix in ("wav", "aiff", "flac", "ogg", "opus", "mp3", "m4a", "webm"):
        remarks: list[str] = []
        read_audio(recording(tmp_path, suffix), remark=remarks.append)
        assert not remarks, suffix


@pytest.mark.parametrize("suffix", ["flac", "m4a"])
def test_behind_damaged_packets_the_sound_keeps_its_time(tmp_path, suffix):
    samples = np.concatenate([sound(), tone(1200, 1.0)])
    path = tmp_path / f"a.{suffix}"
    if suffix == "flac":
        soundfile.write(path, samples, RATE)
    else:
        write_media(path, "aac", [(0.0, samples)])
    content = bytearray(path.read_bytes())
    middle = len(content) // 3
    content[middle : middle + len(content) // 12] = bytes(len(content) // 12)
    path.write_bytes(content)
    remarks: list[str] = []
    samples = read_audio(path, remark=remarks.append)
    assert len(samples) / RATE == pytest.approx(SECONDS + 1.0, abs=0.3)
    assert pitch_at(samples, SECONDS + 0.4) == pytest.approx(1200, abs=20)
    if suffix == "flac":  # AAC frames of zeros are valid silence
        assert "is damaged" in remarks[0]


def wav_with_length(path: Path, length: int, samples: np.ndarray) -> Path:
    raw = (samples * 32000).astype("<i2").tobytes()
    sizes = struct.pack("<IHHIIHH", 16, 1, 1, RATE, 2 * RATE, 2, 16)
    riff = b"RIFF" + struct.pack("<I", length) + b"WAVEfmt " + sizes
    path.write_bytes(riff + b"data" + struct.pack("<I", length) + raw)
    return path


@pytest.mark.parametrize("length", [0, 0xFFFFFFFF, 0x7FFFFFFF])
def test_a_length_that_a_recorder_never_wrote_means_to_the_end(tmp_path, length):
    path = wav_with_length(tmp_path / "a.wav", length, tone(500, 2.0))
    assert probe(path).duration == pytest.approx(2.0, abs=0.05)
    remarks: list[str] = []
    samples = read_audio(path, remark=remarks.append)
    assert len(samples) == 2 * RATE
    assert not remarks
    part = read_audio(path, offset=0.5, duration=0.5)
    assert len(part) == RATE // 2


def test_a_flac_that_does_not_know_its_length_is_counted(tmp_path):
    path = tmp_path / "piped.flac"
    soundfile.write(path, tone(500, 2.0), RATE)
    content = bytearray(path.read_bytes())
    content[21] &= 0xF0
    content[22:26] = bytes(4)  # total samples: unknown
    path.write_bytes(content)
    assert probe(path).duration == pytest.approx(2.0)
    assert len(read_audio(path)) == 2 * RATE


def test_raw_aac_is_as_long_as_its_packets_not_as_its_bit_rate_suggests(tmp_path):
    quiet_then_loud = np.concatenate([np.zeros(20 * RATE, np.float32), sound()])
    path = write_media(tmp_path / "a.aac", "aac", [(0.0, quiet_then_loud)], container_format="adts")
    assert probe(path).duration == pytest.approx(24.0, abs=0.3)
    assert len(read_audio(path)) / RATE == pytest.approx(24.0, abs=0.3)


def test_a_recording_that_was_never_finished_says_why(tmp_path):
    path = cut(recording(tmp_path, "m4a"), 0.5)
    with pytest.raises(AudioError) as caught:
        read_audio(path)
    assert "moov" in str(caught.value) or "Invalid data" in str(caught.value)
    assert str(caught.value).count("cut.m4a") == 1


@pytest.mark.parametrize(("suffix", "share"), [("wav", 0.5), ("aiff", 0.5), ("m4a", 0.5), ("mp3", 0.5)])
def test_the_structure_counts_the_bytes_that_are_missing(tmp_path, suffix, share):
    whole = recording(tmp_path, suffix)
    path = cut(whole, share)
    with path.open("rb") as handle:
        missing = examine(handle).missing
    gone = whole.stat().st_size - path.stat().st_size
    assert 0 < missing <= gone
