"""Whisper: time of a training step, of an epoch and of inference, against the documented transformers way.

    python benchmarks/bench_whisper.py --shape tiny --shape small --write
    python benchmarks/bench_whisper.py --model nano-whisper --manifest TEST.jsonl

The baseline is the recipe of Hugging Face's "Fine-Tune Whisper" page: ``Seq2SeqTrainer``, all weights learn,
features computed once and padded to 30 s, gradient checkpointing (its time without is a row of its own), and
``pipeline`` for inference. Shapes have random weights: time depends on neither weights nor sound, so clips
are noise. With ``--manifest`` inference hears its rows, and WER stands beside. Medians; float32 on the CPU
unless ``--device`` says otherwise.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers as t
from report import add_write, publish
from tokenizers.pre_tokenizers import ByteLevel

from asr_adapt.audio import read_audio
from asr_adapt.manifest import Manifest
from asr_adapt.models import DecoderSettings, Search, load_recogniser
from asr_adapt.scoring import word_errors

RATE = 16_000
#: Width, layers (each side), heads, vocabulary of OpenAI's checkpoints.
SHAPES = {"tiny": (384, 4, 6), "base": (512, 6, 8), "small": (768, 12, 12)}
VOCABULARY = 51_865


def shaped(shape: str, folder: Path) -> Path:
    """A Whisper directory of that shape with random weights and a byte tokeniser."""
    width, layers, heads = SHAPES[shape]
    tokens = {c: i for i, c in enumerate([*sorted(ByteLevel.alphabet()), "<|endoftext|>"])}
    words = t.WhisperTokenizer(vocab=tokens, merges=[], pad_token="<|endoftext|>")
    words.add_special_tokens({"extra_special_tokens": ["<|startoftranscript|>", "<|notimestamps|>"]})
    config = t.WhisperConfig(
        vocab_size=VOCABULARY, d_model=width, encoder_layers=layers, decoder_layers=layers,
        encoder_attention_heads=heads, decoder_attention_heads=heads, encoder_ffn_dim=4 * width,
        decoder_ffn_dim=4 * width, decoder_start_token_id=257, pad_token_id=256, bos_token_id=256,
        eos_token_id=256, suppress_tokens=None, begin_suppress_tokens=None,
    )  # fmt: skip
    torch.manual_seed(0)
    model = t.WhisperForConditionalGeneration(config)
    model.generation_config = t.GenerationConfig(
        decoder_start_token_id=257, pad_token_id=256, eos_token_id=256, max_length=24,
        suppress_tokens=list(range(256, VOCABULARY)), is_multilingual=False, no_timestamps_token_id=258,
    )  # fmt: skip
    model.save_pretrained(folder)
    t.WhisperProcessor(t.WhisperFeatureExtractor(), words).save_pretrained(folder)
    return folder


def median_seconds(run: Callable[[], object], repeats: int) -> float:
    """Median time of ``run`` after one call that warms up."""
    run()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        run()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


class Clock(t.TrainerCallback):
    """Seconds of every optimiser step of a Trainer."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._started = 0.0

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        """The batch is there, its forward pass begins."""
        self._started = time.perf_counter()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """The weights have moved."""
        self.seconds.append(time.perf_counter() - self._started)


def trainer_step(
    folder: Path, batch: dict[str, torch.Tensor], repeats: int, device: str, *, checkpointing: bool
) -> float:
    """Median seconds of a ``Seq2SeqTrainer`` step, all weights learning; the first is thrown away."""
    model = t.WhisperForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    size, clock = len(batch["labels"]), Clock()
    rows = [{name: values[i] for name, values in batch.items()} for i in range(size)] * (repeats + 1)
    with tempfile.TemporaryDirectory() as work:
        arguments = t.Seq2SeqTrainingArguments(
            work, use_cpu=device == "cpu", report_to=[],
            per_device_train_batch_size=size, max_steps=repeats + 1, learning_rate=1e-5,
            save_strategy="no", logging_strategy="no", disable_tqdm=True,
            activation_checkpointing=checkpointing,
        )  # fmt: skip
        t.Seq2SeqTrainer(
            model=model, args=arguments, train_dataset=rows, callbacks=[clock],
            data_collator=t.default_data_collator,
        ).train()  # fmt: skip
    return statistics.median(clock.seconds[1:])


