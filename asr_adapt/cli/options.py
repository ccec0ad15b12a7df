"""Options that several commands share: name, help and bounds, declared once.

Knows how an option is spelled and what its help says. Does not know which command has it, its default, or
what it does.
"""

from __future__ import annotations

from typing import Annotated

import typer

from asr_adapt.api.opening import Runtime
from asr_adapt.text import PROFILE_NAMES

#: Groups of options in help.
DECODING = "Decoding"
WHISPER = "Decoding, Whisper alone"
SPEECH = "Speech and silence"
SUBTITLES = "Subtitles"
SPEED = "Speed and memory"

ScoredManifest = Annotated[
    str, typer.Argument(metavar="MANIFEST", help="Manifest with audio and transcripts; - is standard input.")
]
Model = Annotated[str, typer.Option("--model", "-m", help="Model name, directory or file, or hub id.")]
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
