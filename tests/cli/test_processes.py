"""A manifest over two real processes: every row once, in order, resumable, one voice, the right status."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from asr_adapt.cli.app import run as command
from tests.launching import kill, launch, run, start

WORDS = ["bad cafe", "gag", "a b c d", "face", "dab", "fed bead", "cab", "age deaf", "egad", "ace"]


@pytest.fixture
def corpus(speak, tmp_path) -> Callable[[int, float], Path]:
    return lambda rows, pause: write(speak, tmp_path, rows, pause)


def write(speak, tmp_path: Path, count: int, pause: float) -> Path:
    rows = []
    for number in range(count):
        words = WORDS[number % len(WORDS)]
        speak(f"audio/{number}.wav", words, pause=pause + number / 40)
        rows.append({"audio_filepath": f"audio/{number}.wav", "text": words, "id": f"r{number}"})
    path = tmp_path / "m.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def predictions(path: Path) -> list[tuple[str, str]]:
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [(row["id"], row["pred_text"]) for row in rows]


def noted(journals: Path) -> int:
    """Rows that the processes have written down; the first line of a journal says what it belongs to."""
    return sum(max(0, len(p.read_text().splitlines()) - 1) for p in journals.glob("*.jsonl"))


def test_evaluate_on_two_after_a_kill_writes_each_row_once_in_order(corpus, tone_model, tmp_path):
    manifest = corpus(60, 14.0)  # long pauses: each process has more than one pool of rows to hear
    output = tmp_path / "p.jsonl"
    with manifest.open("a") as handle:
        handle.write('{"audio_filepath": "audio/gone.wav", "text": "a", "id": "gone"}\n')
    options = ["evaluate", str(manifest), "--model", str(tone_model), "-o", str(output), "--json"]
    process = start(launch(2, *options, "--batch-size", "1"))
    journals = tmp_path / ".p.jsonl.partial"
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline and process.poll() is None and not noted(journals):
        time.sleep(0.002)
    kill(process)
    assert not output.exists(), "the run was to be killed on its way"
    assert 0 < noted(journals) < 60
    result = run(launch(2, *options))
    assert result.returncode == 1, "a row failed"
    score = json.loads(result.stdout)
    assert score["rows"] == 60 and score["failed_rows"] == 1 and score["wer"] == 0.0
    assert result.stderr.count("gone.wav") == 1
    assert predictions(output) == [(f"r{n}", WORDS[n % len(WORDS)]) for n in range(60)]
    assert not journals.exists()


def test_transcribe_on_two_goes_to_one_file_and_to_a_folder(corpus, tone_model, tmp_path):
    manifest = corpus(12, 0.2)
    alone, both, folder = tmp_path / "alone.jsonl", tmp_path / "both.jsonl", tmp_path / "texts"
    options = ["transcribe", str(manifest), "--model", str(tone_model), "--quiet"]
    assert command([*options, "-o", str(alone)]) == 0
    result = run(launch(2, *options, "-o", str(both)))
    assert result.returncode == 0, result.stderr
    assert [strip(row) for row in both.open()] == [strip(row) for row in alone.open()]
    assert command([*options, "-o", str(folder)]) == 0
    (folder / "r7.txt").unlink()
    result = run(launch(2, *options[:-1], "-o", str(folder), "--skip-existing"))
    assert result.returncode == 0 and (folder / "r7.txt").is_file()
    assert result.stderr.count("1 transcribed; 11 already there") == 1


def strip(line: str) -> dict[str, object]:
    return {k: v for k, v in json.loads(line).items() if k not in ("time", "confidence", "words")}
