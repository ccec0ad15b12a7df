"""``asr-adapt export``: models for faster runtimes.

Knows the options and what is printed. Does not know how a graph is made.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from asr_adapt.api.exporting import clips_of, quantisation_of, write_ggml_folder
from asr_adapt.cli import options, panels
from asr_adapt.cli.loading import scorable
from asr_adapt.destinations import expanded, require_folder
from asr_adapt.errors import EXIT_FAILED, EXIT_OK, UsageError
from asr_adapt.locks import alone

if TYPE_CHECKING:
    from asr_adapt.manifest import Manifest
    from asr_adapt.models import Recogniser


class Target(StrEnum):
    """Runtimes that a model can be exported to."""

    onnx = "onnx"
    ctranslate2 = "ctranslate2"
    ggml = "ggml"


def register(app: typer.Typer) -> None:
    """Add the command."""
    panels.add(app, "export", export, panel=panels.SHARE, no_args_is_help=True)


def export(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Model name, directory or file, or hub id.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write.")],
    to: Annotated[Target, typer.Option("--to", help="Target format.")] = Target.onnx,
    int8: Annotated[
        bool, typer.Option("--int8", help="Write int8 weights; for ONNX as a second graph.")
    ] = False,
    quantisation: Annotated[
        str | None,
        typer.Option(
            "--quantisation",
            "--quantization",
            help="Weights of CTranslate2: float32, float16, bfloat16, int8, int8_float16, int16; "
            "of ggml: float16, q8_0, float32.",
        ),
    ] = None,
    check: Annotated[
        str | None, typer.Option("--check", help="Manifest; its first 50 clips are compared with torch.")
    ] = None,
    verify: Annotated[
        str | None,
        typer.Option(
            "--verify", help="Manifest with transcripts; the WER of both models is compared on all rows."
        ),
    ] = None,
    tolerance: Annotated[
        float, typer.Option("--tolerance", min=0.0, help="Rise in WER, in points, that --verify accepts.")
    ] = 0.5,
    normalise: options.Normalise = "basic",
    as_json: Annotated[bool, typer.Option("--json", help="Print the checks as JSON.")] = False,
) -> int:
    """Convert a model for ONNX, CTranslate2 or whisper.cpp.

    Every family becomes ONNX graphs, Whisper also CTranslate2 or ggml; each is compared with torch.

    Use an ONNX folder with asr-adapt transcribe --runtime onnx --model FOLDER, a CTranslate2 one with
    --runtime ctranslate2 or in faster-whisper; give that short clips filled to 30 s with silence, which it
    does not do by itself; a ggml file is for whisper.cpp. Exit status 1 where --verify finds the export
    worse; it is written all the same.
    """
    if to is Target.onnx and quantisation is not None:
        raise UsageError("--quantisation is for CTranslate2: use --int8 for ONNX.")
    if to is Target.ggml and (check or verify):
        raise UsageError("--check and --verify do not work for ggml: remove them.")
    weights = quantisation_of(to.value, quantisation, int8=int8)
    rows = None if verify is None else scorable(verify)
    named = [name for name in (check, verify) if name is not None]
    require_folder(output, "export", [model, *expanded(*named)], again=True)
    made = _Export(model, output, check, as_json)
    with alone(output):
        if to is Target.ggml:
            made.ggml(weights)
            return EXIT_OK
        if to is Target.ctranslate2:
            exported = made.ctranslate2(weights, opened=rows is not None)
        else:
            exported = made.onnx(int8=int8, opened=rows is not None)
        if rows is None:
            return EXIT_OK
        return _verified(made.recogniser(), exported, rows, (normalise, tolerance), as_json=as_json)


@dataclass(frozen=True)
class _Export:
    """What is exported and where to; ``check`` is a manifest of clips to compare."""

    model: str
    output: Path
    check: str | None
    as_json: bool

    def recogniser(self) -> Recogniser:
        """The model in torch."""
        from asr_adapt.models import load_recogniser

        return load_recogniser(self.model, device="cpu", compute_type="float32")

    def onnx(self, *, int8: bool, opened: bool) -> list[tuple[str, Recogniser]]:
        """Write graphs, print their checks; the graphs ``opened`` by name."""
        from asr_adapt.transcription.runtimes.onnx_export import export_onnx
        from asr_adapt.transcription.runtimes.onnx_runtime import open_onnx

        recogniser = self.recogniser()
        checks = export_onnx(recogniser, self.output, clips_of(self.check, recogniser.sample_rate), int8=int8)
        if self.as_json:
            print(json.dumps([asdict(one) for one in checks], indent=2))
        for one in [] if self.as_json else checks:
            size = (self.output / one.graph).stat().st_size / 1e6
            print(
                f"{one.graph}: {size:.1f} MB, same text on {one.same_text} of {one.clips} clips, "
                f"log-probabilities within {one.largest_difference:.2g}"
            )
        graphs = checks if opened else []
        return [(one.graph, open_onnx(self.output, int8="int8" in one.graph)) for one in graphs]

    def ggml(self, quantisation: str) -> None:
        """Write whisper.cpp's file into the folder."""
        name, weights = write_ggml_folder(self.recogniser(), self.output, quantisation)
        size = (self.output / name).stat().st_size / 1e6
        if self.as_json:
            print(json.dumps([{"graph": name, "weights": weights, "megabytes": round(size, 1)}]))
        else:
            print(f"{name}: {size:.1f} MB, {weights} weights")

    def ctranslate2(self, quantisation: str, *, opened: bool) -> list[tuple[str, Recogniser]]:
        """The same for CTranslate2, computed in the type of its weights where the CPU has it."""
        from asr_adapt.transcription.runtimes.ctranslate2_export import export_ctranslate2

        recogniser = self.recogniser()
        clips = clips_of(self.check, recogniser.sample_rate)
        found = export_ctranslate2(recogniser, self.output, clips, quantisation=quantisation)
        if self.as_json:
            print(json.dumps([asdict(found)], indent=2))
        else:
            size = (self.output / found.graph).stat().st_size / 1e6
            print(f"{found.graph}: {size:.1f} MB, same text on {found.same_text} of {found.clips} clips")
        if not opened:
            return []
        from asr_adapt.models import WhisperRecogniser
        from asr_adapt.transcription.runtimes.ctranslate2_runtime import open_export

        assert isinstance(recogniser, WhisperRecogniser)  # others were refused
        return [(found.graph, open_export(self.output, recogniser, quantisation))]


def _verified(
    recogniser: Recogniser,
    exported: list[tuple[str, Recogniser]],
    rows: Manifest,
    rules: tuple[str, float],
    *,
    as_json: bool,
) -> int:
    """Compare each graph with torch on ``rows`` under the profile and tolerance of ``rules``."""
    from asr_adapt.transcription.runtimes.verify import verify

    found = [
        verify(recogniser, other, graph, rows, normalise=rules[0], tolerance=rules[1])
        for graph, other in exported
    ]
    if as_json:
        print(json.dumps([one.to_json() for one in found], indent=2))
    for one in [] if as_json else found:
        print(one.sentence)
    return EXIT_FAILED if any(one.worse for one in found) else EXIT_OK
