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

ScoredManifest = Annotated[str, typer.Argument(metavar="MANIFEST", help="Rows with audio and text, or - .")]
Model = Annotated[str, typer.Option("--model", "-m", help="Model name, directory or file, or hub id.")]
Language = Annotated[
    str | None, typer.Option(help="Language by code or name; auto: what is heard [the model's own].")
]
Normalise = Annotated[str, typer.Option(help=f"Text profile: {PROFILE_NAMES}.")]
Json = Annotated[bool, typer.Option("--json", help="The result as JSON on standard output.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no summary.")]

Adapter = Annotated[
    list[str] | None,
    typer.Option(
        "--adapter",
        metavar="FOLDER",
        help="LoRA adapter to put on the model. Several and --adapter auto: the surest, clip by clip.",
    ),
]

BatchSize = Annotated[
    int | None, typer.Option(help="Most pieces of audio in one batch.", rich_help_panel=SPEED)
]
BatchSeconds = Annotated[
    float | None,
    typer.Option(
        help="Most padded audio in one batch, in seconds [chosen for the device].",
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
        help="WORD or WORD:BOOST to favour, commas between, or a file of them.",
        rich_help_panel=DECODING,
    ),
]
HotwordsWeight = Annotated[
    float | None,
    typer.Option(
        "--hotwords-weight",
        help="Boost in nats: a word for CTC [6], else a token [1].",
        rich_help_panel=DECODING,
    ),
]
Prompt = Annotated[
    str,
    typer.Option(
        "--prompt",
        "--initial-prompt",
        help="Text before every piece: names, spellings (Whisper).",
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
        help="Let a decoder loop, and write in silence: plain transformers.",
        rich_help_panel=DECODING,
    ),
]
LanguageModelWeight = Annotated[
    float | None, typer.Option(help="Weight of the language model [tuned].", rich_help_panel=DECODING)
]
BeamWidth = Annotated[
    int | None,
    typer.Option(
        "--beam-width",
        "--beam-size",
        min=1,
        help="Width of the beam [CTC 32, hot words 5, else 1].",
        rich_help_panel=DECODING,
    ),
]
CalibrationFile = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="Map of word confidence [MODEL/calibration.json]; none disables it.",
        rich_help_panel=DECODING,
    ),
]

RuntimeName = Annotated[
    Runtime,
    typer.Option(
        help="What computes: ctranslate2 for Whisper; onnx, onnx-int8 take a folder of asr-adapt export.",
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
Fresh = Annotated[bool, typer.Option("--fresh", help="Ignore transcripts kept from earlier runs.")]
