"""Long audio: one file made of real utterances with gaps, against the same utterances one by one.

Shows the WER of both, the peak memory of the process that transcribed the long file, and that a run killed
half-way goes on to the same transcript. The long file is FLAC at 16 kHz, streamed.

    python benchmarks/bench_long_bases.py --manifest M.jsonl [--hours 2] [--segmenter windows] --write
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
from typing import Any

import numpy as np
import soundfile
from report import add_write, hardware, publish, table

from asr_adapt import evaluate
from asr_adapt.audio import read_audio
from asr_adapt.manifest import Manifest, Utterance
from asr_adapt.scoring import word_errors

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
        sys.exit("bench_long_bases: transcription failed")
    return usage.ru_maxrss / 1e6  # Linux counts it in kilobytes


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--manifest", required=True)
    parser.add_argument("--hours", type=float, default=2.0)
    parser.add_argument("--model", default="nano-en")
    parser.add_argument("--segmenter", default="windows")
    parser.add_argument("--seed", type=int, default=0)
    add_write(parser, "long-SEGMENTER")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        result = measure(options, Path(name))
    publish(document(result, options), f"long-{options.segmenter}", options.write)


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """The long file transcribed whole, and again with a kill half-way; its utterances one by one."""
    long = folder / "long.flac"
    used = write_long(Manifest.open(options.manifest), long, 3600 * options.hours, options.seed)
    started = time.perf_counter()
    memory = transcribe_file(long, folder / "whole", options, None)
    seconds = time.perf_counter() - started
    transcribe_file(long, folder / "killed", options, seconds / 2)
    journals = list((folder / "killed").glob(".*.partial.jsonl"))
    transcribe_file(long, folder / "killed", options, None)
    texts = [json.loads((folder / n / "long.json").read_text())["text"] for n in ("whole", "killed")]
    single = evaluate(used, model=options.model)
    reference = " ".join(row.text or "" for row in used)
    return {
        "utterances": len(used),
        "wer_long": word_errors([reference], [texts[0]]).wer,
        "wer_single": word_errors(single.references, single.hypotheses).wer,
        "memory": memory,
        "speed": 3600 * options.hours / seconds,
        "journal": bool(journals),
        "same": texts[0] == texts[1],
    }


def document(result: dict[str, Any], options: argparse.Namespace) -> str:
    """The section of the document."""
    rows = [
        ("WER of the long file", f"{result['wer_long']:.2%}", ""),
        ("WER of the utterances one by one", f"{result['wer_single']:.2%}", "within 1 point"),
        ("peak memory", f"{result['memory']:.2f} GB", "≤ 1.5 GB"),
        ("speed, RTFx", f"{result['speed']:.0f}", ""),
        ("killed half-way: journal found", "yes" if result["journal"] else "no", "yes"),
        ("killed half-way: same transcript", "yes" if result["same"] else "no", "yes"),
    ]
    lines = [
        f"## Long audio: {options.segmenter}",
        "",
        f"`benchmarks/bench_long_bases.py`: `{options.model}`, {options.hours:g} h made of",
        f"{result['utterances']} utterances of {Path(options.manifest).name} with gaps, seed {options.seed};",
        f"{hardware()}.",
        "",
    ]
    return "\n".join([*lines, *table(["", ">result", "target"], rows)])


if __name__ == "__main__":
    main()
