"""Builds the corpus on which the bundled base is trained.

Synthetic US English (train voices, train sentences, recording conditions baked in) plus the mild speakers
of speechocean762 *train*, as they are and in augmented copies, plus synthetic renderings of their texts.
Medium and heavy speakers and every test part are never read. Deterministic given ``--seed``.

    python pretraining/prepare_pretraining.py --output corpus --speechocean ../shared/data/speechocean762

writes ``part-*.wav`` (400 clips in a row each, int16 mono 16 kHz), ``manifest.jsonl`` (one row a clip, with
``offset``, ``duration``, ``kind``), the folders ``dev_us``, ``test_us`` (held-out voices and sentences) and
``dev_mild`` (mild speakers kept out of training), each with its ``manifest.jsonl``; at last ``READY``.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from asr_adapt.demo.conditions import Conditions, change_speed, pad, record
from asr_adapt.demo.corpus import SpokenSet, speak
from asr_adapt.demo.sentences import sentences
from asr_adapt.demo.synthesis import (
    SAMPLE_RATE,
    Voice,
    held_out_variants,
    spoken_form,
    synthesise,
    train_variants,
)
from asr_adapt.files import atomic_write
from asr_adapt.manifest import Manifest, Utterance, write_manifest
from asr_adapt.manifest.build import BuildOptions, open_build

sys.path.append(str(Path(__file__).resolve().parents[1] / "benchmarks"))

from accent_corpora import DEV_MILD

SHORTEST, LONGEST = 0.7, 8.0  # seconds of a clip
CHUNK = 400  # clips of one task; every task runs in a fresh process
SECONDS_A_CLIP = 2.6  # of synthetic speech, to turn hours into a number of sentences


@dataclass(frozen=True)
class Clip:
    """A clip to make: from ``path`` when it is real speech, otherwise spoken by espeak-ng."""

    text: str
    kind: str
    path: str = ""
    speaker: str = ""


@dataclass(frozen=True)
class Task:
    """Clips made together by one process; ``part`` is the WAV file that it writes.

    ``clean`` is the share of the synthetic clips without room and noise.
    """

    number: int
    seed: int
    part: Path
    clean: float
    clips: list[Clip] = field(default_factory=list)


def main(arguments: Sequence[str] | None = None) -> None:
    options = _parse(arguments)
    output: Path = options.output
    output.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    clips = _synthetic(options.hours, options.home, options.seed)
    if options.speechocean:
        mild = _mild(options.speechocean)
        kept = [row for row in mild if row.speaker not in DEV_MILD]
        clips += _real(kept, options.copies) + _renderings(kept, options.renderings)
        dev = [row for row in mild if row.speaker in DEV_MILD]
        write_manifest(output / "dev_mild" / "manifest.jsonl", dev)
    for spoken in _held_out(options.home):
        manifest = speak(spoken, output, options.set_seed)
        write_manifest(output / spoken.name / "manifest.jsonl", Manifest.open(manifest))
    tasks = _tasks(clips, options, output)
    seconds = _assemble(tasks, output, options.workers)
    report = f"{seconds / 3600:.1f} hours in {time.monotonic() - started:.0f} s"
    (output / "READY").write_text(report + "\n", encoding="utf-8")
    print(report)


def _held_out(home: float) -> list[SpokenSet]:
    """Sets that no training row meets; the home domain has its own where it is trained on."""
    voices = held_out_variants()
    found = [SpokenSet("dev_us", "us", "dev", voices, 300), SpokenSet("test_us", "us", "test", voices, 500)]
    if home:
        found += [
            SpokenSet("dev_home", "us", "dev", voices, 200, "home"),
            SpokenSet("test_home", "us", "test", voices, 500, "home"),
        ]
    return found


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--hours", type=float, default=40.0, help="of synthetic speech (default 40)")
    parser.add_argument(
        "--home", type=float, default=0.0, help="share of the synthetic sentences from the home domain"
    )
    parser.add_argument("--speechocean", type=Path, help="folder of speechocean762; left out: synthetic only")
    parser.add_argument("--copies", type=int, default=12, help="augmented copies of a real clip")
    parser.add_argument("--renderings", type=int, default=4, help="synthetic voices per real transcript")
    parser.add_argument(
        "--clean", type=float, default=Conditions().clean, help="share of synthetic clips left without a room"
    )
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--set-seed", type=int, default=1, help="seed of dev_us and test_us")
    return parser.parse_args(arguments)


def _synthetic(hours: float, home: float, seed: int) -> list[Clip]:
    """Clips to speak; the share ``home`` of them are voice commands and digit strings."""
    count = round(hours * 3600 / SECONDS_A_CLIP)
    commands = round(count * home)
    texts = sentences(commands, seed, part="train", domain="home")
    texts += sentences(count - commands, seed, part="train")
    return [Clip(text, "synthetic") for text in texts]


def _mild(folder: Path) -> list[Utterance]:
    """The mild speakers' utterances of the train part."""
    return [row for row in open_build(folder / "train", BuildOptions()).rows() if row.accent == "mild"]


