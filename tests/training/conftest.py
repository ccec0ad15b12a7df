"""A small corpus of tones and a recogniser that mixes its letters up, so that training has a real task."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
import yaml
from safetensors.torch import load_file

from asr_adapt.training.callbacks.metrics import Metrics

WORDS = ["bad", "cafe", "face", "bead", "dab", "fed", "gab", "age", "cab", "deaf", "egg", "ace"]
WORDS = [w for w in WORDS if "gg" not in w]
LAST_DELIMITER = round(0.32 * 16_000)  # samples of a word's end, which the transcript's last word has not


@pytest.fixture(scope="session")
def muddled_model(tone_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tone recogniser with its letters swapped in pairs: it hears well and writes wrongly."""
    import torch
    from transformers import AutoModelForCTC, AutoProcessor

    folder = tmp_path_factory.mktemp("muddled") / "model"
    model = AutoModelForCTC.from_pretrained(tone_model)
    with torch.no_grad():
        order = [0, 1, 3, 2, 5, 4, 7, 6, 8, 9]  # a↔b, c↔d, e↔f, by a narrow margin
        weight = model.lm_head.weight
        weight.copy_(0.4 * weight + 0.6 * weight[order])
    model.save_pretrained(folder)
    AutoProcessor.from_pretrained(tone_model).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def corpus(say: Callable[..., np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``train``, ``dev``, ``guard`` manifests of spoken tones, two to four words each."""
    folder = tmp_path_factory.mktemp("corpus")
    chance = random.Random(0)
    for part, rows in (("train", 24), ("dev", 6), ("guard", 6)):
        lines = []
        for number in range(rows):
            text = " ".join(chance.choices(WORDS, k=chance.randint(2, 4)))
            wave, name = say(text)[:-LAST_DELIMITER], f"{part}-{number:02d}.wav"
            soundfile.write(folder / name, wave, 16_000)
            row = {
                "audio_filepath": name,
                "duration": len(wave) / 16_000,
                "text": text,
                "speaker": f"s{number % 3}",
            }
            lines.append(json.dumps(row))
        (folder / f"{part}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.fixture
def tree(corpus: Path, muddled_model: Path) -> dict[str, Any]:
    """A recipe as plain values: quick, deterministic, float32."""
    return {
        "model": str(muddled_model),
        "train": str(corpus / "train.jsonl"),
        "dev": str(corpus / "dev.jsonl"),
        "guard": str(corpus / "guard.jsonl"),
        "strategy": {"name": "head"},
        "optimiser": {"learning_rate": 1e-3, "head_learning_rate": 0.1, "gradient_clip": 0.0},
        "schedule": {"steps": 60, "kind": "constant"},
        "batch": {"seconds": 20.0},
        "evaluation": {"every": 20},
        "checkpoint_every": 5,
        "precision": "float32",
        "device": "cpu",
    }


def quick_tree(corpus: Path, model: Path, **more: Any) -> dict[str, Any]:
    """A recipe of eight steps for a tiny ``model`` on the spoken tones; ``more`` replaces sections."""
    return {
        "model": str(model),
        "train": str(corpus / "train.jsonl"),
        "dev": str(corpus / "dev.jsonl"),
        "optimiser": {"learning_rate": 1e-3},
        "schedule": {"steps": 8, "kind": "constant"},
        "batch": {"seconds": 20.0},
        "evaluation": {"every": 4, "rows": 2},
        "precision": "float32",
        "device": "cpu",
    } | more


@pytest.fixture
def recipe_path(tree: dict[str, Any], tmp_path: Path) -> Path:
    """The same as a YAML file."""
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(tree), encoding="utf-8")
    return path


class _Interruption(Exception):
    """Stands for whatever ends a process: nothing in the package catches it."""


@contextmanager
def interrupted(step: int) -> Iterator[None]:
    """Whatever is trained inside the block dies right after optimiser step ``step``."""
    report = Metrics.step_done

    def dying(self: Metrics, values: dict[str, Any], elapsed: float) -> None:
        report(self, values, elapsed)
        if values["step"] == step:
            raise _Interruption

    Metrics.step_done = dying  # type: ignore[method-assign]
    try:
        with pytest.raises(_Interruption):
            yield
    finally:
        Metrics.step_done = report  # type: ignore[method-assign]


def unequal_weights(one: Path, other: Path) -> list[str]:
    """Names of parameters that are not the same in both folders, bit for bit."""
    first, second = (load_file(folder / "model.safetensors") for folder in (one, other))
    common = first.keys() & second.keys()
    unequal = {name for name in common if not torch.equal(first[name], second[name])}
    return sorted(unequal | (first.keys() ^ second.keys()))
