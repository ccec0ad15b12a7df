"""The file's own clock: late starts, missing packets, several tracks."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from asr_adapt.audio import AudioError, probe, read_audio
from asr_adapt.audio.timeline import FrameClock, on_clock
from tests.audio.sounds import RATE, pitch_at, tone, write_media

CONTAINERS = [("mkv", None), ("mp4", None), ("ts", "mpegts"), ("mov", None)]


@pytest.mark.parametrize(("suffix", "form"), CONTAINERS)
def test_sound_that_starts_late_keeps_its_time(tmp_path, suffix, form):
    path = tmp_path / f"late.{suffix}"
    write_media(path, "aac", [(3.0, tone(800, 2.0))], video=5.0, container_format=form)
    samples = read_audio(path)
    assert pitch_at(samples, 2.5) == 0
    assert pitch_at(samples, 3.4) == pytest.approx(800, abs=15)
    assert len(samples) / RATE == pytest.approx(5.0, abs=0.2)
    part = read_audio(path, offset=3.5, duration=0.5)
    assert pitch_at(part, 0.1) == pytest.approx(800, abs=15)
    before = read_audio(path, offset=2.0, duration=1.5)
    assert len(before) == round(1.5 * RATE)
    assert pitch_at(before, 0.2) == 0
    assert pitch_at(before, 1.25) == pytest.approx(800, abs=15)


@pytest.mark.parametrize("suffix", ["mkv", "mka"])
def test_where_packets_are_missing_there_is_silence(tmp_path, suffix):
    path = tmp_path / f"gap.{suffix}"
    write_media(path, "aac", [(0.0, tone(500, 2.0)), (4.0, tone(1000, 2.0))])
    samples = read_audio(path)
    assert len(samples) / RATE == pytest.approx(6.0, abs=0.2)
    heard = [pitch_at(samples, second) for second in (1.0, 3.0, 5.0)]
    assert heard == [pytest.approx(500, abs=15), 0, pytest.approx(1000, abs=15)]
    assert pitch_at(read_audio(path, offset=4.5, duration=0.5), 0.1) == pytest.approx(1000, abs=15)


def place(stamped, *, start=0, stop=None, end=1e9, on_jump=lambda seconds: None):
    blocks = [(stamp, np.full((10, 1), value, np.float32)) for stamp, value in stamped]
    found = list(on_clock(blocks, FrameClock(10, end, on_jump), start, stop))
    return np.concatenate(found)[:, 0].tolist() if found else []


def test_stamps_that_go_back_or_shake_lose_no_sample():
    assert place([(0, 1), (11, 2), (19, 3)]) == [1] * 10 + [2] * 10 + [3] * 10
    assert place([(0, 1), (10, 2), (0, 3), (20, 4)]) == [1] * 10 + [2] * 10 + [3] * 10 + [0] * 10 + [4] * 10


def test_a_gap_longer_than_the_file_is_not_believed():
    jumps: list[float] = []
    assert (
        place([(0, 1), (5000, 2), (5010, 3)], end=100, on_jump=jumps.append) == [1] * 10 + [2] * 10 + [3] * 10
    )
    assert jumps == [499.0]


def test_a_segment_may_end_in_a_gap():
    assert place([(0, 1), (30, 2)], start=5, stop=20) == [1] * 5 + [0] * 10


def two_tracks(path, default):
    french, english = [(0.0, tone(400, 2.0))], [(0.0, tone(1100, 2.0))]
    return write_media(path, "aac", french, english, languages=("fra", "eng"), default=default)


@pytest.mark.parametrize(("default", "pitch"), [(1, 1100), (0, 400)])
def test_the_default_track_is_heard_and_the_others_are_named(tmp_path, default, pitch):
    path = two_tracks(tmp_path / "film.mkv", default)
    remarks: list[str] = []
    assert pitch_at(read_audio(path, remark=remarks.append), 1.0) == pytest.approx(pitch, abs=15)
    assert remarks == [f"holds 2 audio tracks (0: fra, 1: eng); track {default} is used"]
    assert probe(path).track == default


@pytest.mark.parametrize(("track", "pitch"), [("0", 400), ("1", 1100), ("eng", 1100), ("FR", 400)])
def test_a_track_is_chosen_by_number_or_language(tmp_path, track, pitch):
    remarks: list[str] = []
    samples = read_audio(two_tracks(tmp_path / "film.mkv", 1), track=track, remark=remarks.append)
    assert pitch_at(samples, 1.0) == pytest.approx(pitch, abs=15)
    assert not remarks


def test_a_track_that_is_not_there_is_an_error_that_lists_them(tmp_path):
    path = two_tracks(tmp_path / "film.mkv", 1)
    for track in ("2", "deu"):
        with pytest.raises(AudioError, match=r"no audio track .*; its tracks are 0 \(fra\), 1 \(eng\)"):
            read_audio(path, track=track)
    plain = tmp_path / "a.wav"
    soundfile.write(plain, tone(400, 0.5), RATE)
    assert len(read_audio(plain, track="0")) == len(read_audio(plain, track="eng")) == RATE // 2
    with pytest.raises(AudioError, match="its only track is 0"):
        read_audio(plain, track="1")
