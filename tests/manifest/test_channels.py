"""Rows of the two channels of one call: told apart by id, sound, leak search, layouts and transcripts."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from asr_adapt.cli.app import build_app, run
from asr_adapt.manifest import Manifest
from asr_adapt.manifest.build import BuildOptions, open_build
from asr_adapt.manifest.export import export_manifest
from asr_adapt.scoring.interchange import export as export_predictions

RATE = 16_000


@pytest.fixture
def call(tmp_path, say):
    """A stereo call and its manifest: the left says one thing, the right another."""
    left, right = say("bad cafe"), say("gag fed")
    size = max(len(left), len(right))
    sides = [np.pad(side, (0, size - len(side))) for side in (left, right)]
    soundfile.write(tmp_path / "call.wav", np.stack(sides, axis=1), RATE)
    rows = [
        {"audio_filepath": "call.wav", "duration": size / RATE, "text": text, "channel": channel}
        for channel, text in enumerate(("bad cafe", "gag fed"))
    ]
    path = tmp_path / "call.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_channels_are_no_duplicates(call, capsys):
    assert [row.id for row in Manifest.open(call)] == ["call.channel0", "call.channel1"]
    run(["manifest", "check", str(call), "--json"])
    codes = {finding["code"] for finding in json.loads(capsys.readouterr().out)["findings"]}
    assert not codes & {"duplicate-id", "duplicate-row", "duplicate-audio", "conflicting-audio"}
    assert "different-channels" not in codes, "each row names the channel that it is of"


def test_a_channel_that_is_no_number_is_a_finding(call, capsys):
    call.write_text(call.read_text().replace('"channel": 1', '"channel": "left"'), encoding="utf-8")
    run(["manifest", "check", str(call), "--json"])
    found = [f for f in json.loads(capsys.readouterr().out)["findings"] if f["code"] == "unreadable-audio"]
    assert len(found) == 1
    assert "'left' is not a channel" in found[0]["message"]


def test_a_channel_leaks_only_into_itself(call, tmp_path):
    rows = list(Manifest.open(call))
    for name, row in (("a", rows[0]), ("b", rows[1]), ("c", rows[0].replace(id="other"))):
        line = json.dumps(row.to_row()) + "\n"
        (tmp_path / f"{name}.jsonl").write_text(line, encoding="utf-8")
    runner = CliRunner()

    def audit(*names):
        paths = [str(tmp_path / f"{name}.jsonl") for name in names]
        return runner.invoke(build_app(), ["manifest", "audit", *paths, "--json"]).stdout

    assert '"audio"' in audit("a", "c")
    apart, same = json.loads(audit("a", "b")), json.loads(audit("a", "c"))
    assert apart != same


@pytest.mark.parametrize("layout", ["stm", "lhotse"])
def test_layouts_keep_the_channel(call, tmp_path, layout):
    rows = [row.replace(text=row.text) for row in Manifest.open(call)]
    target = tmp_path / ("out.stm" if layout == "stm" else "out")
    export_manifest(rows, layout, target)
    back = list(open_build(target, BuildOptions(layout=layout)).rows())
    assert [(row.channel, row.text) for row in back] == [(0, "bad cafe"), (1, "gag fed")]


def test_an_stm_of_one_channel_names_none(call, tmp_path):
    rows = [row.replace(extra={}) for row in Manifest.open(call)][:1]
    export_manifest(rows, "stm", tmp_path / "out.stm")
    assert [row.channel for row in open_build(tmp_path / "out.stm", BuildOptions()).rows()] == [None]


def test_kaldi_takes_the_channel_out_of_the_file(call, tmp_path):
    export_manifest(Manifest.open(call), "kaldi", tmp_path / "kaldi")
    lines = (tmp_path / "kaldi" / "wav.scp").read_text().splitlines()
    assert [line.split(" ", 1)[1] for line in lines] == [
        f"sox {tmp_path}/call.wav -t wav - remix {number} |" for number in (1, 2)
    ]


def test_clips_hold_their_own_channel_only(call, tmp_path):
    export_manifest(Manifest.open(call), "commonvoice", tmp_path / "cv")
    clips = sorted((tmp_path / "cv" / "clips").iterdir())
    sounds = [soundfile.read(clip, dtype="float32")[0] for clip in clips]
    stereo = soundfile.read(tmp_path / "call.wav", dtype="float32")[0]
    for channel, sound in enumerate(sounds):
        np.testing.assert_allclose(sound, stereo[:, channel], atol=1e-3)


def test_evaluated_rows_pass_their_own_gate_and_go_to_other_scorers(call, tmp_path, tone_model):
    predictions, baseline = tmp_path / "p.jsonl", tmp_path / "b.json"
    assert run(["evaluate", str(call), "--model", str(tone_model), "-o", str(predictions)]) == 0
    assert [row.extra["pred_text"] for row in Manifest.open(predictions)] == ["bad cafe", "gag fed"]
    assert run(["gate", str(predictions), "--baseline", str(baseline), "--update"]) == 0
    assert run(["gate", str(predictions), "--baseline", str(baseline)]) == 0
    export_predictions(predictions, tmp_path / "sctk", "stm-ctm")
    lines = (tmp_path / "sctk" / "ref.stm").read_text().splitlines()
    assert [line.split()[1] for line in lines] == ["1", "2"]


def test_transcripts_of_each_channel_say_which(call, tmp_path, tone_model, capsys):
    sound, target = str(tmp_path / "call.wav"), tmp_path / "t.jsonl"
    command = ["transcribe", sound, "--channels", "each", "--model", str(tone_model), "-q"]
    assert run([*command, "-o", str(target)]) == 0
    rows = [json.loads(line) for line in target.read_text().splitlines()]
    assert [(row["audio_filepath"], row["channel"], row["pred_text"]) for row in rows] == [
        (sound, 0, "bad cafe"),
        (sound, 1, "gag fed"),
    ]
    capsys.readouterr()
    assert run(command) == 0
    assert f"==> {sound} (channel 1) <==\ngag fed" in capsys.readouterr().out


def test_transcribed_rows_keep_their_fields(call, tmp_path, tone_model):
    target = tmp_path / "t.jsonl"
    assert run(["transcribe", str(call), "--model", str(tone_model), "-q", "-o", str(target)]) == 0
    rows = [json.loads(line) for line in target.read_text().splitlines()]
    assert [(row["id"], row["text"], row["channel"]) for row in rows] == [
        ("call.channel0", "bad cafe", 0),
        ("call.channel1", "gag fed", 1),
    ]
