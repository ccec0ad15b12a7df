"""Training's use of a GPU and the speed of inference there, for shapes of Whisper and wav2vec 2.0.

    python benchmarks/bench_gpu.py --device cuda --write
    python benchmarks/bench_gpu.py --dry-run

Made for ten minutes on one GPU. Weights are random and clips are noise: time depends on neither. A training
step is our loop's: the prefix that does not learn without gradients, losses of the rest, backward, AdamW, in
bfloat16 with float32 weights. Its utilisation (MFU) is the arithmetic that torch counts for the clips, over
that of a large bfloat16 matrix product in the same time. RTFx is seconds of audio a second: ``transcribe`` on
batches, sound in memory, in float16, loops unguarded; Whisper's decoders write as many tokens as such speech
has (4 a second), because random weights never end. The best batch is found by doubling. What is measured is
printed at once, so that a run that is cut off has shown what it has. ``--dry-run`` takes shapes of a few
layers on a CPU, to show that every part runs.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
import transformers as t
from report import add_write, hardware, publish, table

from asr_adapt.models import Recogniser, Search, count_costs, peak_flops
from asr_adapt.models.registry import architecture

RATE = 16_000
#: Seconds of a clip, and tokens a second of its transcript.
SECONDS, TOKENS = 10.0, 4
REPEATS = 5
LETTERS = "abcdefghijklmnopqrstuvwxyz'"


@dataclass(frozen=True)
class Shape:
    """Width, layers (of each side) and heads of a published model."""

    family: str
    width: int
    layers: int
    heads: int
    bands: int = 80
    #: Layers of the decoder; None: as many as the encoder's.
    decoder: int | None = None


SHAPES = {
    "whisper-tiny": Shape("whisper", 384, 4, 6),
    "whisper-base": Shape("whisper", 512, 6, 8),
    "whisper-large": Shape("whisper", 1280, 32, 20, 128),
    "wav2vec2-base": Shape("wav2vec2", 768, 12, 12),
    "wav2vec2-large": Shape("wav2vec2", 1024, 24, 16),
}
VOCABULARY = 51_866
START, UNTIMED, END = 257, 258, 256


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and with ``--write`` publish, the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--shape", action="append", choices=list(SHAPES))
    parser.add_argument("--largest", type=int, default=256, help="clips in a batch at most")
    parser.add_argument("--dry-run", action="store_true")
    add_write(parser, "gpu")
    options = parser.parse_args(arguments)
    if options.dry_run:
        options.device, options.largest = "cpu", 2
    device = torch.device(options.device)
    torch.backends.cuda.matmul.allow_tf32 = True
    rows = []
    for name in options.shape or SHAPES:
        for what in (training, inference):
            found = what(name, device, options.largest, dry=options.dry_run)
            rows += found
            for row in found:
                print(" · ".join(map(str, row)), file=sys.stderr, flush=True)
            gc.collect()
            if device.type == "cuda":
                torch.cuda.empty_cache()
    publish("\n".join(written(rows, device, dry=options.dry_run)), "gpu", options.write)


def written(rows: list[tuple[Any, ...]], device: torch.device, *, dry: bool) -> list[str]:
    """The section."""
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    return [
        "## One GPU",
        "",
        f"`benchmarks/bench_gpu.py`{' --dry-run' if dry else ''}; {hardware(where)}; clips of {SECONDS:g} s,",
        "random weights; training in bfloat16, inference in float16; best batch by doubling.",
        "",
        *table(("shape", "work", ">batch", ">ms", ">MFU", ">RTFx", ">GiB"), rows),
    ]


def training(name: str, device: torch.device, largest: int, *, dry: bool) -> list[tuple[Any, ...]]:
    """A step where all learns, and one on a frozen encoder (Whisper) or convolutions (wav2vec 2.0)."""
    found = []
    peak = peak_flops(device, torch.bfloat16)
    for what, everything in (("train, all", True), ("train, encoder frozen", False)):
        recogniser = made(name, device, torch.float32, dry=dry)
        stack = recogniser.stack
        whisper = SHAPES[name].family == "whisper"
        lowest = 0 if everything and whisper else stack.prefix_limit if whisper else 1
        if not everything and not whisper:
            lowest, what = len(stack) // 2, "train, upper half"
        stack.freeze_except(range(lowest, len(stack)))
        stack.set_modes()
        optimiser = torch.optim.AdamW([p for p in recogniser.model.parameters() if p.requires_grad], lr=1e-5)
        costs = count_costs(recogniser, lowest)
        work = costs.prefix(SECONDS) + costs.trained(SECONDS)

        def step(
            batch: int, own: Recogniser = recogniser, low: int = lowest, optimiser: Any = optimiser
        ) -> None:
            labels = own.labels(["a" * round(SECONDS * TOKENS)] * batch)
            with torch.autocast(device.type, dtype=torch.bfloat16):
                with torch.no_grad():
                    hidden = own.encode(own.inputs(clips(batch)).to(device), low)
                loss = own.losses(hidden, low, labels).sum() / batch
            loss.backward()
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)

        batch, seconds = best(step, largest, device)
        used = work * batch / seconds / peak
        rtfx = f"{SECONDS * batch / seconds:,.0f}"
        found.append((name, what, batch, f"{1000 * seconds:.0f}", f"{used:.0%}", rtfx, memory(device)))
        del recogniser, optimiser, step
        gc.collect()
    return found


def inference(name: str, device: torch.device, largest: int, *, dry: bool) -> list[tuple[Any, ...]]:
    """``transcribe`` of batches of clips."""
    dtype = torch.float16 if device.type == "cuda" else torch.float32
    recogniser = made(name, device, dtype, dry=dry)
    if recogniser.capabilities.decoder:
        recogniser.set_search(Search(hallucination_checks=False))
    batch, seconds = best(lambda count: recogniser.transcribe(clips(count)), largest, device)
    rtfx = f"{SECONDS * batch / seconds:,.0f}"
    return [(name, "transcribe", batch, f"{1000 * seconds:.0f}", "", rtfx, memory(device))]


def best(work: Callable[[int], Any], largest: int, device: torch.device) -> tuple[int, float]:
    """The batch, a power of two, with the most clips a second, and the median seconds of ``work`` on it."""
    found: tuple[int, float] | None = None
    batch = 1 if device.type != "cuda" else 8
    while batch <= largest:
        try:
            seconds = median_seconds(work, batch, device)
        except torch.OutOfMemoryError:
            torch.cuda.empty_cache()
            break
        if found is None or batch / seconds > found[0] / found[1]:
            found = batch, seconds
        batch *= 2
    if found is None:
        raise SystemExit("not even the smallest batch fits.")
    return found


def median_seconds(work: Callable[[int], Any], batch: int, device: torch.device) -> float:
    """Median of a few calls behind one that warms up."""
    times = []
    for _ in range(REPEATS + 1):
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        started = time.perf_counter()
        work(batch)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - started)
    return sorted(times[1:])[len(times[1:]) // 2]


def clips(count: int) -> list[np.ndarray]:
    """The same noise again and again."""
    noise = np.random.default_rng(0).standard_normal(round(SECONDS * RATE)).astype(np.float32)
    return [0.1 * noise] * count


def memory(device: torch.device) -> str:
    """The most that was held, GiB."""
    if device.type != "cuda":
        return "–"
    held = torch.cuda.max_memory_allocated(device) / 2**30
    torch.cuda.reset_peak_memory_stats(device)
    return f"{held:.0f}"


def made(name: str, device: torch.device, dtype: torch.dtype, *, dry: bool) -> Recogniser:
    """A recogniser of that shape with random weights; a few thin layers in a dry run."""
    shape = SHAPES[name]
    if dry:
        shape = Shape(shape.family, 16 * shape.heads, 2, shape.heads, shape.bands)
    torch.manual_seed(0)
    with torch.device(device):
        model, processor = whisper(shape) if shape.family == "whisper" else wav2vec2(shape)
    model = model.to(device=device, dtype=dtype).eval()
    return architecture(model.config.model_type, name).recogniser(model, processor, name)


def whisper(shape: Shape) -> tuple[Any, Any]:
    """Whisper with a byte tokeniser; it never ends before as many tokens as such speech has."""
    from tokenizers.pre_tokenizers import ByteLevel

    tokens = {c: i for i, c in enumerate([*sorted(ByteLevel.alphabet()), "<|endoftext|>"])}
    with TemporaryDirectory() as work:  # the tokeniser is made of its files, as any other
        words = t.WhisperTokenizer(vocab=tokens, merges=[], pad_token="<|endoftext|>")
        words.add_special_tokens({"extra_special_tokens": ["<|startoftranscript|>", "<|notimestamps|>"]})
        words.save_pretrained(work)
        words = t.WhisperTokenizer.from_pretrained(work)
    config = t.WhisperConfig(
        vocab_size=VOCABULARY, d_model=shape.width, encoder_layers=shape.layers, num_mel_bins=shape.bands,
        decoder_layers=shape.layers if shape.decoder is None else shape.decoder, bos_token_id=END,
        encoder_attention_heads=shape.heads, pad_token_id=END,
        decoder_attention_heads=shape.heads, encoder_ffn_dim=4 * shape.width, eos_token_id=END,
        decoder_ffn_dim=4 * shape.width, decoder_start_token_id=START, suppress_tokens=None,
        begin_suppress_tokens=None,
    )  # fmt: skip
    model = t.WhisperForConditionalGeneration(config)
    model.generation_config = t.GenerationConfig(
        decoder_start_token_id=START, pad_token_id=END, eos_token_id=END, is_multilingual=False,
        max_length=2 + round(SECONDS * TOKENS), suppress_tokens=list(range(END, VOCABULARY)),
        no_timestamps_token_id=UNTIMED,
    )  # fmt: skip
    return model, t.WhisperProcessor(t.WhisperFeatureExtractor(feature_size=shape.bands), words)


def wav2vec2(shape: Shape) -> tuple[Any, Any]:
    """wav2vec 2.0 with a letter head."""
    import json

    letters = ["<pad>", "<unk>", "|", *LETTERS]
    with TemporaryDirectory() as work:
        path = Path(work, "vocab.json")
        path.write_text(json.dumps({letter: i for i, letter in enumerate(letters)}), encoding="utf-8")
        words = t.Wav2Vec2CTCTokenizer(str(path), unk_token="<unk>", pad_token="<pad>")
    large = shape.width > 768
    config = t.Wav2Vec2Config(
        hidden_size=shape.width, num_hidden_layers=shape.layers, num_attention_heads=shape.heads,
        intermediate_size=4 * shape.width, vocab_size=len(letters), pad_token_id=0, layerdrop=0.0,
        feat_extract_norm="layer" if large else "group", do_stable_layer_norm=large, mask_time_prob=0.0,
        ctc_zero_infinity=True, ctc_loss_reduction="sum",
    )  # fmt: skip
    extractor = t.Wav2Vec2FeatureExtractor(return_attention_mask=large)
    return t.Wav2Vec2ForCTC(config), t.Wav2Vec2Processor(extractor, words)


if __name__ == "__main__":
    main()
