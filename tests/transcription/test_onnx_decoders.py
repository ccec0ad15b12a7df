"""``export --to onnx`` of models with a decoder: what torch writes, under every search, with word times."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr_adapt import transcribe
from asr_adapt.audio import read_audio
from asr_adapt.cli.app import run
from asr_adapt.manifest import Manifest
from asr_adapt.models import Search, load_recogniser
from asr_adapt.models.attention.seq2seq import Seq2SeqRecogniser
from asr_adapt.transcription.runtimes.onnx_export import export_onnx
from asr_adapt.transcription.runtimes.onnx_runtime import open_onnx
from tests.models.plain_models import save_tiny_moonshine, save_tiny_speech2text
from tests.models.whisper_models import save_tiny_whisper

pytest.importorskip("onnxruntime")
RATE = 16_000


def _moonshine(folder: Path) -> Path:
    folder.mkdir()
    return save_tiny_moonshine(folder)


MAKERS: dict[str, Callable[[Path], Path]] = {
    "whisper": save_tiny_whisper,
    "moonshine": _moonshine,
    "speech2text": save_tiny_speech2text,
}


@pytest.fixture(scope="module", params=MAKERS)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A model's folder and that of its graphs."""
    if request.param == "speech2text":
        pytest.importorskip("sentencepiece")
    folder = tmp_path_factory.mktemp(request.param)
    model = MAKERS[request.param](folder / "model")
    (check,) = export_onnx(load_recogniser(model, device="cpu"), folder / "onnx")
    assert check.same_text == check.clips == 4 and check.largest_difference < 1e-3
    return model, folder / "onnx"


def clips(count: int = 4) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    lengths = random.integers(8_000, 80_000, count)
    return [(0.2 * random.standard_normal(n)).astype(np.float32) for n in lengths]


@pytest.mark.parametrize(
    "search", [Search(), Search(beams=3), Search(hotwords=(("he", 2.0),)), Search(hallucination_checks=False)]
)
def test_batches_say_the_same_as_torch(pair: tuple[Path, Path], search: Search) -> None:
    plain, exported = load_recogniser(pair[0], device="cpu"), open_onnx(pair[1])
    for recogniser in (plain, exported):
        recogniser.set_search(search)
    expected, found = plain.transcribe(clips(), words=True), exported.transcribe(clips(), words=True)
    assert [row.text for row in found] == [row.text for row in expected]
    assert any(row.text for row in found)
    assert [row.confidence for row in found] == pytest.approx([row.confidence for row in expected], abs=1e-3)
    starts = [word.start for row in expected for word in row.words]
    assert [word.start for row in found for word in row.words] == pytest.approx(starts, abs=0.05)


def test_the_folder_holds_graphs_and_no_weights(pair: tuple[Path, Path]) -> None:
    names = {path.name for path in pair[1].iterdir()}
    assert {"encoder.onnx", "heard.onnx", "decoder.onnx", "config.json"} <= names
    assert not any(name.endswith((".safetensors", ".bin")) for name in names)


def test_files_through_the_command_line(
    pair: tuple[Path, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    soundfile.write(tmp_path / "a.wav", clips(1)[0], RATE)
    call = ["transcribe", str(tmp_path / "a.wav"), "-q", "-f", "json", "--segmenter", "windows", "--model"]
    assert run([*call, str(pair[0]), "--runtime", "torch", "--compute-type", "float32"]) == 0
    expected = json.loads(capfd.readouterr().out)
    assert run([*call, str(pair[1]), "--runtime", "onnx"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert found["text"] == expected["text"] != ""
    assert run([*call, str(pair[1]), "--runtime", "onnx-int8"]) == 3
    assert "encoder.int8.onnx" in capfd.readouterr().err


def test_int8_graphs_are_made_and_used(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    model = save_tiny_whisper(tmp_path / "model")
    assert run(["export", str(model), "-o", str(tmp_path / "out"), "--int8", "--json"]) == 0
    plain, small = json.loads(capfd.readouterr().out)
    assert (plain["graph"], small["graph"]) == ("decoder.onnx", "decoder.int8.onnx")
    assert (
        small["largest_difference"] > 0 and open_onnx(tmp_path / "out", int8=True).transcribe(clips())[0].text
    )


@pytest.mark.pretrained
@pytest.mark.realdata
def test_a_real_whisper_says_the_same_of_real_clips_and_long_audio(
    whisper_tiny_en: Path, real_data: Path, tmp_path: Path
) -> None:
    plain = load_recogniser(whisper_tiny_en, device="cpu", compute_type="float32")
    export_onnx(plain, tmp_path / "onnx")
    exported = open_onnx(tmp_path / "onnx")
    assert isinstance(plain, Seq2SeqRecogniser) and isinstance(exported, Seq2SeqRecogniser)
    rows = list(Manifest.open(real_data / "librispeech_other" / "manifest.jsonl"))[:4]
    own = [read_audio(row.audio_path, offset=row.offset, duration=row.duration) for row in rows]
    seconds = [len(clip) / RATE for clip in own]
    tokens = [[said.ids for said in one.speak(one.heard(own), None, seconds)] for one in (plain, exported)]
    assert tokens[0] == tokens[1]
    long = np.concatenate(own)
    first, second = (transcribe(long, model=one, word_timestamps=True) for one in (plain, exported))
    assert second.text == first.text
    assert [s.start for s in second.segments] == pytest.approx([s.start for s in first.segments], abs=0.1)
