"""Words that a model writes where nobody speaks: environmental sounds, digital silence, faint noise.

    python benchmarks/bench_silence.py --models whisper-tiny.en runs/adapted \\
        --noise ../shared/data/esc10_noise

Each model is heard as ``transcribe`` and ``evaluate`` do it, and with ``--no-hallucination-checks``. An
adapted model beside its base shows whether adaptation taught it to write in silence: name the base first.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import soundfile
from report import add_write, hardware, publish, table

from asr_adapt import Decoding, evaluate
from asr_adapt.scoring import word_errors

RATE = 16_000
SECONDS = 60
#: RMS of the faint noise, as a share of full scale: -60 dB, a quiet room at a good microphone.
FAINT = 1e-3


@dataclass(frozen=True)
class Written:
    """What one model wrote in one set: words, rows that have any, rows that looped."""

    model: str
    sound: str
    checked: bool
    rows: int
    words: int
    rows_with_words: int
    looped_rows: int


def main(arguments: Sequence[str] | None = None) -> None:
    """Print, and with ``--write`` publish, the table; ``--json`` keeps the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["whisper-tiny.en"])
    parser.add_argument("--noise", type=Path, default=Path("../shared/data/esc10_noise"))
    parser.add_argument("--seconds", type=int, default=SECONDS, help="of silence, and of faint noise [60]")
    parser.add_argument("--json", type=Path, help="file for the figures")
    add_write(parser, "silence")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        sets = {
            "sounds": noise_manifest(options.noise, Path(folder)),
            **still_manifests(Path(folder), options.seconds),
        }
        found = list(measured(options.models, sets))
    if options.json is not None:
        options.json.write_text(json.dumps([asdict(one) for one in found], indent=2) + "\n", encoding="utf-8")
    publish("\n".join([*silence_table(found), "", hardware()]), "silence", options.write)


def noise_manifest(sounds: Path, folder: Path) -> Path:
    """A manifest of all sounds below ``sounds``, in which nobody speaks."""
    files = sorted(p for p in sounds.resolve().rglob("*") if p.suffix in (".ogg", ".wav", ".flac"))
    if not files:
        raise SystemExit(f"{sounds}: holds no .ogg, .wav or .flac; give the folder of sounds with --noise.")
    return _manifest(folder / "sounds.jsonl", files)


def still_manifests(folder: Path, seconds: int) -> dict[str, Path]:
    """``silence`` and ``faint noise``, each one file of ``seconds``."""
    faint = FAINT * np.random.default_rng(0).standard_normal(seconds * RATE)
    found = {}
    for name, samples in (("silence", np.zeros(seconds * RATE)), ("faint noise", faint)):
        path = folder / f"{name.replace(' ', '_')}.wav"
        soundfile.write(path, samples, RATE)
        found[f"{name}, {seconds} s"] = _manifest(path.with_suffix(".jsonl"), [path])
    return found


def _manifest(path: Path, files: Sequence[Path]) -> Path:
    rows = (json.dumps({"audio_filepath": str(file), "id": file.name, "text": ""}) for file in files)
    path.write_text("".join(row + "\n" for row in rows), encoding="utf-8")
    return path


def measured(models: Sequence[str], sets: dict[str, Path]) -> Iterator[Written]:
    """Every model on every set, without and with the checks."""
    for model in models:
        for sound, manifest in sets.items():
            for checked in (False, True):
                found = evaluate(manifest, model=model, decoding=Decoding(hallucination_checks=checked))
                if found.failures:
                    raise SystemExit(found.failures[0].message)
                own = [word_errors([""], [text]).insertions for text in found.hypotheses]
                counts = (len(own), sum(own), sum(count > 0 for count in own), sum(found.looped))
                yield Written(Path(model).name, sound, checked, *counts)


def silence_table(found: Sequence[Written]) -> list[str]:
    """One line for each model and set: words without and with the checks."""
    rows = []
    for plain, checked in zip(found[::2], found[1::2], strict=True):
        cells = [f"{one.words} in {one.rows_with_words}" for one in (plain, checked)]
        rows.append([plain.model, plain.sound, plain.rows, *cells, plain.looped_rows])
    heads = ["model", "sound", ">clips", ">words, unchecked", ">words, checked", ">clips looped"]
    return table(heads, rows)


if __name__ == "__main__":
    main()
