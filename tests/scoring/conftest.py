"""Predictions with a known accent gap, written as a real file."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

WORDS = [f"w{i}" for i in range(300)]


def make_rows(
    rates: dict[str, float], *, speakers_each: int = 10, rows_each: int = 12, seed: int = 0, **extra: Any
) -> list[dict[str, Any]]:
    """Rows in which each accent drops or changes a given share of its words."""
    generator = random.Random(seed)
    rows = []
    for accent, rate in rates.items():
        for number in range(speakers_each * rows_each):
            words = [generator.choice(WORDS) for _ in range(10)]
            heard = [w if generator.random() > rate else generator.choice(WORDS) for w in words]
            rows.append(
                {
                    "audio_filepath": f"{accent}/{number}.wav",
                    "id": f"{accent}-{number}",
                    "duration": 3.0,
                    "text": " ".join(words),
                    "pred_text": " ".join(heard),
                    "speaker": f"{accent}-s{number % speakers_each}",
                    "accent": accent,
                    "gender": "fm"[number % 2],
                    **extra,
                }
            )
    return rows


def spoil(rows: list[dict[str, Any]], accent: str | None, rate: float, seed: int = 1) -> list[dict[str, Any]]:
    """The same rows with a share of the recognised words of one accent (or all) dropped."""
    generator = random.Random(seed)
    spoiled = []
    for row in rows:
        if accent in (None, row["accent"]):
            words = [w for w in row["pred_text"].split() if generator.random() > rate]
            row = row | {"pred_text": " ".join(words)}
        spoiled.append(row)
    return spoiled


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    """One JSON object a line; returns the path."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def rows() -> list[dict[str, Any]]:
    return make_rows({"scottish": 0.3, "us": 0.05})


@pytest.fixture
def predictions(tmp_path: Path, rows: list[dict[str, Any]]) -> Path:
    return write_rows(tmp_path / "predictions.jsonl", rows)
