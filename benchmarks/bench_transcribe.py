"""Speed of transcription: ours against transformers' pipeline, same weights, same clips, one run.

Clips have the lengths of real utterances (lognormal, mean about 6 s). Without --manifest they are noise,
which costs the same time. All are given decoded samples, but for one row; each batch size of the pipeline is
tried and the best one counts. Ratios are to the pipeline as it is called plainly, which computes in the
type that the weights are stored in, and to the pipeline in the row's own type.
Seconds are of the clock; the best of --repeats.

    python benchmarks/bench_transcribe.py [--model nano-en | --random base] [--manifest M.jsonl] --write
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from report import add_write, hardware, publish
from report import table as markdown

from asr_adapt import transcribe
from asr_adapt.audio import read_audio
from asr_adapt.manifest import Manifest
from asr_adapt.models import Recogniser, load_recogniser
from asr_adapt.scoring import word_errors
from asr_adapt.transcription.runtimes.onnx_export import export_onnx
from asr_adapt.transcription.runtimes.onnx_runtime import OnnxRecogniser

RATE = 16_000
BATCH_SIZES = (1, 4, 16)
#: Ours: what evaluate and transcribe compute in.
TYPES = ("auto", "fast")
LETTERS = "'abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class Clips:
    """Files, their samples, and their reference texts (none for noise)."""

    paths: list[Path]
    samples: list[np.ndarray]
    texts: list[str] | None

    @property
    def seconds(self) -> float:
        return sum(map(len, self.samples)) / RATE


@dataclass(frozen=True)
class Row:
    """One measured way; ``dtype`` of its weights where it is torch's, ``theirs``: the pipeline's."""

    name: str
    seconds: float
    texts: list[str]
    dtype: torch.dtype | None = None
    theirs: bool = False


def random_model(shape: str, folder: Path) -> Path:
    """A wav2vec2 directory with random weights; its speed is that of trained ones."""
    import json

    from transformers import (
        Wav2Vec2Config,
        Wav2Vec2CTCTokenizer,
        Wav2Vec2FeatureExtractor,
        Wav2Vec2ForCTC,
        Wav2Vec2Processor,
    )

    large: dict[str, Any] = {
        "hidden_size": 1024,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "intermediate_size": 4096,
    }
    torch.manual_seed(0)
    config = Wav2Vec2Config(
        **(large if shape == "large" else {}), feat_extract_norm="layer", pad_token_id=0, vocab_size=30
    )
    folder.mkdir()
    vocabulary = {"<pad>": 0, "<unk>": 1, "|": 2, **{letter: n for n, letter in enumerate(LETTERS, 3)}}
    (folder / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    Wav2Vec2ForCTC(config).save_pretrained(folder)
    Wav2Vec2Processor(
        Wav2Vec2FeatureExtractor(return_attention_mask=True),
        Wav2Vec2CTCTokenizer(str(folder / "vocab.json"), pad_token="<pad>", unk_token="<unk>"),
    ).save_pretrained(folder)
    return folder


def noise_clips(count: int, folder: Path) -> Clips:
    """Seeded noise of lognormal lengths between 1 and 19 seconds."""
    generator = np.random.default_rng(0)
    lengths = np.clip(generator.lognormal(1.6, 0.6, count), 1.0, 19.0)
    samples = [(0.1 * generator.standard_normal(int(RATE * s))).astype(np.float32) for s in lengths]
    paths = [folder / f"{number}.wav" for number in range(count)]
    for path, wave in zip(paths, samples, strict=True):
        soundfile.write(path, wave, RATE)
    return Clips(paths, samples, None)


def manifest_clips(manifest: str, count: int) -> Clips:
    """Rows of a manifest, evenly spread."""
    rows = Manifest.open(manifest)
    chosen = [rows[int(i)] for i in np.unique(np.linspace(0, len(rows) - 1, count).round())]
    samples = [read_audio(row.audio_path, offset=row.offset, duration=row.duration) for row in chosen]
    if any(row.offset for row in chosen):
        sys.exit("bench_transcribe: give a manifest of whole files")
    return Clips([row.audio_path for row in chosen], samples, [row.text or "" for row in chosen])


def best_of(name: str, repeats: int, run: Callable[[], list[str]]) -> Row:
    """The fastest of some runs, after one that is not counted."""
    run()
    seconds, texts = float("inf"), []
    for _ in range(repeats):
        started = time.perf_counter()
        texts = run()
        seconds = min(seconds, time.perf_counter() - started)
    print(f"{name}: {seconds:.1f} s", file=sys.stderr)
    return Row(name, seconds, texts)


def ours(recogniser: Recogniser, sources: Sequence[Path] | Sequence[np.ndarray]) -> Callable[[], list[str]]:
    return lambda: [found.text for found in transcribe(list(sources), model=recogniser)]


def pipeline_runs(model: str, device: str, dtype: torch.dtype, clips: Clips, repeats: int) -> Row:
    """transformers' pipeline with weights of ``dtype``, at its best batch size."""
    from transformers import pipeline

    from asr_adapt.models.loading import resolve

    pipe: Any = pipeline("automatic-speech-recognition", model=resolve(model), device=device, dtype=dtype)
    rows, name = [], f"transformers pipeline, {_short(dtype)}"
    for size in BATCH_SIZES:

        def run(size: int = size) -> list[str]:
            return [found["text"] for found in pipe(list(clips.samples), batch_size=size)]

        rows.append(best_of(f"{name}, batch {size}", repeats, run))
    return replace(min(rows, key=lambda row: row.seconds), dtype=dtype, theirs=True)


