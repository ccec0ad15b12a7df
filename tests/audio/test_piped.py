"""Sound through a pipe: every kind of WAV, raw samples, what is refused."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
import soundfile

from asr_adapt.audio.piped import piped_audio
from asr_adapt.audio.types import AudioError

RATE = 16_000
SOUND = (0.5 * np.sin(np.arange(RATE) / 9)).astype(np.float32)


class Pipe:
    """Gives at most ``most`` bytes at once, as pipes do."""

    def __init__(self, raw: bytes, most: int) -> None:
        self.left, self.most = io.BytesIO(raw), most

    def read(self, size: int) -> bytes:
        return self.left.read(min(size, self.most))


def wav(samples, rate=RATE, subtype="PCM_16", format="WAV") -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format=format, subtype=subtype)
    return buffer.getvalue()


def through(raw: bytes, most: int = 1000, **more) -> np.ndarray:
    return np.concatenate([np.zeros(0, np.float32), *piped_audio(Pipe(raw, most), RATE, **more)])


@pytest.mark.parametrize("most", [1, 7, 100_000])
@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
def test_every_kind_of_number(subtype, most):
    sound = SOUND[:2000]
    found = through(wav(sound, subtype=subtype), most)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, sound, atol=1 / 127 if subtype == "PCM_U8" else 2**-14)


def test_extensible_header_other_rates_and_channels():
    both = np.stack([SOUND, np.zeros_like(SOUND)], axis=1)
    raw = wav(both, format="WAVEX")
    np.testing.assert_allclose(through(raw), SOUND / 2, atol=2**-14)
    np.testing.assert_allclose(through(raw, channel=0), SOUND, atol=2**-14)
    with pytest.raises(AudioError, match="no channel 2"):
        through(raw, channel=2)
    found = through(wav(np.repeat(SOUND, 3), 3 * RATE))
    assert abs(len(found) - len(SOUND)) <= 1
    assert np.abs(found[100:-100] - SOUND[100 : len(found) - 100]).max() < 0.1


def test_raw_samples_and_an_odd_byte():
    raw = (SOUND * 32767).astype("<i2").tobytes()
    remarks: list[str] = []
    np.testing.assert_allclose(through(raw + b"x", 999, remark=remarks.append), SOUND, atol=2**-14)
    assert remarks == ["the last 1 bytes are no whole sample and were left out."]
    assert len(through(b"")) == 0 and len(through(b"ab")) == 1


@pytest.mark.parametrize("length", [0, 0xFFFFFFFF, 0x80000000])
def test_a_recorder_that_does_not_know_its_length(length):
    raw = bytearray(wav(SOUND))
    place = raw.index(b"data") + 4
    raw[place : place + 4] = struct.pack("<I", length)
    assert len(through(bytes(raw))) == len(SOUND)


def test_what_stands_behind_the_samples_is_no_sound():
    assert len(through(wav(SOUND) + b"LIST" + struct.pack("<I", 400) + bytes(400))) == len(SOUND)


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (wav(SOUND, format="FLAC"), "is FLAC"),
        (wav(SOUND, subtype="VORBIS", format="OGG"), "is Ogg"),
        (b"ID3\x04" + bytes(100), "is MP3"),
        (b"\x00\x00\x00\x20ftypM4A " + bytes(100), "is MP4"),
        (wav(SOUND, subtype="MS_ADPCM"), "format 2"),
        (wav(SOUND)[:30], "ends inside its WAV header"),
        (b"RIFF\x00\x00\x00\x00WAVEdata\x10\x00\x00\x00" + bytes(16), "names no format"),
        (b"RIFF\x00\x00\x00\x00WAVEfmt \xff\xff\xff\x7f" + bytes(16), "its header has no end"),
    ],
)
def test_what_cannot_be_read_as_it_comes_is_refused(raw, says):
    with pytest.raises(AudioError, match=says):
        through(raw)
