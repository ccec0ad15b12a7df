"""Long audio with a real Whisper: ours, faster-whisper and transformers' pipeline on the same recording.

The recording is made of real utterances with pauses, noise, music and silence between (``long_audio``), and a
second one of noise, music and silence alone. Every system is a process of its own on one core: WER under the
whisper-en profile, deletions, insertions, CPU seconds of the transcription, peak memory of the process, and
the words written about the recording in which nobody speaks.

    python scripts/bench_long.py --data DATA --model whisper-tiny.en --ctranslate2 DIR [--minutes 20] --write

``--model`` is a name or directory of a Whisper, ``--ctranslate2`` the same weights in CTranslate2's format
(``asr-adapt export --to ctranslate2``); rows for which it is needed are left out where it is not given.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from report import add_write, hardware, publish, table

#: Label of a row → how it is heard: by whom, beams, weight type, and further settings.
ROWS: dict[str, dict[str, Any]] = {
    "ours": {"by": "ours", "beams": 1},
    "ours, beam 5": {"by": "ours", "beams": 5},
    "ours, no VAD, previous text": {
        "by": "ours",
        "beams": 1,
        "options": {"segmenter": "windows", "condition_on_previous": True},
    },
    "faster-whisper": {"by": "faster", "beams": 1, "type": "float32", "vad": False},
    "faster-whisper, VAD": {"by": "faster", "beams": 1, "type": "float32", "vad": True},
    "faster-whisper, beam 5": {"by": "faster", "beams": 5, "type": "float32", "vad": False},
    "faster-whisper, beam 5, VAD": {"by": "faster", "beams": 5, "type": "float32", "vad": True},
    "faster-whisper, int8, beam 5, VAD": {"by": "faster", "beams": 5, "type": "int8", "vad": True},
    "transformers pipeline, chunks of 30 s": {"by": "pipeline", "chunks": True},
    "transformers pipeline, its own long form": {"by": "pipeline", "chunks": False},
}


@dataclass(frozen=True)
class Measured:
    """One system on one recording: its text, CPU seconds without loading, peak memory in GB."""

    text: str
    seconds: float
    memory: float


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of the corpora")
    parser.add_argument("--model", default="whisper-tiny.en")
    parser.add_argument("--ctranslate2", type=Path, help="the same weights for faster-whisper")
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--row", action="append", choices=ROWS, help="only these; may be repeated")
    parser.add_argument("--hear", help=argparse.SUPPRESS)  # a row, as JSON, in a process of its own
    parser.add_argument("--audio", type=Path, help=argparse.SUPPRESS)
    add_write(parser, "long-audio")
    options = parser.parse_args()
    if options.hear:
        print(json.dumps(asdict(heard(json.loads(options.hear), options))))
        return
    with tempfile.TemporaryDirectory() as folder:
        publish(measure(options, Path(folder)), "long-audio", options.write)


def measure(options: argparse.Namespace, folder: Path) -> str:
    """The section of the document."""
    from long_audio import RATE, long_noise, long_speech

    from asr_adapt.scoring import word_errors

    speech = long_speech(options.data, 60 * options.minutes, options.seed)
    noise = long_noise(options.data, 60 * options.minutes, options.seed)
    files = {"speech": folder / "speech.flac", "noise": folder / "noise.flac"}
    soundfile.write(files["speech"], speech.samples, RATE)
    soundfile.write(files["noise"], noise.samples, RATE)
    rows = []
    for label in options.row or ROWS:
        if ROWS[label]["by"] == "faster" and options.ctranslate2 is None:
            continue
        found = process(label, files["speech"], options)
        silent = process(label, files["noise"], options)
        errors = word_errors([speech.reference], [found.text], "whisper-en")
        figures = (f"{errors.wer:.1%}", errors.deletions, errors.insertions)
        cost = (f"{found.seconds:.0f}", f"{found.memory:.2f}", len(silent.text.split()))
        rows.append((label, *figures, *cost))
        print(rows[-1], file=sys.stderr, flush=True)
    heads = ["", ">WER", ">deleted", ">inserted", ">CPU s", ">peak GB", ">words in noise"]
    lines = [
        "## Long audio with a real Whisper",
        "",
        f"`scripts/bench_long.py`: `{Path(options.model).name}`, float32 unless said, one core;",
        f"{speech.seconds / 60:.1f} min made of {len(speech.texts)} utterances "
        f"({len(speech.reference.split())} words) of speechocean762 test (mild, medium), kathleen and",
        f"librispeech_other with pauses, ESC-10 noise, music and silence between, seed {options.seed};",
        f"the last column is of {noise.seconds / 60:.1f} min in which nobody speaks. {hardware()}.",
        "",
    ]
    return "\n".join([*lines, *table(heads, rows)])


def process(label: str, audio: Path, options: argparse.Namespace) -> Measured:
    """One row in a process of its own, on one core."""
    command = [sys.executable, __file__, "--data", str(options.data), "--model", options.model]
    command += ["--hear", json.dumps(ROWS[label]), "--audio", str(audio)]
    command += ["--ctranslate2", str(options.ctranslate2)] if options.ctranslate2 else []
    one = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    done = subprocess.run(command, env={**os.environ, **one}, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"bench_long: {label} failed:\n{done.stderr}")
    return Measured(**json.loads(done.stdout.splitlines()[-1]))


def heard(row: dict[str, Any], options: argparse.Namespace) -> Measured:
    """What ``row`` writes about the recording."""
    samples, _ = soundfile.read(options.audio, dtype="float32")
    write = {"ours": _ours, "faster": _faster, "pipeline": _pipeline}[row["by"]](row, options)
    started = time.process_time()
    text = write(samples)
    seconds = time.process_time() - started
    return Measured(text, seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6)


def _ours(row: dict[str, Any], options: argparse.Namespace) -> Callable[[np.ndarray], str]:
    from asr_adapt.models import Recogniser, Search
    from asr_adapt.transcription import transcribe

    recogniser = Recogniser.load(options.model, device="cpu", compute_type="float32")
    recogniser.set_search(Search(beams=row["beams"]))
    return lambda samples: transcribe(samples, model=recogniser, **row.get("options", {})).text


def _faster(row: dict[str, Any], options: argparse.Namespace) -> Callable[[np.ndarray], str]:
    from faster_whisper import WhisperModel

    model = WhisperModel(str(options.ctranslate2), device="cpu", compute_type=row["type"], cpu_threads=1)

    def write(samples: np.ndarray) -> str:
        segments, _ = model.transcribe(samples, beam_size=row["beams"], language="en", vad_filter=row["vad"])
        return " ".join(segment.text.strip() for segment in segments)

    return write


def _pipeline(row: dict[str, Any], options: argparse.Namespace) -> Callable[[np.ndarray], str]:
    from transformers import pipeline

    from asr_adapt.models import Recogniser

    own = Recogniser.load(options.model, device="cpu", compute_type="float32")
    parts = {"tokenizer": own.processor.tokenizer, "feature_extractor": own.processor.feature_extractor}
    made = pipeline("automatic-speech-recognition", model=own.model, **parts)
    given = {"chunk_length_s": 30, "batch_size": 8} if row["chunks"] else {}
    return lambda samples: str(made(samples.copy(), return_timestamps=True, **given)["text"]).strip()


if __name__ == "__main__":
    main()
