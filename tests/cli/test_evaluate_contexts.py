"""``evaluate --context``: both WERs side by side, and the trimmed context only where it is no worse."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr_adapt.cli.app import run
from asr_adapt.errors import UsageError
from asr_adapt.models import DecoderSettings, load_recogniser
from tests.models.whisper_models import save_tiny_whisper


@pytest.fixture(scope="module")
def trimmed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Whisper that was taught to hear less than its window."""
    root = tmp_path_factory.mktemp("whisper")
    ours = load_recogniser(save_tiny_whisper(root / "plain", most=12), device="cpu")
    ours.configure(DecoderSettings(context="dynamic"))
    ours.save(root / "trimmed")
    return root / "trimmed"


def spoken_like(context: str, model: Path, folder: Path) -> Path:
    """A manifest whose references are what ``model`` hears in ``context``, so that this one has WER 0."""
    ours = load_recogniser(model, device="cpu")
    ours.use_context(context)
    path = folder / "m.jsonl"
    random = np.random.default_rng(0)
    with path.open("w") as handle:
        for number, samples in enumerate((16_000, 9_000, 23_616)):
            wave = (0.1 * random.standard_normal(samples)).astype(np.float32)
            soundfile.write(folder / f"{number}.wav", wave, 16_000, subtype="FLOAT")
            text = ours.transcribe([wave])[0].text
            handle.write(json.dumps({"audio_filepath": f"{number}.wav", "text": text}) + "\n")
    return path


@pytest.mark.parametrize(("right", "wrong"), [("full", "dynamic"), ("dynamic", "full")])
def test_the_trimmed_context_is_scored_only_where_it_is_no_worse(
    trimmed: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], right: str, wrong: str
) -> None:
    manifest = spoken_like(right, trimmed, tmp_path)
    output = tmp_path / "p.jsonl"
    call = ["evaluate", str(manifest), "--model", str(trimmed), "--device", "cpu", "--quiet", "--no-guard"]
    assert run([*call, "--json", "-o", str(output)]) == 0
    found = json.loads(capfd.readouterr().out)
    assert found["context"]["wer"][right] == 0.0 < found["context"]["wer"][wrong]
    assert found["context"]["chosen"] == right and found["wer"] == 0.0
    assert set(found["context"]["rtfx"]) == {"full", "dynamic"}
    rows = [json.loads(line) for line in output.read_text().splitlines()]
    assert all(row["pred_text"] == row["text"] for row in rows)
    beside = tmp_path / f"p.{wrong}.jsonl"
    other = [json.loads(line) for line in beside.read_text().splitlines()]
    assert [row["pred_text"] for row in other] != [row["pred_text"] for row in rows]
    decoding = json.loads((tmp_path / "p.settings.json").read_text())["decoding"]
    assert ("dynamic context" in decoding) == (right == "dynamic")


def test_the_table_names_both_and_a_refused_one(
    trimmed: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    manifest = spoken_like("full", trimmed, tmp_path)
    call = ["evaluate", str(manifest), "--model", str(trimmed), "--device", "cpu", "--quiet", "--no-guard"]
    assert run([*call, "--context", "both"]) == 0
    out = capfd.readouterr().out
    assert "context full     WER 0.00 %" in out and "context dynamic  WER" in out
    assert "the dynamic context is worse here" in out
    assert max(map(len, out.splitlines())) <= 80
    assert run([*call, "--context", "dynamic", "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert found["wer"] == found["context"]["wer"]["dynamic"] > 0.0
    assert "full" not in found["context"]["wer"]


def test_a_model_that_hears_whole_clips_refuses(
    tone_model: Path, speak, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    speak("0.wav", "bad")
    manifest = tmp_path / "m.jsonl"
    manifest.write_text('{"audio_filepath": "0.wav", "text": "bad"}\n')
    call = ["evaluate", str(manifest), "--model", str(tone_model), "--json"]
    assert run([*call, "--context", "both"]) == 3
    assert "always sees whole clips: remove --context" in capfd.readouterr().err
    assert run(call) == 0
    assert "context" not in json.loads(capfd.readouterr().out)


@pytest.mark.parametrize("asked", ["dynamic", "both"])
def test_a_context_that_was_not_learnt_is_refused_before_the_work(
    trimmed: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], asked: str
) -> None:
    manifest = spoken_like("full", trimmed, tmp_path)
    plain = trimmed.parent / "plain"
    call = [
        "evaluate",
        str(manifest),
        "--model",
        str(plain),
        "--device",
        "cpu",
        "-o",
        str(tmp_path / "p.jsonl"),
    ]
    assert run([*call, "--context", asked]) == 2
    assert "has not learnt the dynamic context" in capfd.readouterr().err
    assert not list(tmp_path.glob("*p*.jsonl")) and not list(tmp_path.glob(".*"))
    with pytest.raises(UsageError, match=r"train with decoder\.context: dynamic"):
        load_recogniser(plain, device="cpu").use_context("dynamic")
