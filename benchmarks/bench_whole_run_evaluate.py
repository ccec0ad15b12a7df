"""One way to transcribe a manifest, for ``bench_whole_run.py``: seconds of the work, texts, WER.

    python benchmarks/bench_whole_run_evaluate.py MODEL MANIFEST full|silence|states|pipeline-N OUTPUT.json

``full`` is ``evaluate`` as the command line runs it, from the files; ``silence`` the same in the context of
that name, which every Whisper has; ``states`` goes on from the encoder's output, kept by an earlier run;
``pipeline-N`` is transformers' pipeline with N clips a batch. Greedy, loops unguarded. Loading the model
counts nowhere.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from asr_adapt import Decoding
from asr_adapt.audio import read_audio
from asr_adapt.manifest import Manifest
from asr_adapt.models import load_recogniser
from asr_adapt.scoring import word_errors
from asr_adapt.training.prefix.measured import MeasuredPrefix
from asr_adapt.training.recipe.schema import Cache
from asr_adapt.training.watching import Watch
from asr_adapt.transcription import evaluate_rows
from asr_adapt.transcription.decoding.fusion import with_decoding
from asr_adapt.transcription.known_states import UNKNOWN, KnownRows


def main(model: str, manifest: str, how: str, output: str) -> None:
    """Measure, and write one JSON object."""
    torch.set_num_threads(1)
    rows = Manifest.open(manifest)
    work = piped(model, rows, int(how.partition("-")[2])) if "-" in how else ours(model, rows, how)
    wall, cpu = time.perf_counter(), time.process_time()
    texts = work()
    found: dict[str, Any] = {"how": how, "cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}
    found |= {"texts": texts, "wer": word_errors([row.text or "" for row in rows], texts, "whisper-en").wer}
    Path(output).write_text(json.dumps(found), encoding="utf-8")


def ours(model: str, rows: Manifest, how: str) -> Callable[[], list[str]]:
    """``evaluate``, from the sound or from kept states."""
    recogniser = load_recogniser(model, device="cpu", compute_type="float32")
    known = UNKNOWN
    if how == "silence":
        recogniser.use_context(how)
    if how == "states":
        prefix = MeasuredPrefix(Cache(mode="on"), 10, recogniser.stack.prefix_limit, Watch(quiet=True))
        prefix.prepare(recogniser, [rows])
        known = KnownRows(states=prefix.of(recogniser, rows))
    return lambda: (
        evaluate_rows(
            rows, with_decoding(recogniser, Decoding(hallucination_checks=False)), known=known
        ).hypotheses
    )


def piped(model: str, rows: Manifest, batch: int) -> Callable[[], list[str]]:
    """transformers' pipeline; clips are decoded by our reader, in the time that counts."""
    import transformers

    pipe: Any = transformers.pipeline(
        "automatic-speech-recognition", model=model, device="cpu", dtype=torch.float32
    )
    told: dict[str, Any] = {"num_beams": 1}
    if getattr(pipe.model.generation_config, "is_multilingual", False):  # as ours is told by the rows
        told |= {"language": "en", "task": "transcribe"}

    def work() -> list[str]:
        clips = [read_audio(row.audio_path, offset=row.offset, duration=row.duration) for row in rows]
        return [found["text"].strip() for found in pipe(clips, batch_size=batch, generate_kwargs=told)]

    return work


if __name__ == "__main__":
    main(*sys.argv[1:])
