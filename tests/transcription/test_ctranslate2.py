"""``export --to ctranslate2``: the same greedy transcripts as torch, and faster-whisper loads the folder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr_adapt.cli.app import run
from asr_adapt.errors import ModelError
from asr_adapt.models import Recogniser, load_recogniser
from asr_adapt.transcription.runtimes.ctranslate2_export import export_ctranslate2
from tests.models.whisper_models import save_tiny_whisper

pytest.importorskip("ctranslate2")


def clips(count: int) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    lengths = random.integers(8_000, 80_000, count)
    return [(0.2 * random.standard_normal(n)).astype(np.float32) for n in lengths]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Recogniser, Path]:
    root = tmp_path_factory.mktemp("ct2")
    recogniser = load_recogniser(save_tiny_whisper(root / "tiny", most=8), device="cpu")
    found = export_ctranslate2(recogniser, root / "out", clips(10))
    assert (found.clips, found.same_text) == (10, 10)
    return recogniser, root / "out"


def test_faster_whisper_says_the_same(exported: tuple[Recogniser, Path]) -> None:
    faster = pytest.importorskip("faster_whisper")
    recogniser, folder = exported
    model = faster.WhisperModel(str(folder), device="cpu", compute_type="float32", cpu_threads=1)
    assert model.model.is_multilingual  # else it gives the decoder neither language nor task
    for clip in clips(3):
        segments, _ = model.transcribe(
            np.pad(
                clip, (0, 480_000 - len(clip))
            ),  # it fills the window with another mel value than silence's
            language="en",
            beam_size=1,
            temperature=0.0,
            without_timestamps=True,
            no_speech_threshold=None,
            max_new_tokens=12,  # of 16 with the prefix, half may be said
            suppress_tokens=recogniser.model.generation_config.suppress_tokens,
        )
        said = "".join(s.text for s in segments).strip()
        assert len(said) > 4 and said == recogniser.transcribe([clip])[0].text


def test_an_english_only_model_stays_one(tmp_path: Path) -> None:
    import ctranslate2

    english = load_recogniser(save_tiny_whisper(tmp_path / "tiny", multilingual=False, most=8), device="cpu")
    export_ctranslate2(english, tmp_path / "out")
    assert not ctranslate2.models.Whisper(str(tmp_path / "out"), device="cpu").is_multilingual


def test_the_command_line_names_the_type_of_the_weights(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    base = str(save_tiny_whisper(tmp_path / "tiny", most=8))
    sizes = {}
    for name in ("float32", "float16", "int8"):
        asked = ["export", base, "--to", "ctranslate2", "-o", str(tmp_path / name), "--quantization", name]
        assert run(asked) == 0
        sizes[name] = (tmp_path / name / "model.bin").stat().st_size
    assert sizes["float32"] > 1.8 * sizes["float16"] and sizes["float32"] > 1.8 * sizes["int8"]
    for wrong in (["--quantisation", "q5_0"], ["--quantisation", "float16", "--int8"]):
        assert run(["export", base, "--to", "ctranslate2", "-o", str(tmp_path / "x"), *wrong]) == 2
    assert run(["export", base, "-o", str(tmp_path / "x"), "--quantisation", "float16"]) == 2
    assert not (tmp_path / "x").exists() and "Traceback" not in capfd.readouterr().err


def test_an_export_is_verified_in_the_type_of_its_weights(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    base = save_tiny_whisper(tmp_path / "tiny", most=8)
    rows = []
    for number, clip in enumerate(clips(3)):
        soundfile.write(tmp_path / f"{number}.wav", clip, 16_000)
        said = load_recogniser(base, device="cpu").transcribe([clip])[0].text
        rows.append({"audio_filepath": f"{number}.wav", "text": said, "duration": len(clip) / 16_000})
    (tmp_path / "m.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    call = ["export", str(base), "--to", "ctranslate2", "-o", str(tmp_path / "out")]
    assert run([*call, "--verify", str(tmp_path / "m.jsonl"), "--tolerance", "0"]) == 0
    assert "model.bin: verified on 3 rows: WER 0.00 → 0.00 %" in capfd.readouterr().out


def test_another_family_is_refused(tone_model: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="only Whisper models"):
        export_ctranslate2(load_recogniser(tone_model, device="cpu"), tmp_path / "out")
    assert not (tmp_path / "out").exists()
