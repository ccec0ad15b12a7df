"""Speed and memory of scoring: 100,000 utterances counted, 1,000 bootstrap replicates over 1,000 speakers.

Writes docs/scoring-speed.md. Every measurement is the best of three in a fresh process, in seconds of the
clock and of the processor (on a busy machine only the second says something).
Run: python benchmarks/bench_scoring.py [--output FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from asr_adapt.files import atomic_write

UTTERANCES, SPEAKERS, REPLICATES, REPEATS = 100_000, 1_000, 1_000, 3
TARGETS = {"bootstrap": "≤ 2 s", "count": "≤ 10 s", "score file": "≤ 10 s", "report of 10,000 rows": "–"}


def write_predictions(path: Path, rows: int) -> None:
    """Ten words an utterance, about 15 % errors."""
    generator = random.Random(0)
    words = [f"word{number}" for number in range(5_000)]
    with path.open("w", encoding="utf-8") as handle:
        for row in range(rows):
            said = [generator.choice(words) for _ in range(10)]
            heard = [
                w if generator.random() > 0.1 else generator.choice(words)
                for w in said
                if generator.random() > 0.05
            ]
            fields = {
                "audio_filepath": f"{row}.wav",
                "duration": 4.0,
                "text": " ".join(said).capitalize() + ".",
                "pred_text": " ".join(heard),
                "speaker": f"s{row % SPEAKERS}",
                "accent": f"a{row % 7}",
            }
            handle.write(json.dumps(fields) + "\n")


def bootstrap(folder: Path) -> None:
    """1,000 replicates × 100,000 utterances × 1,000 speakers."""
    from asr_adapt.scoring.bootstrap import speaker_blocks, wer_interval

    generator = np.random.default_rng(0)
    words = 3 + generator.poisson(7, UTTERANCES)
    errors = generator.binomial(words, 0.2)
    speakers = [f"s{number}" for number in generator.integers(0, SPEAKERS, UTTERANCES)]
    clock = Clock()
    wer_interval(errors, words, speaker_blocks(speakers, UTTERANCES), replicates=REPLICATES)
    clock.tell()


def count(folder: Path) -> None:
    """Normalise and count 100,000 pairs."""
    from asr_adapt.scoring import count_errors

    rows = [json.loads(line) for line in (folder / "many.jsonl").open(encoding="utf-8")]
    texts = [row["text"] for row in rows], [row["pred_text"] for row in rows]
    clock = Clock()
    count_errors(*texts)
    clock.tell()


def score_file(folder: Path) -> None:
    """Read, count, resample, per accent."""
    from asr_adapt.scoring import score

    clock = Clock()
    score(folder / "many.jsonl", by=["accent"])
    clock.tell()


def report(folder: Path) -> None:
    """Write the page of 10,000 rows."""
    from asr_adapt.scoring import write_report

    clock = Clock()
    write_report(folder / "report.html", [folder / "some.jsonl"], audio="none")
    clock.tell()


class Clock:
    """Seconds of the clock and of the processor since it was made, told as JSON."""

    def __init__(self) -> None:
        self.wall, self.processor = time.perf_counter(), time.process_time()

    def tell(self) -> None:
        """Print both, with the most memory that this process ever held."""
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        wall, processor = time.perf_counter() - self.wall, time.process_time() - self.processor
        print(json.dumps({"wall": wall, "processor": processor, "memory": memory}))


BENCHES = {"bootstrap": bootstrap, "count": count, "score file": score_file, "report of 10,000 rows": report}


def main() -> None:
    """Run every bench in processes of its own, or one of them here."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("docs/scoring-speed.md"))
    parser.add_argument("--bench", choices=BENCHES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.bench:
        BENCHES[options.bench](options.folder)
        return
    machine = f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    lines = [
        "# Speed of scoring",
        "",
        f"Written by `{Path(__file__).name}` on {machine}, Python {platform.python_version()}.",
        "",
        "| what | target | clock | processor | memory |",
        "|---|---|---:|---:|---:|",
    ]
    with tempfile.TemporaryDirectory() as name:
        write_predictions(Path(name) / "many.jsonl", UTTERANCES)
        write_predictions(Path(name) / "some.jsonl", 10_000)
        for bench, run in BENCHES.items():
            command = [sys.executable, __file__, "--bench", bench, "--folder", name]
            runs = [json.loads(subprocess.check_output(command)) for _ in range(REPEATS)]
            best = {key: min(run[key] for run in runs) for key in runs[0]}
            what = f"{bench}: {(run.__doc__ or '').strip()}"
            cells = f"{best['wall']:.2f} s | {best['processor']:.2f} s | {best['memory']:.0f} MB"
            lines.append(f"| {what} | {TARGETS[bench]} | {cells} |")
            print(lines[-1], flush=True)
    with atomic_write(options.output) as handle:
        handle.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
