"""Two channels into one: opposite ones are not silence, unlike ones are mixed."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from asr_adapt.audio import read_audio, stream_audio
from asr_adapt.audio.health import measure_health
from tests.audio.sounds import RATE, pitch_at, tone


@pytest.fixture
def stereo(tmp_path):
    def write(left, right, suffix="wav"):
        path = tmp_path / f"stereo.{suffix}"
        soundfile.write(path, np.stack([left, right], axis=1), RATE)
        return path

    return write


@pytest.mark.parametrize("suffix", ["wav", "mp3", "ogg"])
def test_inverted_channels_are_heard_and_said(stereo, suffix):
    left = tone(700, 2.0)
    path = stereo(left, -0.95 * left, suffix)
    remarks: list[str] = []
    samples = read_audio(path, remark=remarks.append)
    assert pitch_at(samples, 1.0) == pytest.approx(700, abs=10)
    assert np.abs(samples).max() > 0.3
    assert len(remarks) == 1
    assert "cancel" in remarks[0]
    assert pitch_at(np.concatenate(list(stream_audio(path))), 1.0) == pytest.approx(700, abs=10)
    assert measure_health(path).level > -20


def test_unlike_and_equal_channels_are_averaged(stereo):
    left, right = tone(400, 1.0), tone(1100, 1.0)
    remarks: list[str] = []
    for pair in ((left, right), (left, left), (left, 0 * left), (left, -0.3 * left)):
        path = stereo(*pair)
        expected = (pair[0] + pair[1]) / 2
        np.testing.assert_allclose(read_audio(path, remark=remarks.append), expected, atol=1e-4)
    assert not remarks


def test_the_health_of_one_channel_is_not_that_of_the_other(stereo):
    path = stereo(tone(400, 1.0), np.zeros(RATE, np.float32))
    one, other, both = (measure_health(path, channel=channel) for channel in (0, 1, None))
    assert len({one.digest, other.digest, both.digest}) == 3
    assert one.level > -12
    assert other.level < -100
    assert one.channel_gap == -np.inf
