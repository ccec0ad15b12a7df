"""``asr-adapt transcribe`` and ``evaluate`` end to end: what is printed, written, and the exit status."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr_adapt.cli.app import run
from tests.models.whisper_models import save_tiny_whisper

RATE = 16_000


@pytest.fixture
def call(tone_model, capfd):
    """Run a command with the tone model; gives (exit status, stdout, stderr)."""

    def invoke(command: str, *arguments: object, model: object = tone_model):
        status = run([command, *map(str, arguments), "--model", str(model)])
        out, err = capfd.readouterr()
        return status, out, err

    return invoke


def test_one_file_to_standard_output(call, speak):
    status, out, err = call("transcribe", speak("a.wav", "bad cafe"))
    assert (status, out) == (0, "bad cafe\n")
    assert "1 transcribed" in err and "times real time" in err


def test_several_files_keep_their_order(call, speak):
    paths = [speak(f"{n}.wav", word * (3 - n)) for n, word in enumerate(("a ", "bb ", "ccc "))]
    status, out, _ = call("transcribe", *paths, "-q")
    assert status == 0
    headings = [f"==> {path} <==" for path in paths]
    assert [line for line in out.splitlines() if line.startswith("==>")] == headings
    status, out, _ = call("transcribe", *paths, "-f", "json")
    assert [json.loads(line)["source"] for line in out.splitlines()] == [str(path) for path in paths]


def test_folder_with_every_format(call, speak, tmp_path):
    speak("talks/one.wav", "bad cafe")
    speak("talks/deep/two.flac", "gag")
    status, out, _ = call("transcribe", tmp_path / "talks", "-o", tmp_path / "out", "-f", "all")
    assert (status, out) == (0, "")
    written = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.*")}
    formats = ("txt", "srt", "vtt", "tsv", "json", "csv", "lrc")
    marks = {".asr-adapt.json", ".asr-adapt-sources.jsonl"}
    assert written == marks | {f"{s}.{name}" for s in ("one", "deep/two") for name in formats}
    assert json.loads((tmp_path / "out/one.json").read_text())["segments"][0]["words"][0]["word"] == "bad"


def test_named_file_takes_its_format_from_its_name(call, speak, tmp_path):
    status, _, _ = call("transcribe", speak("a.wav", "bad"), "-o", tmp_path / "x.srt")
    assert status == 0
    assert (tmp_path / "x.srt").read_text().startswith("1\n00:00:00,080 --> ")


def test_jsonl_holds_all_inputs_in_order(call, speak, tmp_path):
    paths = [speak(f"{n}.wav", "abcdefg"[n]) for n in range(7)]
    status, _, _ = call("transcribe", *paths, "-o", tmp_path / "all.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text().splitlines()]
    assert status == 0
    assert [row["pred_text"] for row in rows] == list("abcdefg")


def test_video_container_and_same_stems(call, say, tmp_path):
    av = pytest.importorskip("av")
    soundfile.write(tmp_path / "talk.wav", say("bad"), RATE)
    with av.open(str(tmp_path / "talk.mkv"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=RATE)
        frame = av.AudioFrame.from_ndarray((say("cafe") * 32767).astype(np.int16)[None], "s16", "mono")
        frame.sample_rate = RATE
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    status, _, _ = call("transcribe", tmp_path / "talk.wav", tmp_path / "talk.mkv", "-o", tmp_path / "out")
    assert status == 0
    assert (tmp_path / "out/talk.wav.txt").read_text() == "bad\n"
    assert (tmp_path / "out/talk.mkv.txt").read_text() == "cafe\n"


def test_standard_input(call, say, monkeypatch):
    buffer = io.BytesIO()
    soundfile.write(buffer, say("bad cafe"), RATE, format="WAV")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(buffer.getvalue())))
    assert call("transcribe", "-")[:2] == (0, "bad cafe\n")


def test_list_and_glob_and_manifest(call, speak, tmp_path):
    speak("one.wav", "bad")
    speak("two.wav", "cafe")
    (tmp_path / "list.txt").write_text("# mine\none.wav\n\ntwo.wav\n")
    rows = [{"audio_filepath": "two.wav", "offset": 0.1, "duration": 0.6}, {"audio_filepath": "one.wav"}]
    (tmp_path / "m.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for name in ("list.txt", "*.wav"):
        _, out, _ = call("transcribe", tmp_path / name, "-f", "jsonl")
        assert [json.loads(line)["pred_text"] for line in out.splitlines()] == ["bad", "cafe"]
    _, out, _ = call("transcribe", tmp_path / "m.jsonl", "-f", "jsonl")
    assert [json.loads(line)["pred_text"] for line in out.splitlines()] == ["cafe", "bad"]


def test_channels(call, say, tmp_path):
    left, right = say("bad"), say("cafe")[: len(say("bad"))]
    left = np.pad(left, (0, 4000))
    right = np.pad(say("gag"), (0, len(left) - len(say("gag"))))
    soundfile.write(tmp_path / "two.wav", np.stack([left, right], 1), RATE)
    assert call("transcribe", tmp_path / "two.wav", "--channels", "1")[1] == "gag\n"
    call("transcribe", tmp_path / "two.wav", "--channels", "each", "-o", tmp_path / "out")
    assert (tmp_path / "out/two.channel0.txt").read_text() == "bad\n"
    assert (tmp_path / "out/two.channel1.txt").read_text() == "gag\n"
    status, _, err = call("transcribe", tmp_path / "two.wav", "--channels", "5")
    assert status == 1 and "no channel 5" in err


def test_skip_existing_leaves_files_alone(call, speak, tmp_path):
    one, two = speak("one.wav", "bad"), speak("two.wav", "cafe")
    out = tmp_path / "out"
    out.mkdir()
    (out / "one.txt").write_text("mine")
    status, _, err = call("transcribe", one, two, "-o", out, "--skip-existing")
    assert status == 0 and "1 already there" in err
    assert (out / "one.txt").read_text() == "mine"
    assert (out / "two.txt").read_text() == "cafe\n"
    status, _, err = call("transcribe", one, two, "-o", out, "--skip-existing", model="no-such-model")
    assert status == 0, "nothing to do needs no model"


def test_equal_names_of_two_runs_are_two_transcripts(call, speak, tmp_path, caplog):
    one, two, out = speak("a/talk.wav", "bad"), speak("b/talk.wav", "cafe"), tmp_path / "out"
    assert call("transcribe", one, "-o", out, "--skip-existing")[0] == 0
    status, _, err = call("transcribe", two, "-o", out, "--skip-existing")
    assert status == 0 and "1 transcribed" in err and "already there" not in err
    assert f"talk.* is the transcript of {one}, so that of {two} goes to b/talk.*" in caplog.text
    texts = {"talk.txt": "bad\n", "b/talk.txt": "cafe\n"}
    assert {name: (out / name).read_text() for name in texts} == texts
    for again in ([one, two], [two, one], [two], [tmp_path / "a", tmp_path / "b"]):
        status, _, err = call("transcribe", *again, "-o", out, "--skip-existing", model="no-such-model")
        assert status == 0 and f"{len(again)} already there" in err, "each is known by its own file"
    three = speak("c/talk.wav", "gag")
    assert call("transcribe", three, "-o", out)[0] == 0, "without the option neither is replaced"
    assert {name: (out / name).read_text() for name in texts} == texts
    assert (out / "c/talk.txt").read_text() == "gag\n"


def test_a_file_that_was_moved_is_known_and_other_input_by_a_pipe_is_not(call, tone_model, speak, tmp_path):
    one, out = speak("a/talk.wav", "bad"), tmp_path / "out"
    call("transcribe", one, "-o", out)
    moved = tmp_path / "elsewhere" / "talk.wav"
    moved.parent.mkdir()
    one.rename(moved)
    status, _, err = call("transcribe", moved, "-o", out, "--skip-existing", model="no-such-model")
    assert status == 0 and "1 already there" in err
    for text in ("cafe", "gag"):
        speak("piped.wav", text)
        command = [sys.executable, "-m", "asr_adapt", "transcribe", "-", "-o", str(out), "--skip-existing"]
        with (tmp_path / "piped.wav").open("rb") as sound:
            subprocess.run([*command, "--model", str(tone_model)], stdin=sound, check=True)
    assert (out / "stdin.txt").read_text() == "cafe\n" and (out / "stdin-2.txt").read_text() == "gag\n"


def header_only(path: Path) -> None:
    with wave.open(str(path), "wb") as handle:
        handle.setnchannels(1)
        handle.setsampwidth(2)
        handle.setframerate(RATE)


def bad_inputs(folder: Path) -> dict[str, str]:
    """File name → what its message must say."""
    (folder / "empty.wav").write_bytes(b"")
    header_only(folder / "header.wav")
    (folder / "text.wav").write_text("this is not sound\n" * 50)
    soundfile.write(folder / "nan.wav", np.full(RATE, np.nan, np.float32), RATE, subtype="FLOAT")
    (folder / "broken.jsonl").write_text('{"audio_filepath": "good.wav"}\n{"audio_filepath": \n')
    (folder / "moved.jsonl").write_text('{"audio_filepath": "gone/away.wav", "text": "a"}\n')
    return {
        "empty.wav": "is empty",
        "header.wav": "no samples",
        "text.wav": "is not audio",
        "nan.wav": "NaN",
        "missing.wav": "cannot be opened",
        "broken.jsonl": "broken.jsonl:2: ",
        "moved.jsonl": "gone/away.wav",
        "nothing-*.wav": "matches no file",
    }


def test_bad_inputs_are_named_and_the_others_done(call, speak, tmp_path):
    good = speak("good.wav", "bad cafe")
    expected = bad_inputs(tmp_path)
    status, out, err = call("transcribe", *(tmp_path / name for name in expected), good)
    assert (status, out) == (1, f"==> {good} <==\nbad cafe\n")
    lines = [line for line in err.splitlines() if line.startswith("asr-adapt: ")]
    assert len(lines) == len(expected)
    for name, message in expected.items():
        assert any(name.split("/")[-1] in line and message in line for line in lines), (name, lines)
    assert "Traceback" not in err and "8 failed" in err


def test_fail_fast_stops_at_the_first(call, speak, tmp_path):
    good = speak("good.wav", "bad cafe")
    status, out, err = call("transcribe", tmp_path / "missing.wav", good, "--fail-fast")
    assert (status, out) == (1, "") and "missing.wav" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-f", "doc"], "'doc' is not one of txt"),
        (["-f", "txt,srt"], "give -o FOLDER"),
        (["--channels", "left"], "--channels is mix"),
        (["--window", "3"], "twice overlap_seconds"),
        (["--batch-size", "0"], "batch_size must be above 0"),
        (["--device", "abacus"], "abacus"),
        (["--nonsense"], "nonsense"),
    ],
)
def test_usage_errors_are_status_2(call, speak, arguments, message):
    status, out, err = call("transcribe", speak("a.wav", "bad"), *arguments)
    assert (status, out) == (2, "")
    assert message in err and "Traceback" not in err


def test_underscores_are_dashes(call, speak):
    assert call("transcribe", speak("a.wav", "bad"), "--batch_size", "1")[0] == 0


@pytest.mark.parametrize("model", ["no-such-model", "./nowhere", "nobody/nothing-of-this-name"])
def test_model_that_cannot_be_loaded_is_status_3(call, speak, model):
    status, out, err = call("transcribe", speak("a.wav", "bad"), model=model)
    assert (status, out) == (3, "")
    assert model in err and len(err.strip().splitlines()) == 1


def test_unwritable_output_is_refused_before_the_work(call, speak, tmp_path):
    (tmp_path / "out").write_text("a file where the folder should be")
    status, _, err = call("transcribe", speak("a.wav", "bad"), "-o", tmp_path / "out", model="never-loaded")
    assert status == 2 and str(tmp_path / "out") in err and "Traceback" not in err


def test_interrupt_leaves_no_torn_file(tone_model, speak, tmp_path):
    """A child that is stopped while it works: what is there is whole."""
    import random

    rng = random.Random(1)
    said = {f"{n}.wav": " ".join(rng.choices(["bad", "cafe", "gag"], k=40)) for n in range(40)}
    for name, text in said.items():
        speak(f"in/{name}", text)
    folders = [tmp_path / "in", "-o", tmp_path / "out"]
    command = ["transcribe", *map(str, folders), "--model", str(tone_model), "--batch-size", "1"]
    child = subprocess.Popen([sys.executable, "-m", "asr_adapt", *command], stderr=subprocess.DEVNULL)
    try:
        child.wait(timeout=4)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    for path in (tmp_path / "out").glob("[!.]*.txt"):
        assert path.read_text() == said[path.with_suffix(".wav").name] + "\n"
    status = run([*command, "--skip-existing"])
    assert status == 0
    assert len(list((tmp_path / "out").glob("[!.]*.txt"))) == 40


def test_the_closing_line_counts_every_second_once(call, speak):
    """Windows overlap by 4 s, so that more is heard than there is."""
    path = speak("long.wav", "bad cafe " * 75)
    seconds = soundfile.info(path).duration
    assert seconds > 90
    status, _, err = call("transcribe", path)
    assert status == 0
    assert f"1 transcribed; {seconds / 60:.1f} min of audio in" in err


@pytest.mark.parametrize("spelled", [str, lambda name: name.replace("_", "-")], ids=["_", "-"])
def test_what_users_of_other_whispers_type_works(speak, tmp_path, capfd, spelled):
    """The names of openai-whisper, whisperX and the command lines of faster-whisper, in one call."""
    save_tiny_whisper(tmp_path / "models" / "tiny")
    out = tmp_path / "out"
    typed = {
        "--model_dir": tmp_path / "models", "--model": "tiny", "--device": "cpu", "--compute_type": "float32",
        "--task": "translate", "--language": "auto", "--initial_prompt": "Leith", "--output_dir": out,
        "--vad_filter": True, "--vad_onset": 0.5, "--vad_offset": 0.36, "--vad_speech_pad_ms": 100,
        "--vad_min_speech_duration_ms": 100, "--vad_min_silence_duration_ms": 300, "--chunk_size": 20,
        "--beam_size": 2, "--best_of": 2, "--patience": 1.5, "--length_penalty": 1, "--temperature": 0,
        "--temperature_increment_on_fallback": "None", "--compression_ratio_threshold": 2.4,
        "--logprob_threshold": -1, "--no_speech_threshold": "None", "--condition_on_previous_text": False,
        "--clip_timestamps": "0,2", "--max_words_per_line": 4, "--max_line_width": 40, "--max_line_count": 2,
        "--word_timestamps": True, "--output_format": "json,srt",
    }  # fmt: skip
    words = [part for name, value in typed.items() for part in (spelled(name), str(value))]
    assert run(["transcribe", str(speak("a.wav", "bad cafe")), *words]) == 0, capfd.readouterr().err
    found = json.loads((out / "a.json").read_text())
    assert found["task"] == "translate" and (out / "a.srt").is_file()
    assert run(["transcribe", "a.wav", spelled("--vad_offset"), "0.8"]) == 2
    assert "must not be above" in capfd.readouterr().err
