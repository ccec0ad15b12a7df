"""Files joined end to end are one sound: in every format, whole, in segments, from a stream or a shard."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr_adapt.audio import probe, read_audio, stream_audio
from asr_adapt.audio.health import measure_health
from tests.audio.sounds import RATE, pitch_at, tone, write_media

PITCHES = (400, 900, 1500)
SECONDS = 1.5
FORMATS = ("wav", "aiff", "flac", "ogg", "opus", "mp3", "m4a", "webm", "aac")


def one(folder: Path, suffix: str, pitch: int, rate: int = RATE) -> Path:
    path = folder / f"{pitch}.{suffix}"
    if suffix in ("m4a", "webm", "aac"):
        codec = "libopus" if suffix == "webm" else "aac"
        form = {"aac": "adts"}.get(suffix)
        rate = 48_000 if suffix == "webm" else rate
        sound = tone(pitch, SECONDS, rate)
        return write_media(path, codec, [(0.0, sound)], rate=rate, container_format=form)
    subtype = "OPUS" if suffix == "opus" else None
    form = "OGG" if suffix == "opus" else None
    soundfile.write(path, tone(pitch, SECONDS, rate), rate, format=form, subtype=subtype)
    return path


def joined(folder: Path, *parts: Path) -> Path:
    path = folder / f"all{parts[0].suffix}"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_part_is_heard_at_its_time(tmp_path, suffix):
    path = joined(tmp_path, *(one(tmp_path, suffix, pitch) for pitch in PITCHES))
    length = probe(path).duration
    assert length == pytest.approx(3 * SECONDS, abs=0.3)
    samples = read_audio(path)
    assert len(samples) / RATE == pytest.approx(length, abs=0.15)
    for number, pitch in enumerate(PITCHES):
        assert pitch_at(samples, length / 3 * (number + 0.4)) == pytest.approx(pitch, abs=15)
    np.testing.assert_allclose(np.concatenate(list(stream_audio(path))), samples, atol=1e-3)


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
def test_a_segment_may_lie_behind_the_first_part_or_across_the_seam(tmp_path, suffix):
    path = joined(tmp_path, *(one(tmp_path, suffix, pitch) for pitch in PITCHES))
    behind = read_audio(path, offset=2 * SECONDS + 0.3, duration=0.5)
    assert len(behind) == RATE // 2
    assert pitch_at(behind, 0.1) == pytest.approx(PITCHES[2], abs=15)
    across = read_audio(path, offset=SECONDS - 0.5, duration=1.0)
    assert pitch_at(across, 0.1) == pytest.approx(PITCHES[0], abs=15)
    assert pitch_at(across, 0.7) == pytest.approx(PITCHES[1], abs=15)


def test_the_same_file_twice_is_twice_the_sound(tmp_path):
    for suffix in ("ogg", "flac", "mp3"):
        part = one(tmp_path, suffix, 700)
        assert probe(joined(tmp_path, part, part)).duration == pytest.approx(2 * SECONDS, abs=0.1)


def test_parts_of_other_rates_and_channels_take_those_of_the_first(tmp_path):
    first, second = tmp_path / "a.flac", tmp_path / "b.flac"
    soundfile.write(first, tone(400, 1.0, 44_100), 44_100)
    soundfile.write(second, np.stack([tone(900, 1.0, 8_000)] * 2, axis=1), 8_000)
    samples = read_audio(joined(tmp_path, first, second), sample_rate=RATE)
    assert len(samples) / RATE == pytest.approx(2.0, abs=0.01)
    assert pitch_at(samples, 0.5) == pytest.approx(400, abs=10)
    assert pitch_at(samples, 1.5) == pytest.approx(900, abs=10)


def test_tags_between_parts_are_no_sound_and_no_end(tmp_path):
    part, other = one(tmp_path, "mp3", 400), one(tmp_path, "mp3", 900)
    tag = b"ID3\x04\x00\x00\x00\x00\x02\x00" + bytes(256)
    path = tmp_path / "tagged.mp3"
    old_tag = b"TAG" + bytes(125)
    path.write_bytes(tag + part.read_bytes() + old_tag + tag + other.read_bytes() + old_tag)
    samples = read_audio(path)
    assert pitch_at(samples, 0.5) == pytest.approx(400, abs=15)
    assert pitch_at(samples, SECONDS + 0.6) == pytest.approx(900, abs=15)


def test_a_stream_and_a_member_of_a_shard_are_joined_too(tmp_path):
    path = joined(tmp_path, one(tmp_path, "flac", 400), one(tmp_path, "flac", 900))
    whole = read_audio(path)
    np.testing.assert_array_equal(read_audio(io.BytesIO(path.read_bytes())), whole)
    with tarfile.open(tmp_path / "shard.tar", "w") as shard:
        shard.add(path, "all.flac")
    np.testing.assert_array_equal(read_audio(tmp_path / "shard.tar" / "all.flac"), whole)


def test_a_broken_part_is_named_and_the_others_are_heard(tmp_path):
    parts = [one(tmp_path, "flac", pitch) for pitch in PITCHES]
    content = [part.read_bytes() for part in parts]
    content[1] = content[1][:8] + bytes(len(content[1]) - 8)  # a marker, and a header of zeros
    path = tmp_path / "broken.flac"
    path.write_bytes(b"".join(content))
    remarks: list[str] = []
    samples = read_audio(path, remark=remarks.append)
    assert pitch_at(samples, SECONDS + 0.5) == pytest.approx(PITCHES[2], abs=15)
    assert len(remarks) == 1
    assert "part 2 of the joined files is left out" in remarks[0]


def test_a_picture_or_text_that_looks_like_a_header_is_no_part(tmp_path):
    path = tmp_path / "a.flac"
    soundfile.write(path, tone(400, 1.0), RATE)
    path.write_bytes(path.read_bytes() + b"fLaC is the marker; OggS\x00\x02, RIFF....WAVE and ID3 are others")
    assert probe(path).duration == pytest.approx(1.0)
    assert len(read_audio(path)) == RATE


def test_the_health_of_a_joined_file_is_that_of_all_parts(tmp_path):
    path = joined(tmp_path, one(tmp_path, "flac", 400), one(tmp_path, "flac", 900))
    health = measure_health(path)
    assert (health.claimed, health.duration) == (pytest.approx(2 * SECONDS), pytest.approx(2 * SECONDS))