def our_steps(
    ours: Any, clips: Sequence[np.ndarray], labels: list[list[int]], repeats: int
) -> Iterator[tuple[str, float, float]]:
    """(what, seconds of a step, seconds of what is done once) of each of our ways."""
    stack = ours.stack
    limit = stack.prefix_limit
    for what, context, lowest, cached in (
        ("encoder frozen", "full", limit, False),
        ("encoder frozen, its output cached", "full", limit, True),
        ("all learn, trimmed context", "dynamic", 0, False),
        ("encoder frozen, trimmed context", "dynamic", limit, False),
        ("encoder frozen, trimmed context, cached", "dynamic", limit, True),
    ):
        ours.configure(DecoderSettings(context=context))
        stack.freeze_except(range(lowest, len(stack)))
        stack.set_modes()
        learning = [p for p in ours.model.parameters() if p.requires_grad]
        optimiser = torch.optim.AdamW(learning, lr=1e-5)

        @torch.no_grad()
        def encoded(lowest: int = lowest) -> Any:
            return ours.encode(ours.inputs(clips), lowest)

        kept = encoded()

        def step(
            kept: Any = kept, cached: bool = cached, learning: Any = learning, optimiser: Any = optimiser
        ) -> None:
            hidden = kept if cached else encoded()
            ours.losses(hidden, stack.boundary, labels).sum().div(sum(map(len, labels))).backward()
            torch.nn.utils.clip_grad_norm_(learning, 1.0)
            optimiser.step()
            optimiser.zero_grad()

        seconds = median_seconds(step, repeats)
        yield what, seconds, median_seconds(encoded, 1) if cached else 0.0


def training_table(folder: Path, name: str, options: argparse.Namespace) -> Iterator[str]:
    """Steps and epochs of one model."""
    ours = load_recogniser(folder, device=options.device, compute_type="float32")
    clips = list(noise(options.batch, options.seconds))
    labels = ours.labels(["a" * options.tokens] * options.batch)
    batch = {
        "input_features": ours.inputs(clips).states.transpose(1, 2).contiguous(),
        "labels": torch.tensor([row[1:] for row in labels]),
    }
    per_epoch = options.rows / options.batch
    theirs = trainer_step(folder, batch, options.repeats, options.device, checkpointing=True)
    plain = trainer_step(folder, batch, options.repeats, options.device, checkpointing=False)
    rows = [("Seq2SeqTrainer, checkpointing", theirs, 0.0), ("Seq2SeqTrainer, without", plain, 0.0)]
    rows += our_steps(ours, clips, labels, options.repeats)
    for what, seconds, once in rows:
        epoch = per_epoch * (seconds + once / options.epochs)
        ratios = f"{per_epoch * theirs / epoch:.1f}× | {per_epoch * plain / epoch:.1f}×"
        yield f"| {name} | {what} | {seconds:.2f} | {epoch:.0f} | {ratios} |"