def plain_dtype(model: str) -> torch.dtype:
    """The type of a pipeline that is told none: that of the stored weights."""
    from transformers import pipeline

    from asr_adapt.models.loading import resolve

    return pipeline("automatic-speech-recognition", model=resolve(model), device="cpu").model.dtype


def _short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def table(rows: list[Row], plain: torch.dtype, clips: Clips, title: str) -> str:
    """Markdown: real-time factor, ratios to the pipeline, WER or agreement with torch.

    ``plain`` is the type that the pipeline takes when it is told none.
    """
    pipes = {row.dtype: row for row in rows if row.theirs}
    reference = clips.texts if clips.texts is not None else rows[0].texts
    last = "WER" if clips.texts is not None else "WER against our torch transcripts"
    cells = []
    for row in rows:
        wer = word_errors(reference, row.texts).wer if any(reference) else 0.0
        name = f"{row.name}, as called plainly" if row is pipes[plain] else row.name
        same = pipes.get(row.dtype)
        ratios = [f"{pipe.seconds / row.seconds:.2f}×" if pipe else "" for pipe in (pipes[plain], same)]
        cells.append([name, f"{clips.seconds / row.seconds:.0f}", *ratios, f"{wer:.2%}"])
    heads = ["", ">RTFx", ">against the plain pipeline", ">against it in the same type", f">{last}"]
    return "\n".join([f"## Transcription speed: {title}", "", *markdown(heads, cells)])


def measure(options: argparse.Namespace, folder: Path) -> str:
    """Every way on one set of clips."""
    model = str(random_model(options.random, folder / "model")) if options.random else options.model
    clips = (
        manifest_clips(options.manifest, options.clips)
        if options.manifest
        else noise_clips(options.clips, folder)
    )
    device = "cuda" if torch.cuda.is_available() else "cpu"
    rows, plain = [], plain_dtype(model)
    chosen = {r.dtype: r for r in (load_recogniser(model, device=device, compute_type=t) for t in TYPES)}
    for dtype, recogniser in chosen.items():
        row = best_of(f"asr_adapt, {_short(dtype)}", options.repeats, ours(recogniser, clips.samples))
        rows.append(replace(row, dtype=dtype))
    name = f"asr_adapt, {_short(dtype)}, files decoded too"
    rows.append(best_of(name, options.repeats, ours(recogniser, clips.paths)))
    rows += [pipeline_runs(model, device, dtype, clips, options.repeats) for dtype in {**chosen, plain: None}]
    if options.onnx:
        export_onnx(load_recogniser(model, device="cpu"), folder / "onnx", clips.samples[:50], int8=True)
        for int8, name in ((False, "asr_adapt, ONNX"), (True, "asr_adapt, ONNX int8")):
            exported = OnnxRecogniser(folder / "onnx", int8=int8)
            rows.append(best_of(name, options.repeats, ours(exported, clips.samples)))
    what = f"random weights, {options.random}" if options.random else options.model
    where = hardware(torch.cuda.get_device_name() if device == "cuda" else None)
    heard = (options.manifest and f"clips of {Path(options.manifest).name}") or "clips of noise, seed 0"
    length = f"{clips.seconds / 60:.1f} min"
    run = f"`benchmarks/bench_transcribe.py`: {len(clips.paths)} {heard}, {length}; {where}."
    return f"{table(rows, plain, clips, what)}\n\n{run}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="nano-en")
    parser.add_argument("--random", choices=("base", "large"), help="random weights of this shape instead")
    parser.add_argument("--manifest", help="real clips, for a WER; default: noise")
    parser.add_argument("--clips", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--onnx", action="store_true", help="also ONNX and its int8 form")
    add_write(parser, "transcribe-MODEL")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        text = measure(options, Path(folder))
    shape = f"random-{options.random}" if options.random else Path(options.model).name
    publish(text, f"transcribe-{shape}", options.write)


if __name__ == "__main__":
    main()
