"""Scale of the manifest room: a million rows opened, sampled, checked; audio files checked a second.

    python benchmarks/bench_manifest.py [--rows 1000000] [--clips 2000] [--workers 2]

Prints one JSON object. Each measurement runs in a process of its own, so that its memory is its own; memory
is the largest resident set of that process and, for checks, of its largest worker.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from report import add_write, replace_block

RATE = 16_000


def write_rows(path: Path, rows: int) -> None:
    """A manifest shaped like a large read-speech corpus, about 200 bytes a row."""
    rng = np.random.default_rng(0)
    words = [
        "the",
        "of",
        "and",
        "time",
        "people",
        "water",
        "house",
        "great",
        "morning",
        "under",
        "never",
        "paper",
    ]
    with path.open("w", encoding="utf-8") as handle:
        for number in range(rows):
            count = 4 + number % 11
            text = " ".join(words[i] for i in rng.integers(0, len(words), count))
            row = {
                "audio_filepath": f"clips/{number % 1000:03d}/utterance-{number:07d}.flac",
                "id": f"utterance-{number:07d}",
                "duration": round(0.38 * count + 0.3, 3),
                "text": text,
                "speaker": f"s{number % 5000}",
                "accent": f"a{number % 12}",
            }
            handle.write(json.dumps(row) + "\n")


def write_clips(folder: Path, clips: int) -> Path:
    """Three-second 16 kHz WAV clips of shaped noise, and their manifest."""
    rng = np.random.default_rng(1)
    lines = []
    for number in range(clips):
        samples = 0.1 * rng.standard_normal(3 * RATE)
        soundfile.write(folder / f"{number}.wav", samples, RATE)
        row = {
            "audio_filepath": f"{number}.wav",
            "id": str(number),
            "duration": 3.0,
            "text": "some words " * 3,
        }
        lines.append(json.dumps(row))
    path = folder / "clips.jsonl"
    path.write_text("\n".join(lines) + "\n")
    return path


def open_and_sample(path: str) -> dict[str, float]:
    """Open and read 1,000 random rows."""
    from asr_adapt.manifest import Manifest

    start = time.perf_counter()
    manifest = Manifest.open(path)
    opened = time.perf_counter() - start
    for row in np.random.default_rng(2).integers(0, len(manifest), 1_000).tolist():
        manifest[row].audio_path  # noqa: B018 - the row is parsed by reading it
    return {"open_s": opened, "open_and_1000_rows_s": time.perf_counter() - start}


def read_durations(path: str) -> dict[str, float]:
    """All durations without parsing rows."""
    from asr_adapt.manifest import Manifest

    manifest = Manifest.open(path)
    start = time.perf_counter()
    hours = float(manifest.durations.sum()) / 3600
    return {"durations_s": time.perf_counter() - start, "hours": hours}


def read_stats(path: str) -> dict[str, float]:
    """``manifest stats``."""
    from asr_adapt.manifest import Manifest
    from asr_adapt.manifest.stats import compute_stats

    start = time.perf_counter()
    stats = compute_stats(Manifest.open(path))
    return {"stats_s": time.perf_counter() - start, "speakers": len(stats.fields["speaker"].rows)}


def check_rows(path: str, workers: int) -> dict[str, float]:
    """``manifest check --no-audio``."""
    return _check(path, workers, audio=False)


def check_clips(path: str, workers: int) -> dict[str, float]:
    """``manifest check --no-cache``."""
    return _check(path, workers, audio=True)


def _check(path: str, workers: int, audio: bool) -> dict[str, float]:
    from asr_adapt.manifest import Manifest
    from asr_adapt.manifest.check import CheckOptions, check_manifest

    start = time.perf_counter()
    report = check_manifest(Manifest.open(path), CheckOptions(audio=audio, workers=workers))
    seconds = time.perf_counter() - start
    errors = report.findings.count("error")
    return {"check_s": seconds, "rows_per_s": report.rows / seconds, "errors": errors}


def _measured(task: Callable[..., dict[str, float]], arguments: tuple[Any, ...], queue: Any) -> None:
    result = task(*arguments)
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    worker = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    queue.put(result | {"resident_mb": own, "worker_mb": worker})


def alone(task: Callable[..., dict[str, float]], *arguments: Any) -> dict[str, float]:
    """Run a task in a fresh process; returns its figures with its memory."""
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=_measured, args=(task, arguments, queue))
    process.start()
    result: dict[str, float] = queue.get()
    process.join()
    return {name: round(value, 3) for name, value in result.items()}


def table(report: dict[str, Any]) -> str:
    """The figures beside their targets, in Markdown."""
    opened, check, audio = report["open"], report["check"], report["audio_check"]
    return "\n".join(
        [
            "## Manifests at scale",
            "",
            f"`benchmarks/bench_manifest.py`: {report['rows']:,} rows ({report['megabytes']:g} MB), "
            "two cores.",
            "Memory is the largest resident set of the process.",
            "",
            "| measurement | result | memory | target |",
            "|---|--:|--:|---|",
            f"| open and read 1,000 random rows | {opened['open_and_1000_rows_s']:.2f} s "
            f"| {opened['resident_mb']:.0f} MB | ≤ 2 s, ≤ 300 MB |",
            f"| all durations | {report['durations']['durations_s']:.1f} s "
            f"| {report['durations']['resident_mb']:.0f} MB | |",
            f"| `manifest stats` | {report['stats']['stats_s']:.1f} s "
            f"| {report['stats']['resident_mb']:.0f} MB | |",
            f"| `manifest check --no-audio` | {check['check_s']:.1f} s "
            f"| {check['resident_mb']:.0f} MB | ≤ 30 s, ≤ 300 MB |",
            f"| `manifest check`, 3 s WAV clips | {audio['rows_per_s']:.0f} files/s "
            f"| {audio['resident_mb']:.0f} MB | ≥ 200 files/s |",
        ]
    )


def main() -> None:
    """Write the data, run every measurement, print JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--clips", type=int, default=2_000)
    parser.add_argument("--workers", type=int, default=2)
    add_write(parser, "manifest")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        large = folder / "large.jsonl"
        write_rows(large, options.rows)
        clips = write_clips(folder, options.clips)
        report = {
            "rows": options.rows,
            "megabytes": round(large.stat().st_size / 1e6, 1),
            "open": alone(open_and_sample, str(large)),
            "durations": alone(read_durations, str(large)),
            "stats": alone(read_stats, str(large)),
            "check": alone(check_rows, str(large), options.workers),
            "audio_check": alone(check_clips, str(clips), options.workers),
        }
    print(json.dumps(report, indent=2))
    if options.write:
        replace_block(options.write, "manifest", table(report))


if __name__ == "__main__":
    main()