def inference_table(folder: Path, name: str, options: argparse.Namespace) -> Iterator[str]:
    """Inference of the same clips by ``pipeline`` and by us, with WER where there are references."""
    clips, references = heard(options)
    pipe: Any = t.pipeline(
        "automatic-speech-recognition", model=str(folder), device=options.device, dtype=torch.float32
    )
    ours = load_recogniser(folder, device=options.device, compute_type="float32")
    ours.set_search(Search(hallucination_checks=False))
    found: dict[str, list[str]] = {}

    def theirs() -> None:
        inputs = [clip.copy() for clip in clips]
        out = pipe(inputs, batch_size=options.batch, generate_kwargs={"num_beams": 1})
        found["pipeline"] = [row["text"] for row in out]

    def mine(context: str) -> None:
        ours.configure(DecoderSettings(context=context))
        parts = [clips[i : i + options.batch] for i in range(0, len(clips), options.batch)]
        found[context] = [h.text for part in parts for h in ours.transcribe(part)]

    runs = {"pipeline": theirs, "full": lambda: mine("full"), "dynamic": lambda: mine("dynamic")}
    times = {what: median_seconds(run, max(1, options.repeats // 2)) for what, run in runs.items()}
    for what, seconds in times.items():
        wer = f"{word_errors(references, found[what], 'basic').wer:.1%}" if references else "–"
        label = {"pipeline": "pipeline, greedy", "full": "ours", "dynamic": "ours, trimmed context"}[what]
        ratio = times["pipeline"] / seconds
        yield f"| {name} | {label} | {seconds / len(clips):.3f} | {ratio:.1f}× | {wer} |"


def noise(count: int, seconds: float) -> Iterator[np.ndarray]:
    """Clips that only their length matters of."""
    random = np.random.default_rng(0)
    for _ in range(count):
        yield (0.1 * random.standard_normal(round(seconds * RATE))).astype(np.float32)


def heard(options: argparse.Namespace) -> tuple[list[np.ndarray], list[str]]:
    """The clips of inference and their references, if any."""
    if options.manifest is None:
        return list(noise(2 * options.batch, options.seconds)), []
    rows = [row for row in Manifest.open(options.manifest) if (row.duration or 0) <= 30][: options.clips]
    clips = [read_audio(r.audio_path, sample_rate=RATE, offset=r.offset, duration=r.duration) for r in rows]
    return clips, [row.text or "" for row in rows]


def main() -> None:
    """Measure, print the tables, and put them into ``--write``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--shape", action="append", choices=list(SHAPES), default=[])
    parser.add_argument("--model", type=str, help="a Whisper directory, such as that of nano-whisper")
    parser.add_argument("--manifest", type=Path, help="clips and references for inference")
    parser.add_argument("--clips", type=int, default=50, help="rows of the manifest")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--tokens", type=int, default=24, help="letters of a label")
    parser.add_argument("--rows", type=int, default=1000, help="rows of an epoch")
    parser.add_argument("--epochs", type=int, default=10, help="epochs over which caching is spread")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    add_write(parser, "whisper (nano-whisper without --shape)")
    options = parser.parse_args()
    t.logging.set_verbosity_error()
    training: list[Any] = []
    inference: list[Any] = []
    with tempfile.TemporaryDirectory() as work:
        models = [(name, shaped(name, Path(work) / name)) for name in options.shape]
        if options.model:
            from asr_adapt.models.loading import resolve

            models.append((Path(options.model).name, Path(resolve(options.model))))
        for name, folder in models:
            training += training_table(folder, name, options)
            inference += inference_table(folder, name, options)
    data = options.manifest.name if options.manifest else "noise"
    text = "\n".join(
        [
            f"`benchmarks/bench_whisper.py`: clips of {options.seconds:g} s (inference: {data}), "
            f"batches of {options.batch}, {options.tokens} letters, float32, seed 0, "
            f"{torch.get_num_threads()} threads, {options.device} of {platform.machine()}; an epoch has "
            f"{options.rows} rows, and what is cached counts 1/{options.epochs} for {options.epochs} epochs.",
            "",
            "| model | training | s/step | s/epoch | against Trainer | without checkpointing |",
            "|---|---|---:|---:|---:|---:|",
            *training,
            "",
            "| model | inference | s/clip | against pipeline | WER |",
            "|---|---|---:|---:|---:|",
            *inference,
        ]
    )
    name, title = ("whisper", "Whisper shapes") if options.shape else ("nano-whisper", "nano-whisper")
    publish(f"## {title}: training and inference\n\n{text}", name, options.write)


if __name__ == "__main__":
    main()
