"""Options that several commands share: name, help and bounds, declared once.

Knows how an option is spelled and what its help says. Does not know which command has it, its default, or
what it does.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from asr_adapt.cli.loading import Runtime
from asr_adapt.text import PROFILE_NAMES

#: Groups of options in help.
DECODING = "Decoding"
SPEED = "Speed and memory"

ScoredManifest = Annotated[
    str, typer.Argument(metavar="MANIFEST", help="Manifest with audio and transcripts; - is standard input.")
]
Model = Annotated[str, typer.Option("--model", "-m", help="Model name, directory or file, or hub id.")]
Language = Annotated[
    str | None, typer.Option(help="Language code or name, or auto to detect it. Default: the model's own.")
]
Normalise = Annotated[str, typer.Option(help=f"Text profile: {PROFILE_NAMES}.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print no progress and no summary.")]

Adapter = Annotated[
    list[str] | None,
    typer.Option(
        "--adapter",
        metavar="FOLDER",
        help="LoRA adapter to load. Several plus --adapter auto: use the most confident for each clip.",
    ),
]

BatchSize = Annotated[
    int | None, typer.Option(help="Maximum number of clips in a batch.", rich_help_panel=SPEED)
]
BatchSeconds = Annotated[
    float | None,
    typer.Option(
        help="Maximum padded audio in a batch, in seconds. Default: chosen for the device.",
        rich_help_panel=SPEED,
    ),
]

LanguageModel = Annotated[
    Path | None,
    typer.Option("--lm", help="N-gram language model (ARPA) for CTC models.", rich_help_panel=DECODING),
]
Hotwords = Annotated[
    list[str] | None,
    typer.Option(
        "--hotwords",
        "--hotword",
        help="Words to favour: WORD or WORD:BOOST, comma-separated, or a file with one per line.",
        rich_help_panel=DECODING,
    ),
]
HotwordsWeight = Annotated[
    float | None,
    typer.Option(
        "--hotwords-weight",
        help="Boost in nats. Default: 6 per word for CTC models, 1 per token for others.",
        rich_help_panel=DECODING,
    ),
]
Prompt = Annotated[
    str,
    typer.Option(
        "--prompt",
        "--initial-prompt",
        help="Text given to Whisper as context for every window: names, spellings.",
        rich_help_panel=DECODING,
    ),
]
Fallback = Annotated[
    bool,
    typer.Option(
        "--fallback",
        help="Retry unsure text at higher temperatures; drop text in silence, as OpenAI does.",
        rich_help_panel=DECODING,
    ),
]
NoGuard = Annotated[
    bool,
    typer.Option(
        "--no-guard",
        help="Do not stop loops or text in silence: decode as plain transformers does.",
        rich_help_panel=DECODING,
    ),
]
LanguageModelWeight = Annotated[
    float | None,
    typer.Option(
        help="Weight of the language model. Default: as found by lm tune.", rich_help_panel=DECODING
    ),
]
BeamWidth = Annotated[
    int | None,
    typer.Option(
        "--beam-width",
        "--beam-size",
        min=1,
        help="Beam width. Default: 32 for CTC with a language model, 5 with hot words, else 1.",
        rich_help_panel=DECODING,
    ),
]
CalibrationFile = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="Calibration file. Default: MODEL/calibration.json if present; none disables calibration.",
        rich_help_panel=DECODING,
    ),
]

RuntimeName = Annotated[
    Runtime,
    typer.Option(
        help="Engine: ctranslate2 runs Whisper; onnx and onnx-int8 run a folder made by asr-adapt export.",
        rich_help_panel=SPEED,
    ),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.", rich_help_panel=SPEED)]
ComputeType = Annotated[
    str,
    typer.Option(
        help="auto, fast, float32, bfloat16, float16; ctranslate2 also int8.",
        rich_help_panel=SPEED,
    ),
]
Fresh = Annotated[bool, typer.Option("--fresh", help="Ignore cached transcripts.")]
