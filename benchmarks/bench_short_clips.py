"""Short clips in which a voice-activity detector hears nobody: words won, and words written in noise.

    python benchmarks/bench_short_clips.py --model whisper-tiny.en

One spoken digit a clip (FSDD), and sounds of ESC-10 cut to the longest that is heard whole.
Each set is transcribed as ``transcribe`` does it, and once with such clips left empty.
"""

from __future__ import annotations

import argparse
import logging
import random
from collections.abc import Sequence
from pathlib import Path
from unittest.mock import patch

import numpy as np
from report import add_write, hardware, publish, table

from asr_adapt import transcribe
from asr_adapt.audio import read_audio
from asr_adapt.models import Recogniser, load_recogniser
from asr_adapt.scoring import word_errors
from asr_adapt.text import normalise
from asr_adapt.transcription.longform import undetected

RATE = 16_000
DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print, and with ``--write`` publish, the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", default="whisper-tiny.en")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--clips", type=int, default=60, help="of each set, at most [60]")
    add_write(parser, "short-clips")
    options = parser.parse_args(arguments)
    logging.getLogger("asr_adapt").setLevel(logging.ERROR)  # not a line for each clip without speech
    recogniser = load_recogniser(options.model, device="cpu", compute_type="float32")
    rows = []
    for name, clips in (("digits", digits(options)), ("sounds", sounds(options))):
        for heard in (False, True):
            rows.append([name, len(clips), "whole" if heard else "empty", *counted(recogniser, clips, heard)])
    heads = ["set", ">clips", "nobody heard: clip is", ">words right", ">words inserted", ">clips with words"]
    lines = [
        "## Short clips in which the detector hears nobody",
        "",
        f"`benchmarks/bench_short_clips.py`, {options.model}; spoken digits (FSDD) and sounds of ESC-10.",
        "",
        *table(heads, rows),
        "",
        hardware(),
    ]
    publish("\n".join(lines), "short-clips", options.write)


def digits(options: argparse.Namespace) -> list[tuple[np.ndarray, str]]:
    """Spoken digits and what was said."""
    files = sorted((options.data / "fsdd").rglob("*.wav"))
    random.Random(0).shuffle(files)
    return [(read_audio(f, sample_rate=RATE), DIGITS[int(f.name[0])]) for f in files[: options.clips]]


def sounds(options: argparse.Namespace) -> list[tuple[np.ndarray, str]]:
    """Sounds in which nobody speaks."""
    files = sorted((options.data / "esc10_noise").rglob("*.ogg"))
    most = round(undetected.SHORT_SECONDS * RATE)
    random.Random(0).shuffle(files)
    return [(read_audio(f, sample_rate=RATE)[:most], "") for f in files[: options.clips]]


def counted(
    recogniser: Recogniser, clips: Sequence[tuple[np.ndarray, str]], whole: bool
) -> tuple[int, int, int]:
    """Words right, words inserted, and clips with any words."""
    with patch.object(undetected, "SHORT_SECONDS", undetected.SHORT_SECONDS if whole else 0.0):
        found = transcribe([clip for clip, _ in clips], model=recogniser)
    right = inserted = filled = 0
    for transcript, (_, said) in zip(found, clips, strict=True):
        text = normalise(transcript.text, "whisper-en")
        errors = word_errors([normalise(said, "whisper-en")], [text])
        right += errors.words - errors.substitutions - errors.deletions
        inserted += errors.insertions
        filled += bool(text)
    return right, inserted, filled


if __name__ == "__main__":
    main()