def _real(mild: Sequence[Utterance], copies: int) -> list[Clip]:
    kinds = ["real", *["real_augmented"] * copies]
    return [
        Clip(row.text or "", kind, str(row.audio_path), row.speaker or "") for kind in kinds for row in mild
    ]


def _renderings(mild: Sequence[Utterance], voices: int) -> list[Clip]:
    return [Clip(row.text or "", "rendered") for row in mild] * voices


def _tasks(clips: list[Clip], options: argparse.Namespace, output: Path) -> list[Task]:
    order = np.random.default_rng(options.seed).permutation(len(clips))
    mixed = [clips[index] for index in order]
    chunks = [mixed[start : start + CHUNK] for start in range(0, len(mixed), CHUNK)]
    return [
        Task(n, options.seed, output / f"part-{n:04d}.wav", options.clean, chunk)
        for n, chunk in enumerate(chunks)
    ]


def _assemble(tasks: Sequence[Task], output: Path, workers: int) -> float:
    """Runs the tasks and collects their rows in ``manifest.jsonl``; seconds of audio."""
    seconds = 0.0
    context = multiprocessing.get_context("spawn")  # espeak-ng's state must be new in every process
    with (
        context.Pool(workers, maxtasksperchild=1) as pool,
        atomic_write(output / "manifest.jsonl") as manifest,
    ):
        for task, rows in zip(tasks, pool.imap(_make, tasks), strict=True):
            for row in rows:
                manifest.write(json.dumps(row) + "\n")
                seconds += float(row["duration"])
            if task.number % 10 == 9:
                print(f"{task.number + 1}/{len(tasks)} parts", file=sys.stderr, flush=True)
    return seconds


def _make(task: Task) -> list[dict[str, Any]]:
    """One task: writes its part, returns its manifest rows."""
    chance = np.random.default_rng((task.seed, task.number))
    rows: list[dict[str, Any]] = []
    recent: list[np.ndarray] = []
    with soundfile.SoundFile(task.part, "w", SAMPLE_RATE, 1, "PCM_16") as part:
        for clip in task.clips:
            wave, speaker = _source(clip, chance)
            recent = [*recent[-7:], wave]
            if clip.kind != "real":
                wave = record(pad(wave, chance), chance, recent[:-1], _conditions(clip, task.clean))
            wave = np.pad(wave, (0, max(0, round(SHORTEST * SAMPLE_RATE) - wave.size)))
            if wave.size <= LONGEST * SAMPLE_RATE:
                rows.append(_row(clip, task.part.name, (part.tell(), wave.size), speaker))
                part.write(wave)
    return rows


def _row(clip: Clip, part: str, samples: tuple[int, int], speaker: str) -> dict[str, Any]:
    """A manifest row of the clip; ``samples`` are its start in the part and its length."""
    start, length = samples
    return {
        "audio_filepath": part,
        "id": f"{Path(part).stem}-{start}",
        "duration": length / SAMPLE_RATE,
        "text": clip.text,
        "offset": start / SAMPLE_RATE,
        "speaker": speaker,
        "lang": "en",
        "kind": clip.kind,
    }


def _source(clip: Clip, chance: np.random.Generator) -> tuple[np.ndarray, str]:
    """The clip's voice before any room or noise, and who speaks."""
    if not clip.path:
        voice = _voice(chance, train_variants())
        wave = synthesise(spoken_form(clip.text), voice)
        vocal_tract = float(chance.uniform(0.88, 1.16)) if chance.random() < 0.6 else 1.0
        return change_speed(wave, vocal_tract), voice.variant
    wave, _ = soundfile.read(clip.path, dtype="float32")
    speed = float(chance.uniform(0.85, 1.15)) if clip.kind == "real_augmented" else 1.0
    return change_speed(wave, speed) if speed != 1.0 else wave, clip.speaker


def _conditions(clip: Clip, clean: float) -> Conditions:
    # A real recording has its own room and noise; what is added stays rarer.
    real = Conditions(clean=0.15, equaliser=0.6, room=0.25, noise=0.5, telephone=0.12)
    return real if clip.kind == "real_augmented" else Conditions(clean=clean)


def _voice(chance: np.random.Generator, variants: Sequence[str]) -> Voice:
    return Voice(
        language="en-us",
        variant=variants[int(chance.integers(len(variants)))],
        rate=int(chance.uniform(110, 230)),
        pitch=int(chance.uniform(15, 85)),
        pitch_range=int(chance.uniform(15, 90)),
        word_gap=int(chance.integers(1, 16)) if chance.random() < 0.25 else 0,
    )


if __name__ == "__main__":
    main()
