"""Long audio before and after tuning on short clips: what clips alone, packed clips and windows teach.

    python benchmarks/bench_tuned_long.py --data ../shared/data --model whisper-tiny.en --output runs/long
    python benchmarks/bench_tuned_long.py --output runs/long --model whisper-tiny.en --write

Every variant tunes all layers of the same base on the heavy band of speechocean762 with the same steps,
replay and seed; what differs is how the clips come: each alone in 30 s of silence, with silent rows, several
packed into a window, with timestamps around each, or as ``asr-adapt manifest join`` makes windows of
recordings (of the same clips, one behind another with pauses, noise and music between), with the text before
as a prompt. Measured: the heavy band's test clips (other speakers); 20 minutes of joined utterances with gaps
(``long_audio``), by this package and by transformers' own long form, which follows the timestamps that a
model writes; the share of right words whose time lies within half a second of their utterance; and words in
20 minutes in which nobody speaks. What was measured is kept under OUTPUT and not measured again.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jiwer
import numpy as np
import real_corpora as corpora
import soundfile
from long_audio import RATE, LongAudio, Noises, long_noise, long_speech
from report import add_write, hardware, hardware_on, publish, table
from side_by_side import add_workers, measure_missing, told

from asr_adapt import evaluate, load
from asr_adapt.audio import read_audio
from asr_adapt.manifest import Manifest, Utterance, write_manifest
from asr_adapt.manifest.windows import joined_rows
from asr_adapt.scoring import word_errors
from asr_adapt.text import normalise
from asr_adapt.training import adapt, build_recipe

SEED, STEPS = 1, 60
PROFILE = "whisper-en"
#: Seconds that a word may lie outside its utterance.
TOLERANCE = 0.5
#: Variant → what its recipe says besides; ``train`` names its manifest.
VARIANTS: dict[str, dict[str, Any]] = {
    "clips alone": {"batch": {"pack": False}, "silence": {"share": 0.0}},
    "clips alone, silent rows": {"batch": {"pack": False}},
    "packed clips, silent rows (default)": {},
    "the same, half with timestamps": {"decoder": {"timestamps_share": 0.5}},
    "windows of recordings, half with timestamps": {
        "train": "windows",
        "batch": {"pack": False},
        "decoder": {"timestamps_share": 0.5},
    },
    "the same, half with the text before": {
        "train": "windows",
        "batch": {"pack": False},
        "decoder": {"timestamps_share": 0.5, "previous_text_share": 0.5},
    },
}
BASE = "base"
#: Options that each part is told.
TOLD = ("data", "output", "model", "device", "minutes", "steps", "rows")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what is missing; print, with ``--write`` publish, the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--output", type=Path, default=Path("runs/tuned-long"))
    parser.add_argument("--model", default="whisper-tiny.en")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--minutes", type=float, default=20.0, help="of speech, and of noise")
    parser.add_argument(
        "--rows", type=int, help="only so many rows of each part, to show that all of it runs"
    )
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--only", action="append", choices=[BASE, *VARIANTS], help="only these variants")
    add_workers(parser)
    add_write(parser, "tuned-long")
    options = parser.parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    missing = [n for n in options.only or [BASE, *VARIANTS] if not kept(options, n).is_file()]
    if options.workers > 1 and missing:
        prepared(options)  # once, before the processes
    command = [__file__, *told(options, *TOLD)]
    measure_missing(options, command, missing, partial(kept, options), partial(measured, options))
    found = {n: kept(options, n) for n in (BASE, *VARIANTS)}
    publish(
        "\n".join(written(options, {n: p for n, p in found.items() if p.is_file()})),
        "tuned-long",
        options.write,
    )


def kept(options: argparse.Namespace, name: str) -> Path:
    """Where the figures of a variant are."""
    stem = "".join(c if c.isalnum() else "-" for c in name)
    return Path(options.output) / f"{stem}.json"


def prepared(options: argparse.Namespace) -> dict[str, Path]:
    """Manifests: clips, windows of recordings made of the same clips, dev, replay, heavy test."""
    own = options.output / "manifests"
    task, native = corpora.speechocean(options.data, own), corpora.native(options.data, own)
    paths = {"clips": task.parts["train"], "dev": task.parts["dev"], "replay": native["replay"]}
    paths |= {"heavy": own / "heavy_test.jsonl", "windows": own / "windows.jsonl"}
    if not paths["heavy"].is_file():
        test = [row for row in Manifest.open(task.parts["test"]) if row.accent == "heavy"]
        write_manifest(paths["heavy"], test)
    if not paths["windows"].is_file():
        rows = list(recordings(list(Manifest.open(paths["clips"])), options.data, own / "recordings"))
        write_manifest(paths["windows"], joined_rows(rows, 30.0))
    if options.rows is not None:
        for name, path in list(paths.items()):
            paths[name] = path.with_name(f"first_{path.name}")
            if not paths[name].is_file():
                write_manifest(paths[name], list(Manifest.open(path))[: options.rows])
    return paths


def recordings(rows: Sequence[Utterance], data: Path, folder: Path) -> Iterator[Utterance]:
    """The clips of each speaker, one behind another with gaps, in a recording; rows are where they lie."""
    rng = random.Random(SEED)
    folder.mkdir(parents=True, exist_ok=True)
    for speaker in sorted({row.speaker or "" for row in rows}):
        sounds, at = Noises(data, rng), 0
        parts: list[np.ndarray] = []
        path = folder / f"{speaker}.flac"
        for row in rows:
            if row.speaker == speaker:
                clip = read_audio(row.audio_path, offset=row.offset, duration=row.duration)
                start, parts = at / RATE, [*parts, clip, sounds.gap()]
                at += len(parts[-2]) + len(parts[-1])
                yield row.replace(
                    audio_filepath=str(path.resolve()), offset=start, duration=len(clip) / RATE, extra={}
                )
        soundfile.write(path, np.concatenate(parts), RATE)


def measured(options: argparse.Namespace, name: str) -> dict[str, Any]:
    """Train the variant where it is none yet, and hear everything with it."""
    paths, model = prepared(options), str(options.model)
    found: dict[str, Any] = {
        "variant": name,
        "model": Path(model).name,
        "hardware": hardware_on(options.device),
    }
    if name != BASE:
        folder = kept(options, name).with_suffix("")
        if not (folder / "summary.json").is_file():
            recipe = build_recipe(recipe_of(options, paths, VARIANTS[name]))
            adapt(recipe, folder, resume=(folder / "checkpoints").is_dir(), quiet=True)
        summary = json.loads((folder / "summary.json").read_text())
        found["training_seconds"], model = summary["training_seconds"], str(folder)
    scored = evaluate(paths["heavy"], model=model, device=options.device)
    errors = word_errors(scored.references, scored.hypotheses, "basic")
    found["heavy"] = errors.wer
    speech = long_speech(options.data, 60 * options.minutes)
    recogniser = load(model, device=options.device, compute_type="float32")
    own = recogniser.transcribe(speech.samples, word_timestamps=True)
    found["long"] = _errors(speech, own.text)
    found["in_place"] = in_place(speech, [(w.text, (w.start + w.end) / 2) for w in own.words])
    noise = recogniser.transcribe(long_noise(options.data, 60 * options.minutes).samples)
    found["noise"] = len(noise.text.split())
    found["pipeline"] = _errors(speech, by_transformers(model, speech.samples, options.device))
    return found


def recipe_of(options: argparse.Namespace, paths: dict[str, Path], variant: dict[str, Any]) -> dict[str, Any]:
    """The starting values, with what the variant says; dev is heard once, at the end."""
    more = {key: value for key, value in variant.items() if key != "train"}
    return {
        "model": options.model,
        "train": str(paths[variant.get("train", "clips")]),
        "dev": str(paths["dev"]),
        "replay": {"manifest": str(paths["replay"])},
        "strategy": {"name": "full"},
        "schedule": {"steps": options.steps},
        "evaluation": {"every": options.steps},
        "checkpoint_every": options.steps,
        "invalid_rows": "drop",
        "device": options.device,
        "seed": SEED,
        **more,
    }


def in_place(speech: LongAudio, words: Sequence[tuple[str, float]]) -> float:
    """Of the words that are right, the share whose middle lies within an utterance that says them, give or
    take :data:`TOLERANCE`."""
    said = [
        (word, start - TOLERANCE, end + TOLERANCE)
        for text, (start, end) in zip(speech.texts, speech.spans, strict=True)
        for word in normalise(text, "basic").split()
    ]
    heard = [(word, time) for text, time in words for word in normalise(text, "basic").split()]
    aligned = jiwer.process_words([" ".join(w for w, *_ in said)], [" ".join(w for w, _ in heard)])
    right = [
        said[chunk.ref_start_idx + n][1]
        <= heard[chunk.hyp_start_idx + n][1]
        <= said[chunk.ref_start_idx + n][2]
        for chunk in aligned.alignments[0]
        if chunk.type == "equal"
        for n in range(chunk.ref_end_idx - chunk.ref_start_idx)
    ]
    return sum(right) / max(1, len(right))


def by_transformers(model: str, samples: np.ndarray, device: str) -> str:
    """The recording as transformers' pipeline hears it by itself, with timestamps, at its own defaults."""
    import torch
    from transformers import pipeline

    from asr_adapt.models import load_recogniser

    place = "cuda" if "cuda" in device and torch.cuda.is_available() else "cpu"
    own = load_recogniser(model, device=place, compute_type="float32")
    parts = {"tokenizer": own.processor.tokenizer, "feature_extractor": own.processor.feature_extractor}
    made: Any = pipeline("automatic-speech-recognition", model=own.model, device=place, **parts)
    return str(made(samples.copy(), return_timestamps=True)["text"]).strip()


