"""``--adapter``: one on the base that it names, the surest of several, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from asr_adapt.cli.app import run
from asr_adapt.files import atomic_directory
from asr_adapt.models import load_recogniser
from asr_adapt.models.lora import LoraSettings, add_lora, save_adapter
from asr_adapt.scoring.predictions import settings_path

LETTERS = "abcdefg"


@pytest.fixture(scope="module")
def experts(tone_model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """``base`` confuses a with b and c with d, unsurely; ``north`` and ``south`` mend one pair each."""
    folder = tmp_path_factory.mktemp("adapters")
    plain = load_recogniser(tone_model, device="cpu")
    head = plain.model.lm_head.weight
    right = head.detach().clone()
    with torch.no_grad():
        for pair in ("ab", "cd"):
            rows = [LETTERS.index(letter) + 2 for letter in pair]
            head[rows] = 0.45 * right[rows] + 0.55 * right[rows[::-1]]
    plain.save(folder / "base")
    for name, pair in {"north": "ab", "south": "cd"}.items():
        adapted = load_recogniser(folder / "base", device="cpu")
        lora = add_lora(adapted, LoraSettings(1, 1.0), seed=0)
        rows = [LETTERS.index(letter) + 2 for letter in pair]
        with torch.no_grad():
            adapted.model.lm_head.weight[rows] = right[rows]
        with atomic_directory(folder / name) as work:
            save_adapter(lora, lora.state(head=True), str(folder / "base"), work)
    return {name: folder / name for name in ("base", "north", "south")}


@pytest.fixture(scope="module")
def manifest(say: Callable[..., np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rows")
    lines = []
    for number, text in enumerate(["ab ba", "cd dc", "fee", "abba"]):
        soundfile.write(folder / f"{number}.wav", say(text), 16_000)
        lines.append(json.dumps({"audio_filepath": f"{number}.wav", "text": text}))
    (folder / "m.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return folder / "m.jsonl"


def heard(manifest: Path, output: Path, *options: object) -> list[str]:
    assert run(["evaluate", str(manifest), "-o", str(output), "--quiet", *map(str, options)]) == 0
    return [json.loads(line)["pred_text"] for line in output.read_text(encoding="utf-8").splitlines()]


def test_one_adapter_mends_its_accent_and_the_surest_of_several_mends_both(
    experts: dict[str, Path], manifest: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    north, south = (["--adapter", experts[name]] for name in ("north", "south"))
    base = heard(manifest, tmp_path / "base.jsonl", "--model", experts["base"])
    assert base == ["ba ab", "dc cd", "fee", "baab"]
    assert heard(manifest, tmp_path / "n.jsonl", *north) == ["ab ba", "dc cd", "fee", "abba"]
    both = [*north, *south, "--adapter", "auto"]
    want = ["ab ba", "cd dc", "fee", "abba"]
    assert heard(manifest, tmp_path / "auto.jsonl", *both) == want
    assert heard(manifest, tmp_path / "again.jsonl", "--model", experts["base"], *both) == want
    capfd.readouterr()
    assert run(["transcribe", *map(str, [manifest.parent / "1.wav", *both, "--quiet"])]) == 0
    assert capfd.readouterr().out.strip() == want[1]
    told = json.loads(settings_path(tmp_path / "auto.jsonl").read_text(encoding="utf-8"))
    assert str(experts["south"]) in told["model"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--adapter", "auto"], "give each with --adapter FOLDER too"),
        (["--adapter", "NORTH", "--adapter", "SOUTH"], "add --adapter auto"),
        (["--adapter", "NORTH", "--adapter", "NORTH", "--adapter", "auto"], "twice"),
        (["--adapter", "NORTH", "--runtime", "ctranslate2"], "does not support adapters"),
        (["--adapter", "NORTH", "--runtime", "onnx"], "does not support adapters"),
        (["--adapter", "BASE"], "holds no adapter"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    experts: dict[str, Path],
    manifest: Path,
    options: list[str],
    words: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    named = [str(experts.get(option.lower(), option)) for option in options]
    assert run(["evaluate", str(manifest), *named]) in (2, 3)
    assert words in capfd.readouterr().err
