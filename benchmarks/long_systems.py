"""Systems that write long audio down: ours, faster-whisper, transformers' pipeline, openai-whisper.

Knows how each is loaded and asked. Does not know recordings or how anything is scored.

    python benchmarks/long_systems.py ROW MODEL CTRANSLATE2 AUDIO...

prints a JSON line with the texts of the recordings, in order, CPU seconds without loading, and the peak
memory of the process in GB; ``bench_long.py`` starts it on one core for every row of its table. The rows of
openai-whisper need its package, which is no dependency of ours: ``pip install openai-whisper``.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import soundfile

Write = Callable[[Sequence[np.ndarray]], list[str]]


def _ours(runtime: str, compute_type: str, beams: int) -> dict[str, Any]:
    return {"by": "ours", "runtime": runtime, "type": compute_type, "beams": beams}


def _faster(compute_type: str, beams: int, *, vad: bool) -> dict[str, Any]:
    return {"by": "faster-whisper", "type": compute_type, "beams": beams, "vad": vad}


#: Label of a row → how it hears.
ROWS: dict[str, dict[str, Any]] = {
    "ours, torch": _ours("torch", "float32", 1),
    "ours, torch, beam 5": _ours("torch", "float32", 5),
    "ours, CTranslate2": _ours("ctranslate2", "float32", 1),
    "ours, CTranslate2, beam 5": _ours("ctranslate2", "float32", 5),
    "ours, CTranslate2 int8": _ours("ctranslate2", "int8", 1),
    "ours, CTranslate2 int8, beam 5": _ours("ctranslate2", "int8", 5),
    "faster-whisper": _faster("float32", 1, vad=False),
    "faster-whisper, VAD": _faster("float32", 1, vad=True),
    "faster-whisper, beam 5": _faster("float32", 5, vad=False),
    "faster-whisper, beam 5, VAD": _faster("float32", 5, vad=True),
    "faster-whisper int8": _faster("int8", 1, vad=False),
    "faster-whisper int8, VAD": _faster("int8", 1, vad=True),
    "faster-whisper int8, beam 5": _faster("int8", 5, vad=False),
    "faster-whisper int8, beam 5, VAD": _faster("int8", 5, vad=True),
    "transformers pipeline, chunks of 30 s": {"by": "pipeline", "chunks": True},
    "transformers pipeline, its own long form": {"by": "pipeline", "chunks": False},
    "openai-whisper": {"by": "openai-whisper", "beams": None},
    "openai-whisper, beam 5": {"by": "openai-whisper", "beams": 5},
}
#: Rows that are compared on many files at once, and where nobody speaks.
MANY = (
    "ours, torch",
    "ours, CTranslate2",
    "ours, CTranslate2, beam 5",
    "ours, CTranslate2 int8",
    "ours, CTranslate2 int8, beam 5",
    "faster-whisper, VAD",
    "faster-whisper, beam 5, VAD",
    "faster-whisper int8, VAD",
    "faster-whisper int8, beam 5, VAD",
)
#: Rows that are asked to write where nobody speaks.
QUIET = ("ours, torch", "ours, CTranslate2", "ours, CTranslate2 int8", "faster-whisper int8, VAD")


def main() -> None:
    label, model, converted, *recordings = sys.argv[1:]
    row = ROWS[label]
    samples = [soundfile.read(path, dtype="float32")[0] for path in recordings]
    write = LOADS[row["by"]](row, model, converted)
    started = time.process_time()
    texts = write(samples)
    seconds = time.process_time() - started
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(json.dumps({"texts": texts, "seconds": seconds, "memory": memory}))


def _load_ours(row: dict[str, Any], model: str, converted: str) -> Write:
    from asr_adapt import Decoding, transcribe
    from asr_adapt.models import Search, load_recogniser
    from asr_adapt.transcription.runtimes.ctranslate2_runtime import open_ctranslate2

    if row["runtime"] == "torch":
        recogniser = load_recogniser(model, device="cpu", compute_type=row["type"])
    else:
        recogniser = open_ctranslate2(converted, device="cpu", compute_type=row["type"])
    recogniser.set_search(Search(beams=row["beams"]))
    decoding = Decoding(language="en") if recogniser.capabilities.languages else Decoding()
    return lambda samples: [
        found.text for found in transcribe(list(samples), model=recogniser, decoding=decoding)
    ]


def _load_faster(row: dict[str, Any], model: str, converted: str) -> Write:
    from faster_whisper import WhisperModel

    loaded = WhisperModel(converted, device="cpu", compute_type=row["type"], cpu_threads=1)

    def one(samples: np.ndarray) -> str:
        settings = {"beam_size": row["beams"], "vad_filter": row["vad"], "language": "en"}
        return " ".join(segment.text.strip() for segment in loaded.transcribe(samples, **settings)[0])

    return lambda recordings: [one(samples) for samples in recordings]


def _load_pipeline(row: dict[str, Any], model: str, converted: str) -> Write:
    from transformers import pipeline

    from asr_adapt.models import load_recogniser

    own = load_recogniser(model, device="cpu", compute_type="float32")
    parts = {"tokenizer": own.processor.tokenizer, "feature_extractor": own.processor.feature_extractor}
    made: Any = pipeline("automatic-speech-recognition", model=own.model, **parts)
    given = {"chunk_length_s": 30, "batch_size": 8} if row["chunks"] else {}

    def one(samples: np.ndarray) -> str:
        return str(made(samples.copy(), return_timestamps=True, **given)["text"]).strip()

    return lambda recordings: [one(samples) for samples in recordings]


def _load_openai(row: dict[str, Any], model: str, converted: str) -> Write:
    """openai-whisper with the weights of transformers; its own thresholds, temperatures and context."""
    from whisper.model import ModelDimensions, Whisper

    from asr_adapt.models import load_recogniser
    from asr_adapt.models.importing.openai_names import openai_weights

    own: Any = load_recogniser(model, device="cpu", compute_type="float32")
    sizes = own.model.config
    made: Any = Whisper(
        ModelDimensions(
            n_mels=sizes.num_mel_bins,
            n_audio_ctx=sizes.max_source_positions,
            n_audio_state=sizes.d_model,
            n_audio_head=sizes.encoder_attention_heads,
            n_audio_layer=sizes.encoder_layers,
            n_vocab=sizes.vocab_size,
            n_text_ctx=sizes.max_target_positions,
            n_text_state=sizes.d_model,
            n_text_head=sizes.decoder_attention_heads,
            n_text_layer=sizes.decoder_layers,
        )
    )
    made.load_state_dict(openai_weights(own.model.state_dict()))
    settings = {"language": "en", "fp16": False, "beam_size": row["beams"]}
    return lambda recordings: [made.transcribe(samples, **settings)["text"].strip() for samples in recordings]


#: How each kind of system is loaded.
LOADS: dict[str, Callable[[dict[str, Any], str, str], Write]] = {
    "ours": _load_ours,
    "faster-whisper": _load_faster,
    "pipeline": _load_pipeline,
    "openai-whisper": _load_openai,
}

if __name__ == "__main__":
    main()
