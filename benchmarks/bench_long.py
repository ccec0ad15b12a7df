"""Long audio with a real Whisper: ours, faster-whisper and transformers' pipeline on the same recordings.

One recording is made of real utterances with pauses, noise, music and silence between (``long_audio``), a
second one of noise, music and silence alone; twenty more are of mixed lengths. Every system
(``long_systems``) is a process of its own on one core: WER under the whisper-en profile, deletions,
insertions, CPU seconds without loading, peak memory of the process, words written where nobody speaks.

    python benchmarks/bench_long.py --data DATA --model whisper-tiny.en --ctranslate2 DIR --results OUT \\
        --write

``--ctranslate2`` holds the same weights in CTranslate2's format (``asr-adapt export --to ctranslate2``).
What is measured is written to ``--results`` row by row: a run that was stopped goes on where it was, and
``--row`` adds rows to those that are there. With ``--more-seeds`` other recordings are made, and what was
measured on all of them is counted together (``long_together``): one recording says little.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import soundfile
from long_audio import RATE, LongAudio, long_noise, long_speech
from long_checks import killed_and_resumed
from long_systems import MANY, QUIET, ROWS
from long_together import together
from report import add_write, hardware, publish, table

#: The model of the blocks whose names say no other.
MODEL = "whisper-tiny.en"
#: Minutes of the twenty files in all, and the shortest and longest in seconds.
MANY_FILES, SHORT, LONG = 20, 4.0, 240.0
STARTED = time.monotonic()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of the corpora")
    parser.add_argument("--model", default=MODEL, help="for each model a folder of --results of its own")
    parser.add_argument("--ctranslate2", type=Path, required=True, help="the same weights, for CTranslate2")
    parser.add_argument(
        "--results", type=Path, required=True, help="folder of what is measured, made if absent"
    )
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--more-seeds", type=int, nargs="+", default=[], help="further recordings")
    parser.add_argument("--minutes-left", type=float, default=1e9, help="stop before a row after so long")
    parser.add_argument("--row", action="append", choices=ROWS, help="only these; may be repeated")
    parser.add_argument("--part", action="append", choices=("speech", "noise", "many", "resume"))
    add_write(parser, "long-audio")
    options = parser.parse_args()
    name = "long-audio" if options.minutes == 20.0 else f"long-audio-{options.minutes:g}-minutes"
    name += "" if options.model == MODEL else f"-{Path(options.model).name}"
    benches = [Bench(options, seed) for seed in (options.seed, *options.more_seeds)]
    texts = [bench.run() for bench in benches]
    if len(benches) == 1:
        publish(texts[0], name, options.write)
    else:
        publish("\n".join(together(benches)), f"{name}-together", options.write)


class Bench:
    """The recordings, and what was measured on them so far."""

    def __init__(self, options: argparse.Namespace, seed: int) -> None:
        self.options, self.folder, self.seed = options, options.results, seed
        self.folder.mkdir(parents=True, exist_ok=True)
        seconds = 60 * options.minutes
        self.speech = long_speech(options.data, seconds, seed)
        self.noise = long_noise(options.data, seconds, seed)
        self.many = cut(self.speech, seed)
        self.parts = options.part or ["speech", "noise", "many", "resume"]

    def run(self) -> str:
        """Measure what is not there yet; the section of the document."""
        for part in ("speech", "noise", "many"):
            heard = {"speech": tuple(ROWS), "noise": QUIET, "many": MANY}[part]
            rows = [row for row in self.options.row or ROWS if row in heard]
            for row in rows if part in self.parts else []:
                self.measured(row, part)
        if "resume" in self.parts:
            self.resumed()
        return "\n".join(self.section())

    def recordings(self, part: str) -> list[LongAudio]:
        """What is heard in a part."""
        return {"speech": [self.speech], "noise": [self.noise], "many": self.many}[part]

    def files(self, part: str) -> list[Path]:
        """The recordings of a part as files."""
        found = []
        for number, recording in enumerate(self.recordings(part)):
            path = self.folder / f"{part}-{self.options.minutes:g}-{self.seed}-{number}.flac"
            if not path.is_file():
                soundfile.write(path, recording.samples, RATE)
            found.append(path)
        return found

    def kept(self, row: str, part: str) -> Path:
        """Where the figures of a row are kept."""
        stem = row.replace(", ", "-").replace(" ", "-").replace("'", "")
        return self.folder / f"{stem}.{part}-{self.options.minutes:g}-{self.seed}.json"

    def measured(self, row: str, part: str) -> dict[str, Any]:
        """The figures of a row, measured in a process of its own where they are not kept."""
        path = self.kept(row, part)
        if path.is_file():
            return dict(json.loads(path.read_text(encoding="utf-8")))
        if time.monotonic() - STARTED > 60 * self.options.minutes_left:
            sys.exit(f"bench_long: the time is over before {row}; run again.")
        script = Path(__file__).with_name("long_systems.py")
        own = [row, self.options.model, str(self.options.ctranslate2), *map(str, self.files(part))]
        one = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        done = subprocess.run(
            [sys.executable, str(script), *own],
            env={**os.environ, **one},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            sys.exit(f"bench_long: {row} failed:\n{done.stderr}")
        found = json.loads(done.stdout.splitlines()[-1])
        path.write_text(json.dumps(found), encoding="utf-8")
        print(row, part, *self.figures(row, part), file=sys.stderr, flush=True)
        return dict(found)

    def resumed(self) -> dict[str, Any]:
        """What killing and resuming gave."""
        path = self.kept("ours", "resume")
        if not path.is_file():
            work = self.folder / "resume"
            found = killed_and_resumed(self.files("speech")[0], str(self.options.ctranslate2), work)
            path.write_text(json.dumps(found), encoding="utf-8")
            print("resume", found, file=sys.stderr, flush=True)
        return dict(json.loads(path.read_text(encoding="utf-8")))

    def figures(self, row: str, part: str) -> list[str]:
        """WER, deleted, inserted, CPU seconds and memory of a row; dashes where it was not measured."""
        from asr_adapt.scoring import word_errors

        path = self.kept(row, part)
        if not path.is_file():
            return ["–"] * 5
        found = json.loads(path.read_text(encoding="utf-8"))
        memory = f"{found['memory']:.2f}" if found["memory"] else "–"
        cost = [f"{found['seconds']:.0f}", memory]
        if part == "noise":
            return [str(sum(len(text.split()) for text in found["texts"])), *cost]
        references = [recording.reference for recording in self.recordings(part)]
        errors = word_errors(references, found["texts"], "whisper-en")
        return [f"{errors.wer:.1%}", str(errors.deletions), str(errors.insertions), *cost]

    def section(self) -> list[str]:
        """Lines of Markdown."""
        rows = [row for row in ROWS if self.kept(row, "speech").is_file()]
        heads = ["", ">WER", ">deleted", ">inserted", ">CPU s", ">peak GB", ">words in noise"]
        lines = [
            f"## Long audio with a real Whisper{self._which()}",
            "",
            f"`benchmarks/bench_long.py`: `{Path(self.options.model).name}`, float32 unless said, one core;",
            f"{self.speech.seconds / 60:.1f} min made of {len(self.speech.texts)} utterances "
            f"({len(self.speech.reference.split())} words) of speechocean762 test (mild, medium), kathleen",
            f"and librispeech_other with pauses, ESC-10 noise, music and silence between, seed {self.seed};",
            f"the last column is of {self.noise.seconds / 60:.1f} min in which nobody speaks. {hardware()}.",
            "",
            *table(
                heads, [(row, *self.figures(row, "speech"), self.figures(row, "noise")[0]) for row in rows]
            ),
        ]
        return lines + self._many() + self._resume()

    def _which(self) -> str:
        """What the heading says of another model or length."""
        model, minutes = self.options.model, self.options.minutes
        told = [] if model == MODEL else [Path(model).name]
        told += [] if minutes == 20 else [f"{minutes:g} minutes"]
        return "".join(f": {one}" for one in told[:1]) + "".join(f", {one}" for one in told[1:])

    def _many(self) -> list[str]:
        rows = [row for row in MANY if self.kept(row, "many").is_file()]
        if not rows:
            return []
        lengths = sorted(recording.seconds for recording in self.many)
        heads = ["twenty files", ">WER", ">deleted", ">inserted", ">CPU s", ">peak GB"]
        text = f"Twenty files of {lengths[0]:.0f} to {lengths[-1]:.0f} s, {sum(lengths) / 60:.1f} min in all:"
        return ["", text, "", *table(heads, [(row, *self.figures(row, "many")) for row in rows])]

    def _resume(self) -> list[str]:
        path = self.kept("ours", "resume")
        if not path.is_file():
            return []
        found = json.loads(path.read_text(encoding="utf-8"))
        told = "equal" if found["same"] else "NOT equal"
        return [
            "",
            f"Killed with SIGKILL after {found['pieces']} windows and run again (CTranslate2, float32): JSON",
            f"and SRT are {told} to those of one run. Of {found['cues']} cues {found['short']} are shown for",
            f"less than 0.3 s, {found['overlapping']} overlap, {found['large']} are larger than 42 × 2.",
        ]


def cut(speech: LongAudio, seed: int) -> list[LongAudio]:
    """The recording in pieces of very different lengths, each of whole utterances with what follows them."""
    rng = random.Random(seed)
    ends = [b for _, b in speech.spans]
    starts = [a for a, _ in speech.spans]
    found: list[LongAudio] = []
    first = 0
    while first < len(ends) and len(found) < MANY_FILES:
        length = SHORT * (LONG / SHORT) ** rng.random()
        last = first
        while last + 1 < len(ends) and ends[last + 1] - starts[first] <= length:
            last += 1
        a, b = round(starts[first] * RATE), round(ends[last] * RATE)
        found.append(LongAudio(speech.samples[a:b], speech.texts[first : last + 1], ()))
        first = last + 1
    return found


if __name__ == "__main__":
    main()
