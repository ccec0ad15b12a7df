"""``asr-adapt export``: models for faster runtimes.

Knows the options and what is printed. Does not know how a graph is made.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from asr_adapt.destinations import expanded, require_folder
from asr_adapt.errors import UsageError
from asr_adapt.locks import alone

if TYPE_CHECKING:
    import numpy as np

    from asr_adapt.models import Recogniser


class Target(StrEnum):
    """Runtimes that a model can be exported to."""

    onnx = "onnx"
    ctranslate2 = "ctranslate2"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("export", no_args_is_help=True)(export)


def export(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Model name, directory or file, or hub id.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write.")],
    to: Annotated[Target, typer.Option("--to", help="The runtime.")] = Target.onnx,
    int8: Annotated[bool, typer.Option("--int8", help="int8 weights; for ONNX a second graph.")] = False,
    quantisation: Annotated[
        str | None,
        typer.Option(
            "--quantisation",
            "--quantization",
            help="Weights of CTranslate2: float32, float16, bfloat16, int8, int8_float16, int16.",
        ),
    ] = None,
    check: Annotated[
        str | None, typer.Option("--check", help="Manifest whose first 50 clips are compared with torch.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The checks as JSON on standard output.")] = False,
) -> None:
    """Export a model and compare it with torch: CTC models to ONNX, Whisper to CTranslate2.

    Use an ONNX folder with asr-adapt transcribe --runtime onnx --model FOLDER, a CTranslate2 one in
    faster-whisper; give that short clips filled to 30 s with silence, which it does not do by itself.
    """
    if to is Target.onnx and quantisation is not None:
        raise UsageError("--quantisation is of CTranslate2: for ONNX give --int8.")
    require_folder(output, "export", [model, *expanded(*([check] if check else []))], again=True)
    with alone(output):
        if to is Target.ctranslate2:
            _export_ctranslate2(model, output, check, _quantisation(quantisation, int8), as_json=as_json)
        else:
            _export_onnx(model, output, check, int8=int8, as_json=as_json)


def _export_onnx(model: str, output: Path, check: str | None, *, int8: bool, as_json: bool) -> None:
    from asr_adapt.models import Recogniser
    from asr_adapt.transcription.onnx_export import export_onnx

    recogniser = Recogniser.load(model, device="cpu", compute_type="float32")
    checks = export_onnx(recogniser, output, _clips(check, recogniser), int8=int8)
    if as_json:
        print(json.dumps([asdict(one) for one in checks], indent=2))
        return
    for one in checks:
        size = (output / one.graph).stat().st_size / 1e6
        print(
            f"{one.graph}: {size:.1f} MB, same text on {one.same_text} of {one.clips} clips, "
            f"log-probabilities within {one.largest_difference:.2g}"
        )


def _quantisation(asked: str | None, int8: bool) -> str:
    """The type of the weights; raises :class:`UsageError` for one that CTranslate2 does not store."""
    from asr_adapt.transcription.ctranslate2_export import QUANTISATIONS

    if asked is not None and int8 and asked != "int8":
        raise UsageError(f"--int8 and --quantisation {asked} contradict each other: give one.")
    if asked is not None and asked not in QUANTISATIONS:
        raise UsageError(f"quantisation {asked!r} is unknown: use one of {', '.join(QUANTISATIONS)}.")
    return asked or ("int8" if int8 else "float32")


def _export_ctranslate2(
    model: str, output: Path, check: str | None, quantisation: str, *, as_json: bool
) -> None:
    from asr_adapt.models import Recogniser
    from asr_adapt.transcription.ctranslate2_export import export_ctranslate2

    recogniser = Recogniser.load(model, device="cpu", compute_type="float32")
    found = export_ctranslate2(recogniser, output, _clips(check, recogniser), quantisation=quantisation)
    if as_json:
        print(json.dumps([asdict(found)], indent=2))
        return
    size = (output / found.graph).stat().st_size / 1e6
    print(f"{found.graph}: {size:.1f} MB, same text on {found.same_text} of {found.clips} clips")


def _clips(manifest: str | None, recogniser: Recogniser, most: int = 50) -> list[np.ndarray]:
    if manifest is None:
        return []
    from asr_adapt.audio import read_audio
    from asr_adapt.manifest import Manifest, require_rows

    rows = require_rows(Manifest.open(manifest))[:most]
    rate = recogniser.sample_rate
    return [
        read_audio(
            row.audio_path, sample_rate=rate, offset=row.offset, duration=row.duration, channel=row.channel
        )
        for row in rows
    ]
