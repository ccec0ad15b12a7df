"""The run over real files with a real (tiny) recogniser: batches, long audio, failures, journals."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest
import soundfile

from asr_adapt import Decoding, stream, transcribe
from asr_adapt.errors import UsageError
from asr_adapt.transcription import Engine, Source
from asr_adapt.transcription.batching import batches

RATE = 16_000


def words(count: int, seed: int = 0) -> str:
    rng = random.Random(seed)
    return " ".join("".join(rng.choices("abcdefg", k=rng.randint(2, 5))) for _ in range(count))


@pytest.mark.parametrize("segmenter", ["windows", "energy"])
@pytest.mark.parametrize("pause", [0.05, 0.3])
def test_long_audio_loses_and_doubles_no_word(tone_recogniser, speak, segmenter, pause):
    """Two minutes of known words against a window of 20 s."""
    said = words(180)
    path = speak("long.wav", said, pause=pause)
    got = transcribe(path, model=tone_recogniser, decoding=Decoding(segmenter=segmenter))
    assert got.text == said
    assert got.duration == pytest.approx(soundfile.info(path).duration)


@pytest.mark.parametrize("window", [8.0, 9.3, 13.1])
def test_window_length_changes_nothing(tone_recogniser, speak, window):
    said = words(60, seed=2)
    path = speak("x.wav", said, pause=0.1)
    assert transcribe(path, model=tone_recogniser, decoding=Decoding(window_seconds=window)).text == said


def test_same_transcripts_for_every_batch_and_company(tone_recogniser, speak):
    paths = [speak(f"{n}.wav", words(n + 1, seed=n)) for n in range(12)]
    alone = [transcribe(path, model=tone_recogniser) for path in paths]
    for size in (1, 8, 32):
        together = transcribe(paths, model=tone_recogniser, decoding=Decoding(batch_size=size))
        assert [t.text for t in together] == [t.text for t in alone]
        assert [t.confidence for t in together] == pytest.approx([t.confidence for t in alone], abs=1e-5)
    assert [t.text for t in alone] == [words(n + 1, seed=n) for n in range(12)]


def test_word_times_are_times_of_the_file(tone_recogniser, speak):
    said = words(120)
    path = speak("long.wav", said, pause=0.3)
    got = transcribe(path, model=tone_recogniser, word_timestamps=True)
    expected, time = [], 0.1
    for word in said.split():
        expected.append(time)
        time += 0.12 * (len(word) + 1) + 0.3
    assert [word.text for word in got.words] == said.split()
    assert np.abs(np.array([word.start for word in got.words]) - expected).max() < 0.06


def test_array_at_another_rate_and_empty_transcript(tone_recogniser, say):
    from asr_adapt.audio import resample

    assert (
        transcribe(resample(say("bad"), RATE, 32_000), model=tone_recogniser, sample_rate=32_000).text
        == "bad"
    )
    silence = transcribe(np.zeros(RATE, np.float32), model=tone_recogniser)
    assert (silence.text, silence.segments, silence.confidence) == ("", (), None)
    assert transcribe(np.zeros(3, np.float32), model=tone_recogniser).text == ""


def test_array_that_is_no_waveform_is_named(tone_recogniser):
    with pytest.raises(Exception, match="array 0: an array of shape"):
        transcribe(np.zeros((2, RATE), np.float32), model=tone_recogniser)
    with pytest.raises(Exception, match="NaN"):
        transcribe(np.full(RATE, np.nan, np.float32), model=tone_recogniser)


def test_unknown_option_lists_the_known_ones():
    with pytest.raises(UsageError, match=r"no option 'batchsize'.*batch_size"):
        Decoding().but(batchsize=3)


def test_a_failed_source_leaves_the_others(tone_recogniser, speak, tmp_path):
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"RIFF but not really")
    sources = [Source("bad", "bad", path=bad), Source("good", "good", path=speak("good.wav", "cafe"))]
    outcomes = {o.index: o for o in Engine(tone_recogniser).run(sources)}
    assert outcomes[1].transcript.text == "cafe"
    assert str(bad) in outcomes[0].failure.message
    first = list(Engine(tone_recogniser, Decoding(fail_fast=True, workers=1)).run([sources[0]] * 3))
    assert all(o.failure for o in first)


def test_damage_in_the_middle_fails_the_whole_source(tone_recogniser, speak):
    path = speak("nan.wav", words(100))
    samples, _ = soundfile.read(path, dtype="float32")
    samples[len(samples) - RATE] = np.nan
    soundfile.write(path, samples, RATE, subtype="FLOAT")
    (outcome,) = Engine(tone_recogniser).run([Source("nan", "nan", path=path, duration=60.0)])
    assert outcome.transcript is None and "NaN" in outcome.failure.message


def test_journal_resumes_a_long_source(tone_recogniser, speak, tmp_path):
    said = words(300)
    path = speak("long.wav", said)
    journal = tmp_path / "long.partial.jsonl"
    options = Decoding(pool_seconds=30, workers=1)
    source = Source("long", "long", path=path, duration=soundfile.info(path).duration)

    class Killed(Exception):
        pass

    def kill(progress):
        if progress.audio_seconds > 100:
            raise Killed

    with pytest.raises(Killed):
        list(Engine(tone_recogniser, options, journal_path=lambda s: journal, on_progress=kill).run([source]))
    with journal.open("a", encoding="utf-8") as handle:
        handle.write('{"span": [3, ')  # what a kill in the middle of a write leaves
    engine = Engine(tone_recogniser, options, journal_path=lambda s: journal)
    (outcome,) = engine.run([source])
    assert outcome.transcript.text == said
    assert engine.progress.audio_seconds < 1.3 * source.duration - 60


def test_journal_of_other_options_is_not_used(tone_recogniser, speak, tmp_path):
    said = words(100)
    path = speak("long.wav", said)
    journal = tmp_path / "j.jsonl"
    journal.write_text('{"file": "another"}\n{"span": [0, 320000], "text": "wrong", "words": []}\n')
    source = Source("long", "long", path=path, duration=60.0)
    (outcome,) = Engine(tone_recogniser, journal_path=lambda s: journal).run([source])
    assert outcome.transcript.text == said


def test_stream_gives_segments_in_order_before_the_end(tone_recogniser, speak):
    said = words(160)
    path = speak("long.wav", said, pause=0.9)
    segments = list(stream(path, model=tone_recogniser))
    assert " ".join(segment.text for segment in segments) == said
    assert len(segments) > 50
    assert all(a.end <= b.start for a, b in itertools.pairwise(segments))


def test_a_stream_says_what_it_could_not_hear(tone_recogniser, speak, caplog):
    path = speak("torn.wav", words(12), pause=0.9)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    heard = " ".join(segment.text for segment in stream(path, model=tone_recogniser))
    assert 0 < len(heard) < len(words(12))
    assert any(said.startswith(f"{path}: ") for said in caplog.messages)


def test_batches_sort_by_length_within_the_budget():
    made = batches([5, 1, 9, 1, 5, 30], budget=10)
    assert sorted(i for batch in made for i in batch) == list(range(6))
    assert made == [[5], [2], [0, 4], [1, 3]]
    assert max(map(len, batches([1] * 10, budget=100, rows=4))) == 4