def _errors(speech: LongAudio, text: str) -> dict[str, Any]:
    errors = word_errors([speech.reference], [text], PROFILE)
    return {"wer": errors.wer, "deletions": errors.deletions, "insertions": errors.insertions, "text": text}


def written(options: argparse.Namespace, paths: dict[str, Path]) -> list[str]:
    """The section: a line a variant."""
    found = {name: json.loads(path.read_text()) for name, path in paths.items()}
    heads = ["", ">heavy clips", ">long: WER", ">deleted", ">inserted", ">words in place", ">words in noise"]
    heads += [">transformers: WER", ">deleted", ">inserted"]
    rows = []
    for name, one in found.items():
        own, other = one["long"], one["pipeline"]
        rows.append(
            (
                name,
                f"{one['heavy']:.1%}",
                *(f"{own['wer']:.1%}", str(own["deletions"]), str(own["insertions"])),
                f"{one['in_place']:.1%}",
                str(one["noise"]),
                *(f"{other['wer']:.1%}", str(other["deletions"]), str(other["insertions"])),
            )
        )
    machines: dict[str, list[str]] = {}
    for name, one in found.items():
        machines.setdefault(one["hardware"], []).append(name)
    where = [
        f"{machine}: {'; '.join(names)}" if len(machines) > 1 else machine
        for machine, names in (machines or {hardware(): []}).items()
    ]
    return [
        "## Long audio after tuning on short clips",
        "",
        f"`benchmarks/bench_tuned_long.py`: {Path(options.model).name}, all layers, {options.steps}",
        f"steps on the heavy band of speechocean762, seed {SEED}; {options.minutes:g} minutes of joined",
        "utterances with gaps and as much without speech; *transformers*: its pipeline's own long form on",
        "the same recording.",
        f"{'. '.join(where)}.",
        "",
        *table(heads, rows),
    ]


if __name__ == "__main__":
    main()
