"""Streams through real recognisers: chunk sizes, silence, what is left at the end."""

from __future__ import annotations

import numpy as np
import pytest

import asr_adapt
from asr_adapt.decoding import Decoding
from asr_adapt.errors import UsageError
from asr_adapt.transcription.live import LiveStream

RATE = 16_000
#: Tones are no speech to a detector.
ALL = Decoding(segmenter="windows")
SPOKEN = "bad cafe feed a gag dab abba fade cab babe deaf egg"


def parts(sound, size):
    return [sound[i : i + size] for i in range(0, len(sound), size)]


def heard(recogniser, sound, size, decoding=ALL, **more):
    """The updates and the transcript of ``sound`` in blocks of ``size`` samples."""
    stream = LiveStream(recogniser, decoding, **more)
    updates = [update for block in parts(sound, size) for update in stream.feed(block)]
    updates += stream.finish()
    return updates, stream.transcript("x")


@pytest.mark.parametrize("size", [160, 1000, 16_000, 50_001, 10**7])
def test_a_ctc_stream_gives_every_word_whatever_the_blocks(tone_recogniser, say, size):
    updates, transcript = heard(tone_recogniser, say(SPOKEN), size, step=0.5)
    assert transcript.text == SPOKEN
    assert " ".join(word.text for update in updates for word in update.words) == SPOKEN
    assert updates[-1].tentative == ()


def test_words_come_long_before_the_end_and_never_before_their_sound(tone_recogniser, say):
    sound = say(SPOKEN)
    updates, _ = heard(tone_recogniser, sound, 1600)
    assert updates[0].heard < 1.1
    assert any(update.words for update in updates if update.heard < len(sound) / RATE / 2)
    assert all(word.end <= update.heard + 0.05 for update in updates for word in update.words)


def test_a_pause_ends_a_line_and_silence_is_not_heard(tone_recogniser, say):
    gap = np.zeros(3 * RATE, np.float32)
    sound = np.concatenate([say("bad cafe"), gap, say("feed"), gap])
    stream = LiveStream(tone_recogniser, Decoding(segmenter="energy"), step=0.5)
    updates = [update for block in parts(sound, 800) for update in stream.feed(block)]
    assert [segment.text for update in updates for segment in update.segments] == ["bad cafe", "feed"]
    assert list(stream.finish()) == []
    most = (len(say("bad cafe")) + len(say("feed"))) / RATE / 0.5 + 4
    assert stream.hearings <= most


def test_hearings_that_are_left_out_lose_no_word(tone_recogniser, say):
    stream = LiveStream(tone_recogniser, ALL, step=0.5, may_skip=lambda second: True)
    words = [w.text for block in parts(say(SPOKEN * 3), 1600) for u in stream.feed(block) for w in u.words]
    words += [w.text for u in stream.finish() for w in u.words]
    assert " ".join(words) == SPOKEN * 3


def test_sound_in_which_no_speech_is_found(tone_recogniser, say):
    """A short one is heard whole; of a longer one it is said."""
    deaf = Decoding(segmenter="silero", speech_threshold=0.999)
    _, transcript = heard(tone_recogniser, say("bad"), 1600, deaf)
    assert transcript.text == "bad"
    _, transcript = heard(tone_recogniser, say("bad cafe " * 3), 1600, deaf)
    assert transcript.text == "" and "--segmenter windows" in transcript.warnings[0]


def test_the_front_door(tone_model, say):
    one = asr_adapt.load(tone_model, device="cpu", decoding=ALL)
    double = np.repeat(say("bad cafe"), 2)
    updates = list(one.live(parts(double, 3200), step=0.5, sample_rate=2 * RATE))
    assert isinstance(updates[0], asr_adapt.LiveUpdate)
    assert " ".join(w.text for u in updates for w in u.words) == "bad cafe"
    assert list(one.live([])) == []


@pytest.mark.parametrize(
    ("decoding", "step"),
    [
        (Decoding(diarize=True), 1.0),
        (Decoding(clips=((0.0, 1.0),)), 1.0),
        (Decoding(condition_on_previous_text=True), 1.0),
        (Decoding(), 0.01),
    ],
)
def test_what_only_recordings_have_is_refused_at_once(tone_recogniser, decoding, step):
    with pytest.raises(UsageError):
        LiveStream(tone_recogniser, decoding, step=step)


@pytest.mark.pretrained
@pytest.mark.realdata
def test_whisper_by_agreement_whatever_the_blocks(whisper_tiny_en, real_data):
    """Two sentences of real speech: the same words for all blocks, few others than of the whole recording."""
    from rapidfuzz.distance import Levenshtein

    from asr_adapt.audio import read_audio
    from asr_adapt.manifest import Manifest
    from asr_adapt.text import normalise

    rows = list(Manifest.open(real_data / "librispeech_other" / "manifest.jsonl"))[1:3]
    gap = np.zeros(RATE, np.float32)
    sound = np.concatenate([part for row in rows for part in (read_audio(row.audio_path), gap)])
    recogniser = asr_adapt.load(whisper_tiny_en, device="cpu", compute_type="float32").recogniser
    texts = [heard(recogniser, sound, size, Decoding(), step=2.0)[1].text for size in (1600, 24_000)]
    assert texts[0] == texts[1]
    said = normalise(" ".join(row.text for row in rows), "basic").split()
    wrong = Levenshtein.distance(normalise(texts[0], "basic").split(), said)
    assert wrong <= 0.2 * len(said)
