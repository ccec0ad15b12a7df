"""Where the time of a Whisper's transcripts goes, and the decoder beside transformers' ``generate``.

    python benchmarks/bench_decoding.py --model whisper-tiny.en --manifest clips.jsonl

One thread; seconds are of the processor, so that other work on the machine counts little. Both decoders hear
the same encoder output, and their tokens must be the same.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from report import add_write, hardware, publish, table
from transformers.modeling_outputs import BaseModelOutput

from asr_adapt.audio import read_audio
from asr_adapt.manifest import Manifest
from asr_adapt.models import Hidden, Search, WhisperRecogniser, load_recogniser

REPEATS = 3


def main(arguments: Sequence[str] | None = None) -> None:
    """Print, and with ``--write`` publish, the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", default="whisper-tiny.en")
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=32)
    parser.add_argument("--batch", type=int, default=8)
    add_write(parser, "decoding")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    ours = load_recogniser(options.model, device="cpu", compute_type="float32")
    assert isinstance(ours, WhisperRecogniser), "Whisper only"
    ours.model.eval()
    ours.set_search(Search(hallucination_checks=False))
    rows = list(Manifest.open(options.manifest))[: options.rows]
    clips = [read_audio(row.audio_path, offset=row.offset, duration=row.duration) for row in rows]
    parts = [clips[i : i + options.batch] for i in range(0, len(clips), options.batch)]
    seconds = measured(ours, parts)
    text = [
        *decoding_table(seconds, len(clips)),
        "",
        f"{Path(options.model).name}; {hardware()}, one thread.",
    ]
    publish("\n".join(text), "decoding", options.write)


@torch.inference_mode()
def measured(ours: WhisperRecogniser, parts: Sequence[Sequence[Any]]) -> dict[str, float]:
    """Processor seconds of each stage over all batches; raises SystemExit where the tokens differ."""
    total: dict[str, float] = {}

    def timed(name: str, call: Callable[[], Any]) -> Any:
        times = []
        for _ in range(REPEATS):
            started = time.process_time()
            found = call()
            times.append(time.process_time() - started)
        total[name] = total.get(name, 0.0) + min(times)
        return found

    for clips in parts:
        inputs = timed("log-mel features", partial(ours.inputs, clips))
        heard = timed("encoder", partial(ours.encode, inputs, ours.stack.prefix_limit))
        said = timed(
            "decoder", partial(ours.speak, heard, None, [len(clip) / ours.sample_rate for clip in clips])
        )
        timed("keys and values of what was heard", partial(crossed, ours, heard))
        timed("projection to the vocabulary", partial(projected, ours, [len(row.ids) + 1 for row in said]))
        theirs = timed("generate", partial(generated, ours, heard))
        for own, other in zip(said, theirs.tolist(), strict=True):
            if list(own.ids) != [token for token in other if token < ours.end]:
                raise SystemExit("the tokens differ from those of generate, so the times say nothing.")
    return total


def crossed(ours: WhisperRecogniser, heard: Hidden) -> None:
    """The keys and values of every layer, as an attempt computes them once."""
    for layer in ours.network.decoder.layers:
        layer.encoder_attn.k_proj(heard.states)
        layer.encoder_attn.v_proj(heard.states)


def projected(ours: WhisperRecogniser, steps: Sequence[int]) -> None:
    """The output layer, for the rows that still speak at each step."""
    width = ours.model.config.d_model
    for step in range(max(steps)):
        ours.network.head(torch.zeros(sum(own > step for own in steps), width))


def generated(ours: WhisperRecogniser, heard: Hidden) -> torch.Tensor:
    """transformers' greedy tokens."""
    outputs = BaseModelOutput(last_hidden_state=heard.states)
    told = (
        {"language": ours.tokens.default_language, "task": "transcribe"} if ours.tokens.multilingual else {}
    )
    return ours.model.generate(encoder_outputs=outputs, num_beams=1, do_sample=False, **told)


def decoding_table(seconds: dict[str, float], clips: int) -> list[str]:
    """Milliseconds a clip and shares of the whole."""
    parts = ("keys and values of what was heard", "projection to the vocabulary")
    whole = sum(seconds[name] for name in ("log-mel features", "encoder", "decoder"))
    stages = [(name, seconds[name]) for name in ("log-mel features", "encoder", "decoder")]
    stages += [(f"– of it {name}", seconds[name]) for name in parts]
    rest = seconds["decoder"] - sum(seconds[name] for name in parts)
    stages.append(("– of it layers, cache and choice of tokens", rest))
    rows = [[name, f"{1000 * own / clips:.0f}", f"{own / whole:.0%}"] for name, own in stages]
    ratio = seconds["generate"] / seconds["decoder"]
    rows.append(
        ["generate instead of the decoder", f"{1000 * seconds['generate'] / clips:.0f}", f"{ratio:.2f}×"]
    )
    return table(["stage", ">ms a clip", ">share"], rows)


if __name__ == "__main__":
    main()
