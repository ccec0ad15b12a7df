"""Long audio: one file made of real utterances with gaps, against the same utterances one by one.

Shows the WER of both, the peak memory of the process that transcribed the long file, and that a run killed
half-way goes on to the same transcript. The long file is FLAC at 16 kHz, streamed.

Run: python scripts/bench_long.py --manifest M.jsonl [--hours 2] [--model nano-en] [--segmenter windows]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

from asr_adapt.audio import read_audio
from asr_adapt.manifest import Manifest, Utterance
from asr_adapt.scoring import word_errors
from asr_adapt.transcription import evaluate

RATE = 16_000


def write_long(rows: Manifest, path: Path, seconds: float, seed: int = 0) -> list[Utterance]:
    """Utterances in random order with gaps of 0.3 to 3 s until ``seconds`` are full; returns them."""
    rng = random.Random(seed)
    used: list[Utterance] = []
    total = 0.0
    with soundfile.SoundFile(path, "w", RATE, 1, format="FLAC") as handle:
        while total < seconds:
            row = rows[rng.randrange(len(rows))]
            samples = read_audio(row.audio_path, offset=row.offset, duration=row.duration)
            gap = np.zeros(round(rng.uniform(0.3, 3.0) * RATE), np.float32)
            handle.write(np.concatenate([samples, gap]))
            total += (len(samples) + len(gap)) / RATE
            used.append(row.replace(id=f"{row.id}#{len(used)}"))
    return used


def transcribe_file(path: Path, output: Path, options: argparse.Namespace, kill_after: float | None) -> float:
    """Run the command; returns its peak memory in GB. ``kill_after`` seconds it is killed with SIGKILL."""
    command = [sys.executable, "-m", "asr_adapt", "transcribe", path, "-o", output, "-f", "json", "-q"]
    command += ["--model", options.model, "--segmenter", options.segmenter]
    child = subprocess.Popen([str(part) for part in command])
    if kill_after is not None:
        time.sleep(kill_after)
        child.send_signal(signal.SIGKILL)
    _, status, usage = os.wait4(child.pid, 0)
    if kill_after is None and status != 0:
        sys.exit("bench_long: transcription failed")
    return usage.ru_maxrss / 1e6  # Linux counts it in kilobytes


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--manifest", required=True)
    parser.add_argument("--hours", type=float, default=2.0)
    parser.add_argument("--model", default="nano-en")
    parser.add_argument("--segmenter", default="windows")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        used = write_long(Manifest.open(options.manifest), folder / "long.flac", 3600 * options.hours)
        started = time.perf_counter()
        memory = transcribe_file(folder / "long.flac", folder / "whole", options, None)
        seconds = time.perf_counter() - started
        transcribe_file(folder / "long.flac", folder / "killed", options, seconds / 2)
        kept = (
            [path for path in (folder / "killed").glob(".*.partial.jsonl")]
            if (folder / "killed").exists()
            else []
        )
        transcribe_file(folder / "long.flac", folder / "killed", options, None)
        texts = [json.loads((folder / n / "long.json").read_text())["text"] for n in ("whole", "killed")]
        single = evaluate(used, model=options.model)
        reference = " ".join(row.text or "" for row in used)
        result = {
            "hours": options.hours,
            "utterances": len(used),
            "segmenter": options.segmenter,
            "wer_long": word_errors([reference], [texts[0]]).wer,
            "wer_single": word_errors(single.references, single.hypotheses).wer,
            "peak_memory_gb": round(memory, 2),
            "times_real_time": round(3600 * options.hours / seconds, 1),
            "journal_found_after_kill": bool(kept),
            "same_after_kill": texts[0] == texts[1],
        }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
