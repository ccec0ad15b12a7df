"""``manifest label``: sure and agreeing rows are kept, the rest is counted, transcripts only judge."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr_adapt.cli.app import run
from asr_adapt.models import Hypothesis, load_recogniser
from asr_adapt.transcription.pseudo_labels import KeepRules, _fate


@pytest.fixture(scope="module")
def speech(say: Callable[..., np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clear rows, mumbled ones, silence, and one that is too long; the clear ones have transcripts."""
    folder = tmp_path_factory.mktemp("speech")
    sounds = {f"clear{n}": say(text) for n, text in enumerate(["bad cafe", "face a bead", "dab"])}
    sounds |= {f"mumbled{n}": say(text, mumbled=0.9) for n, text in enumerate(["bad cafe face", "deaf cab"])}
    sounds |= {"silence": np.zeros(16_000, np.float32), "long": np.zeros(16_000 * 25, np.float32)}
    rows = []
    for name, wave in sounds.items():
        soundfile.write(folder / f"{name}.wav", wave, 16_000)
        rows.append({"audio_filepath": f"{name}.wav", "duration": len(wave) / 16_000, "speaker": "s"})
    for row, text in zip(rows, ["bad cafe", "face a bead", "dad"], strict=False):
        row["text"] = text
    (folder / "m.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return folder / "m.jsonl"


def labelled(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_sure_rows_are_kept_with_their_labels_and_everything_is_counted(
    speech: Path, tone_model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    sure = load_recogniser(tone_model, device="cpu")
    out = tmp_path / "labels.jsonl"
    options = ["--model", str(tone_model), "--second", str(tone_model), "-o", str(out)]
    assert run(["manifest", "label", str(speech), *options, "--confidence", "0.9", "--json"]) == 0
    told = json.loads(capfd.readouterr().out)
    kept = labelled(out)
    assert [row["text"] for row in kept] == ["bad cafe", "face a bead", "dab"]
    assert [row["reference"] for row in kept] == ["bad cafe", "face a bead", "dad"]
    assert all(row["labelled_by"] == str(tone_model) and row["confidence"] >= 0.9 for row in kept)
    assert all((out.parent / str(row["audio_filepath"])).is_file() for row in kept)
    assert told["reasons"] == {"kept": 3, "unsure": 2, "nothing heard": 1, "too long": 1}
    assert told["wer_kept"] == pytest.approx(1 / 6) and told["wer_dropped"] is None
    assert (
        sure.transcribe([soundfile.read(speech.parent / "clear2.wav", dtype="float32")[0]])[0].text == "dab"
    )
    assert run(["manifest", "label", str(speech), *options, "--confidence", "0"]) == 0
    assert len(labelled(out)) == 5 and "1 too long" in capfd.readouterr().out
    assert run(["manifest", "label", str(speech), "-o", str(speech)]) == 2


def test_the_clip_a_little_faster_is_another_hearing(
    speech: Path, tone_model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Tones that are a tenth higher are other letters, so nothing is heard the same twice."""
    out = tmp_path / "labels.jsonl"
    options = ["--model", str(tone_model), "-o", str(out), "--confidence", "0", "--json"]
    assert run(["manifest", "label", str(speech), *options]) == 0
    told = json.loads(capfd.readouterr().out)
    assert told["reasons"]["heard otherwise"] == 5 and told["rows"] == 0
    assert told["wer_dropped"] == pytest.approx(1 / 6)


def test_loops_and_doubt_are_reasons_of_their_own() -> None:
    rules, good = KeepRules(), Hypothesis("a line of text", confidence=0.9)
    assert _fate(good, good, rules) == "kept"
    assert _fate(good, Hypothesis("a line of", confidence=0.1), rules) == "heard otherwise"
    assert _fate(good, Hypothesis("a line of text", looped=True), rules) == "looped"
    assert _fate(Hypothesis("a line of text", confidence=None), good, rules) == "unsure"
    assert _fate(Hypothesis(" . ", confidence=0.9), good, rules) == "nothing heard"
