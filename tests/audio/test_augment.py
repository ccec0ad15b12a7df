"""Augmentation does what it says, and is a function of seed, epoch and utterance id alone."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr_adapt.audio import AudioError
from asr_adapt.audio.augment import (
    CODECS,
    Augmenter,
    BandLimit,
    Codec,
    Gain,
    Noise,
    Room,
    Speed,
)

RATE = 16_000


def tone(seconds: float = 1.0, hertz: float = 440.0) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)


def peak_hertz(samples: np.ndarray) -> float:
    return float(np.argmax(np.abs(np.fft.rfft(samples))) * RATE / len(samples))


def rng() -> np.random.Generator:
    return np.random.default_rng(5)


@pytest.fixture
def noises(tmp_path: Path) -> Path:
    folder = tmp_path / "noises" / "kitchen"
    folder.mkdir(parents=True)
    for number in range(3):
        noise = 0.05 * np.random.default_rng(number).standard_normal(5_000 + 20_000 * number)
        soundfile.write(folder / f"{number}.flac", noise, 22_050)
    return tmp_path / "noises"


@pytest.mark.parametrize("factor", [0.9, 1.1])
def test_speed_changes_length_and_pitch(factor: float) -> None:
    fast = Speed(factors=(factor,))(tone(), RATE, rng())
    assert len(fast) == pytest.approx(RATE / factor, abs=2)
    assert peak_hertz(fast) == pytest.approx(440 * factor, abs=2)
    augmenter = Augmenter((Speed(),))
    assert (augmenter.shortest, augmenter.longest) == pytest.approx((1 / 1.1, 1 / 0.9))


@pytest.mark.parametrize("snr", [0.0, 20.0])
def test_noise_has_the_wanted_ratio(noises: Path, snr: float) -> None:
    added = Noise(noises, snr=(snr, snr))(tone(), RATE, rng()) - tone()
    assert 10 * np.log10(np.mean(tone() ** 2) / np.mean(added**2)) == pytest.approx(snr, abs=0.1)


def test_a_room_keeps_place_and_level(tmp_path: Path) -> None:
    response = np.zeros(8_000)
    response[300] = 1.0
    response[300 + 1_600] = 0.5
    soundfile.write(tmp_path / "hall.wav", response, RATE)
    click = np.zeros(RATE, dtype=np.float32)
    click[4_000] = 0.5
    wet = Room(tmp_path)(click, RATE, rng())
    assert len(wet) == RATE
    assert int(np.argmax(np.abs(wet))) == 4_000
    assert abs(wet[5_600] / wet[4_000]) == pytest.approx(0.5, abs=0.01)
    assert np.mean(wet**2) == pytest.approx(np.mean(click**2), rel=1e-4)


def test_gain_stays_within_full_scale() -> None:
    assert np.abs(Gain((60.0, 60.0))(tone(), RATE, rng())).max() <= 1.0
    np.testing.assert_allclose(Gain((-20.0, -20.0))(tone(), RATE, rng()), 0.1 * tone(), rtol=1e-5)


def test_band_limiting_removes_what_a_telephone_does() -> None:
    mixed = tone(hertz=1_000) + tone(hertz=6_000)
    spectrum = np.abs(np.fft.rfft(BandLimit()(mixed, RATE, rng())))
    assert spectrum[6_000] < 1e-3 * spectrum[1_000]
    np.testing.assert_array_equal(BandLimit()(mixed, 8_000, rng()), mixed)


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize("rate", [8_000, RATE, 22_050])
def test_codecs_keep_length_and_speech_but_not_samples(name: str, rate: int) -> None:
    samples = tone()
    coded = Codec((name,))(samples, rate, rng())
    assert coded.shape == samples.shape
    assert coded.dtype == np.float32
    lags = np.correlate(coded[2_000:-2_000], samples[3_000:-3_000], "valid")
    energy = np.sqrt(np.sum(samples[3_000:-3_000] ** 2) * np.sum(coded[2_000:-2_000] ** 2))
    assert lags.max() / energy > 0.7
    assert not np.array_equal(coded, samples)


def every_step(noises: Path) -> Augmenter:
    steps = (
        Speed(),
        Noise(noises, probability=0.9),
        Room(noises),
        Gain(),
        BandLimit(),
        Codec(probability=0.5),
    )
    return Augmenter(steps, seed=3)


def test_augmentation_depends_on_seed_epoch_and_id_alone(noises: Path) -> None:
    augment = every_step(noises)
    names = [f"u{number}" for number in range(12)]
    once = {name: augment(tone(), RATE, epoch=2, utterance_id=name) for name in names}
    for name in reversed(names):
        np.testing.assert_array_equal(augment(tone(), RATE, epoch=2, utterance_id=name), once[name])
    changed = [
        not np.array_equal(augment(tone(), RATE, epoch=3, utterance_id=name), once[name]) for name in names
    ]
    assert sum(changed) >= 10
    other = Augmenter(augment.steps, seed=4)
    assert not all(
        np.array_equal(other(tone(), RATE, epoch=2, utterance_id=name), once[name]) for name in names
    )


def test_a_step_more_leaves_the_others_alone(noises: Path) -> None:
    noise = Noise(noises, probability=1.0)
    alone = Augmenter((noise,))(tone(), RATE, epoch=0, utterance_id="u")
    behind = Augmenter((Gain(probability=0.0), noise))(tone(), RATE, epoch=0, utterance_id="u")
    np.testing.assert_array_equal(alone, behind)


def test_another_process_hears_the_same(noises: Path) -> None:
    program = f"""
import hashlib, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from test_augment import every_step, tone
heard = every_step(Path({str(noises)!r}))(tone(), 16000, epoch=1, utterance_id='ü')
print(hashlib.sha256(heard.tobytes()).hexdigest())
"""
    here = every_step(noises)(tone(), RATE, epoch=1, utterance_id="ü").tobytes()
    there = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert there.stdout.strip() == hashlib.sha256(here).hexdigest()


def test_probability_is_kept() -> None:
    augment = Augmenter((Gain((-20.0, -20.0), probability=0.3),))
    touched = [
        not np.array_equal(augment(tone(0.1), RATE, epoch=0, utterance_id=str(number)), tone(0.1))
        for number in range(600)
    ]
    assert np.mean(touched) == pytest.approx(0.3, abs=0.06)


def test_wrong_settings_are_named(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="holds no audio to augment with"):
        Noise(tmp_path)(tone(), RATE, rng())
    with pytest.raises(ValueError, match="not among mp3"):
        Codec(("amr",))
