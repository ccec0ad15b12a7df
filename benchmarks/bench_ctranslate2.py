"""An adapted Whisper exported to CTranslate2 and heard by faster-whisper, against ours: transcripts and time.

    python benchmarks/bench_ctranslate2.py --write

Without ``--model`` nano-whisper is first adapted for a few steps to a synthetic accent; without
``--manifest`` the clips are that accent's test set (held-out voices and sentences; needs espeak-ng). Exported
by ``export_ctranslate2`` in float32. Both decode greedily, clip by clip, in the 30 s window, with the same
number of threads: beam 1, temperature 0, no fallback, no VAD, no condition on what went before, no silence
threshold.

faster-whisper fills the window behind a short clip with mel value 0, which is no silence; OpenAI,
transformers and we compute the mels of silence. So it is asked twice: with the clips as they are, and with
clips that silence fills to 30 s, where all hear the same.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from faster_whisper import WhisperModel
from report import add_write, publish

from asr_adapt.audio import read_audio
from asr_adapt.demo.corpus import CorpusSizes, build_accent_corpus
from asr_adapt.demo.tuning import tuning_of
from asr_adapt.manifest import Manifest
from asr_adapt.models import Search, WhisperRecogniser, load_recogniser
from asr_adapt.scoring import word_errors
from asr_adapt.training import adapt, build_recipe
from asr_adapt.transcription.runtimes.ctranslate2_export import export_ctranslate2

BASE = "nano-whisper"
WINDOW = 480_000  # samples: 30 s
#: faster-whisper's settings without search, fallback or guards.
GREEDY: dict[str, Any] = {"beam_size": 1, "temperature": 0.0, "without_timestamps": True}
GREEDY |= {"condition_on_previous_text": False, "no_speech_threshold": None}
GREEDY |= {"compression_ratio_threshold": None, "log_prob_threshold": None}


@dataclass(frozen=True)
class Heard:
    """What one runtime said of every clip, in how many seconds altogether."""

    label: str
    texts: list[str]
    tokens: list[tuple[int, ...]]
    seconds: float


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", help="adapted Whisper directory [nano-whisper, adapted here]")
    parser.add_argument("--manifest", type=Path, help="clips with transcripts [the accent's test set]")
    parser.add_argument("--clips", type=int, default=50)
    parser.add_argument("--accent", default="scottish")
    parser.add_argument("--steps", type=int, default=20, help="optimiser steps of the adaptation")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, default=Path("runs/ctranslate2"))
    add_write(parser, "ctranslate2")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    model = options.model or adapted(options)
    manifest = options.manifest or spoken(options) / "test.jsonl"
    rows = [row for row in Manifest.open(manifest) if row.text][: options.clips]
    clips = [read_audio(row.audio_path, offset=row.offset, duration=row.duration) for row in rows]
    text = table(compare(model, clips, options), [row.text or "" for row in rows], options)
    publish(text, "ctranslate2", options.write)


def spoken(options: argparse.Namespace) -> Path:
    """The synthetic corpus of the accent, spoken once."""
    folder = options.output / f"{options.accent}-{options.seed}-{options.clips}"
    if not folder.is_dir():
        sizes = CorpusSizes(train=200, replay=1, dev=10, test=options.clips)
        build_accent_corpus(folder, options.accent, options.seed, sizes)
    return folder


def adapted(options: argparse.Namespace) -> str:
    """nano-whisper after a few steps on the accent, as the demonstration tunes it; trained once."""
    corpus, own = spoken(options), tuning_of(BASE)
    folder = corpus.with_name(f"{corpus.name}-{options.steps}-steps")
    if not (folder / "summary.json").is_file():
        tree: dict[str, Any] = {
            "model": BASE,
            "train": str(corpus / "train.jsonl"),
            "dev": str(corpus / "dev.jsonl"),
            **own.sections,
            **own.network,
            "schedule": {"steps": options.steps, "warmup": 0.1},
            "batch": {"seconds": own.seconds},
            "evaluation": {"every": options.steps},
            "seed": options.seed,
        }
        adapt(build_recipe(tree), folder, resume=folder.is_dir(), quiet=True)
    return str(folder)


def compare(model: str, clips: Sequence[np.ndarray], options: argparse.Namespace) -> list[Heard]:
    """Ours, faster-whisper on the clips, and on clips filled to 30 s."""
    recogniser = load_recogniser(model, device="cpu", compute_type="float32")
    if not isinstance(recogniser, WhisperRecogniser):
        raise SystemExit(f"{model} is no Whisper: give --model a directory of one.")
    recogniser.use_context("full")
    recogniser.set_search(Search(hallucination_checks=False))
    folder = options.output / "exported"
    export_ctranslate2(recogniser, folder)
    faster = WhisperModel(
        str(folder), device="cpu", compute_type="float32", cpu_threads=options.threads, num_workers=1
    )
    filled = [np.pad(clip, (0, WINDOW - len(clip))) for clip in clips]
    return [
        listen("ours (torch)", clips, lambda clip: ours(recogniser, clip)),
        listen("faster-whisper", clips, lambda clip: theirs(faster, recogniser, clip)),
        listen("faster-whisper, filled to 30 s", filled, lambda clip: theirs(faster, recogniser, clip)),
    ]


def listen(
    label: str, clips: Sequence[np.ndarray], hear: Callable[[np.ndarray], tuple[str, tuple[int, ...]]]
) -> Heard:
    """Every clip by itself; the first is heard once more, unmeasured, before."""
    hear(clips[0])
    started = time.perf_counter()
    said = [hear(clip) for clip in clips]
    seconds = time.perf_counter() - started
    return Heard(label, [text for text, _ in said], [tokens for _, tokens in said], seconds)


@torch.inference_mode()
def ours(recogniser: WhisperRecogniser, clip: np.ndarray) -> tuple[str, tuple[int, ...]]:
    """Text and tokens of one clip."""
    tokens = recogniser.speak(recogniser.heard([clip]), None, [len(clip) / WINDOW * 30])[0].ids
    return recogniser.processor.tokenizer.decode(tokens, skip_special_tokens=True).strip(), tokens


def theirs(
    faster: WhisperModel, recogniser: WhisperRecogniser, clip: np.ndarray
) -> tuple[str, tuple[int, ...]]:
    """The same from faster-whisper, with the tokens that the checkpoint never says."""
    segments, _ = faster.transcribe(
        clip,
        language=recogniser.tokens.default_language,
        task=recogniser.settings.task,
        **GREEDY,
        suppress_tokens=list(recogniser.model.generation_config.suppress_tokens or ()),
    )
    found = list(segments)
    tokens = tuple(token for segment in found for token in segment.tokens)
    return "".join(segment.text for segment in found).strip(), tokens


def table(found: Sequence[Heard], references: Sequence[str], options: argparse.Namespace) -> str:
    """The section of the document."""
    mine, count = found[0], len(references)
    model = options.model or f"{BASE} after {options.steps} steps on synthetic {options.accent} English"
    clips = options.manifest or f"test clips of that accent (espeak-ng, seed {options.seed})"
    lines = [
        "## CTranslate2: the exported model in faster-whisper",
        "",
        f"`benchmarks/bench_ctranslate2.py`: {model}; {count} {clips}.",
        f"Greedy, float32, 30 s window, clip by clip, {options.threads} thread(s) of {os.cpu_count()} cores "
        f"({platform.machine()}), torch {torch.__version__}.",
        "faster-whisper fills a short clip's window with mel value 0 instead of silence; in the last row the",
        "sound was filled with silence before.",
        "",
        "| runtime | same transcript as ours | same tokens | WER | seconds a clip | speed |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for heard in found:
        same = sum(a == b for a, b in zip(heard.texts, mine.texts, strict=True))
        tokens = sum(a == b for a, b in zip(heard.tokens, mine.tokens, strict=True))
        wer = word_errors(references, heard.texts).wer
        lines.append(
            f"| {heard.label} | {same} of {count} | {tokens} of {count} | {wer:.1%} "
            f"| {heard.seconds / count:.3f} | {mine.seconds / heard.seconds:.1f}× |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
