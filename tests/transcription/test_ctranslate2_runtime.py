"""``--runtime ctranslate2``: what torch writes, from a model converted once or the user's own folder."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from asr_adapt import transcribe
from asr_adapt.cli.app import run
from asr_adapt.errors import MissingExtraError, ModelError, UsageError
from asr_adapt.models import Search, load_recogniser
from asr_adapt.models.hypothesis import Window
from asr_adapt.transcription.runtimes import ctranslate2_runtime
from asr_adapt.transcription.runtimes.ctranslate2_export import export_ctranslate2
from asr_adapt.transcription.runtimes.ctranslate2_runtime import open_ctranslate2
from tests.models.whisper_models import save_tiny_whisper

pytest.importorskip("ctranslate2")
RATE = 16_000


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_whisper(tmp_path_factory.mktemp("whisper") / "tiny", most=8)


def clips(count: int) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    lengths = random.integers(8_000, 80_000, count)
    return [(0.2 * random.standard_normal(n)).astype(np.float32) for n in lengths]


def manifest(folder: Path) -> Path:
    rows = []
    for number, clip in enumerate(clips(4)):
        soundfile.write(folder / f"{number}.wav", clip, RATE)
        rows.append({"audio_filepath": f"{number}.wav", "duration": len(clip) / RATE, "text": "x"})
    (folder / "m.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder / "m.jsonl"


@pytest.mark.parametrize(
    "search", [Search(), Search(beams=3), Search(prompt="Leith"), Search(hallucination_checks=False)]
)
def test_clips_say_the_same_as_torch(tiny: Path, search: Search) -> None:
    torch_one = load_recogniser(tiny, device="cpu", compute_type="float32")
    other = open_ctranslate2(str(tiny), device="cpu", compute_type="float32")
    for recogniser in (torch_one, other):
        recogniser.set_search(search)
    expected, found = torch_one.transcribe(clips(6)), other.transcribe(clips(6))
    assert [row.text for row in found] == [row.text for row in expected]
    assert any(row.text for row in found)
    assert [row.confidence for row in found] == pytest.approx([row.confidence for row in expected], abs=1e-2)
    words = [[(w.text, w.start) for w in row.words] for row in torch_one.transcribe(clips(6), words=True)]
    mine = [[(w.text, w.start) for w in row.words] for row in other.transcribe(clips(6), words=True)]
    assert [[text for text, _ in row] for row in mine] == [[text for text, _ in row] for row in words]
    starts = [start for row in words for _, start in row]
    assert [start for row in mine for _, start in row] == pytest.approx(starts, abs=0.1)


@pytest.mark.parametrize("search", [Search(), Search(beams=3)])
def test_texts_longer_than_usual_are_searched_for_again_in_full(
    tiny: Path, search: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    recogniser = open_ctranslate2(str(tiny), device="cpu", compute_type="float32")
    recogniser.set_search(search)
    expected = recogniser.transcribe(clips(6))
    calls: list[int] = []
    searched = recogniser.decoding._searched

    def counted(*arguments):
        calls.append(arguments[-1])
        return searched(*arguments)

    monkeypatch.setattr(ctranslate2_runtime, "usual_tokens", lambda most: 3)
    monkeypatch.setattr(recogniser.decoding, "_searched", counted)
    assert [row.text for row in recogniser.transcribe(clips(6))] == [row.text for row in expected]
    assert calls[0] == 3 and max(calls) > 3


def test_a_beam_that_looped_is_not_searched_again(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recogniser = open_ctranslate2(str(tiny), device="cpu", compute_type="float32")
    recogniser.set_search(Search(beams=5))
    searched = recogniser.decoding._searched
    calls = []

    def looping(*arguments):
        calls.append(len(arguments[1].given))
        return [replace(row, looped=True) for row in searched(*arguments)]

    monkeypatch.setattr(recogniser.decoding, "_searched", looping)
    assert all(row.looped for row in recogniser.transcribe(clips(3)))
    assert calls == [3]


def test_previous_text_does_not_change_the_probability_of_silence(tiny: Path) -> None:
    found = []
    for load in (load_recogniser, open_ctranslate2):
        recogniser = load(str(tiny), device="cpu", compute_type="float32")
        windows = [Window(clip, previous=ids) for clip, ids in zip(clips(2), [(), (9, 8, 7)], strict=True)]
        found.append([heard.decoded.no_speech for heard in recogniser.hear_windows(windows)])
    assert found[1] == pytest.approx(found[0], rel=1e-3) and found[0][0] != found[0][1]


def test_the_language_is_heard_alike(tiny: Path) -> None:
    torch_one = load_recogniser(tiny, device="cpu", compute_type="float32")
    other = open_ctranslate2(str(tiny), device="cpu", compute_type="float32")
    with torch.inference_mode():
        found = [one.decoding.languages(one.heard(clips(3))) for one in (other, torch_one)]
    for mine, theirs in zip(*found, strict=True):
        assert mine == pytest.approx(theirs, abs=1e-4)


def test_a_model_is_converted_once_and_a_converted_one_is_used_as_it_is(
    tiny: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], own_cache: Path
) -> None:
    rows = str(manifest(tmp_path))
    written = {}
    own = tmp_path / "own"
    export_ctranslate2(load_recogniser(tiny, device="cpu"), own)
    before = sorted(path.name for path in own.iterdir())
    calls = {
        "torch": [str(tiny)],
        "converted": [str(tiny), "--runtime", "ctranslate2"],
        "again": [str(tiny), "--runtime", "auto"],
        "own": [str(own), "--runtime", "ctranslate2"],
        "own by torch": [str(own)],
    }
    for name, (model, *runtime) in calls.items():
        out = tmp_path / f"{name}.jsonl"
        base = ["evaluate", rows, "--model", model, "--device", "cpu", "--compute-type", "float32"]
        assert run([*base, "-o", str(out), *runtime]) == 0
        assert ("Converting" in capfd.readouterr().err) == (name in ("converted", "own")), name
        written[name] = [json.loads(line)["pred_text"] for line in out.read_text().splitlines()]
        settings = json.loads((tmp_path / f"{name}.settings.json").read_text())
        assert settings["runtime"] == ("ctranslate2 float32" if runtime else "torch float32")
    assert written["torch"] == written["converted"] == written["again"] and any(written["torch"])
    assert written["own"] == written["own by torch"] and any(written["own"])
    assert sorted(path.name for path in own.iterdir()) == before


def test_what_cannot_be_done_is_said(
    tiny: Path, tone_model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ModelError, match="for Whisper: use --runtime torch"):
        open_ctranslate2(str(tone_model))
    with pytest.raises(UsageError, match="int8_float32"):
        open_ctranslate2(str(tiny), device="cpu", compute_type="q5_0")
    with pytest.raises(UsageError, match="choose auto or cpu"):
        open_ctranslate2(str(tiny), device="mps")
    opened = open_ctranslate2(str(tiny), device="cpu")
    with pytest.raises(UsageError, match="one context only"):
        opened.use_context("dynamic")
    with pytest.raises(ModelError, match="cannot be trained"):
        opened.encode(opened.inputs(clips(1)), 1)
    rows = str(manifest(tmp_path))
    assert run(["evaluate", rows, "--model", str(tone_model), "--runtime", "ctranslate2"]) == 3
    assert run(["evaluate", rows, "--model", str(tone_model), "--runtime", "auto"]) == 0
    assert "Traceback" not in capfd.readouterr().err


def test_without_the_package_one_sentence_names_it(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from asr_adapt.transcription.runtimes import ctranslate2_export

    monkeypatch.setattr(ctranslate2_export, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'asr-adapt\[ctranslate2\]'"):
        open_ctranslate2(str(tiny))
    rows = str(manifest(tmp_path))
    assert run(["evaluate", rows, "--model", str(tiny), "--runtime", "ctranslate2"]) == 2
    assert "pip install 'asr-adapt[ctranslate2]'" in capfd.readouterr().err


@pytest.mark.pretrained
@pytest.mark.realdata
def test_long_audio_gives_the_segments_and_words_of_torch(whisper_tiny_en: Path, real_data: Path) -> None:
    from asr_adapt.audio import read_audio
    from asr_adapt.manifest import Manifest

    rows = list(Manifest.open(real_data / "kathleen" / "manifest.jsonl"))[40:600:70]
    gap = np.zeros(3 * RATE, np.float32)
    audio = np.concatenate([part for row in rows for part in (read_audio(row.audio_path), gap)])
    found = {}
    for name in ("torch", "ctranslate2"):
        load = load_recogniser if name == "torch" else open_ctranslate2
        recogniser = load(str(whisper_tiny_en), device="cpu", compute_type="float32")
        found[name] = transcribe(audio, model=recogniser, word_timestamps=True)
    mine, theirs = found["ctranslate2"], found["torch"]
    assert [segment.text for segment in mine.segments] == [segment.text for segment in theirs.segments]
    assert [segment.tokens for segment in mine.segments] == [segment.tokens for segment in theirs.segments]
    for one, other in zip(mine.words, theirs.words, strict=True):
        assert one.text == other.text
        assert (one.start, one.end) == pytest.approx((other.start, other.end), abs=0.05)
    for one, other in zip(mine.segments, theirs.segments, strict=True):
        assert one.decoded is not None and other.decoded is not None
        assert one.decoded.mean_score == pytest.approx(other.decoded.mean_score, abs=0.01)
        assert one.decoded.no_speech == pytest.approx(other.decoded.no_speech, abs=0.01)
        assert one.confidence == pytest.approx(other.confidence, abs=0.1)
    assert len({segment.confidence for segment in mine.segments}) > 1, "each segment has its own"
