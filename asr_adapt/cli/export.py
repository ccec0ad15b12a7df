"""``asr-adapt export``: models for faster runtimes.

Knows the options and what is printed. Does not know how a graph is made.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from asr_adapt.api.exporting import clips_of, quantisation_of, require_runtime
from asr_adapt.cli import options, panels
from asr_adapt.cli.loading import scorable
from asr_adapt.destinations import expanded, require_folder
from asr_adapt.errors import EXIT_FAILED, EXIT_OK, UsageError
from asr_adapt.locks import alone

if TYPE_CHECKING:
    import numpy as np

    from asr_adapt.manifest import Manifest
    from asr_adapt.models import Recogniser
    from asr_adapt.transcription.runtimes.ctranslate2_export import Agreement
    from asr_adapt.transcription.runtimes.ggml_export import GgmlCheck
    from asr_adapt.transcription.runtimes.onnx_export import GraphCheck
    from asr_adapt.transcription.runtimes.verify import Verified


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
    does not do by itself; a ggml file is for whisper.cpp, by which --check and --verify hear it (extra
    ggml). Exit status 1 where --verify finds the export worse; it is written all the same.
    """
    if to is Target.onnx and quantisation is not None:
        raise UsageError("--quantisation is for CTranslate2: use --int8 for ONNX.")
    weights = quantisation_of(to.value, quantisation, int8=int8)
    require_runtime(to.value, compared=bool(check or verify))
    rows = None if verify is None else scorable(verify)
    named = [name for name in (check, verify) if name is not None]
    require_folder(output, "export", [model, *expanded(*named)], again=True)
    made = _Export(model, output, check)
    with alone(output):
        written = made.written(to, weights)
        if not as_json:
            for one in written:
                print(one.sentence)
        verified = [] if rows is None else _verified(made, written, rows, (normalise, tolerance))
    if as_json:
        known = {one.graph: one.to_json() for one in verified}
        print(json.dumps([asdict(one.check) | known.get(one.check.graph, {}) for one in written], indent=2))
    else:
        for found in verified:
            print(found.sentence)
    return EXIT_FAILED if any(one.worse for one in verified) else EXIT_OK


@dataclass(frozen=True)
class _ExportedGraph:
    """One graph or file: how it compares with torch on clips, that in words, and how it is opened."""

    check: GraphCheck | Agreement | GgmlCheck
    sentence: str
    open: Callable[[], Recogniser]


@dataclass(frozen=True)
class _Export:
    """What is exported and where to; ``check`` is a manifest of clips to compare."""

    model: str
    output: Path
    check: str | None

    def recogniser(self) -> Recogniser:
        """The model in torch."""
        from asr_adapt.models import load_recogniser

        return load_recogniser(self.model, device="cpu", compute_type="float32")

    def written(self, to: Target, weights: str) -> list[_ExportedGraph]:
        """Write the export and compare it on the clips."""
        recogniser = self.recogniser()
        clips = clips_of(self.check, recogniser.sample_rate)
        make = {Target.onnx: self._onnx, Target.ctranslate2: self._ctranslate2, Target.ggml: self._ggml}
        return make[to](recogniser, clips, weights)

    def _onnx(self, recogniser: Recogniser, clips: list[np.ndarray], weights: str) -> list[_ExportedGraph]:
        from asr_adapt.transcription.runtimes.onnx_export import export_onnx
        from asr_adapt.transcription.runtimes.onnx_runtime import open_onnx

        return [
            _ExportedGraph(
                one,
                f"{self._sized(one)}, log-probabilities within {one.largest_difference:.2g}",
                partial(open_onnx, self.output, int8="int8" in one.graph),
            )
            for one in export_onnx(recogniser, self.output, clips, int8=weights == "int8")
        ]

    def _ctranslate2(
        self, recogniser: Recogniser, clips: list[np.ndarray], weights: str
    ) -> list[_ExportedGraph]:
        """Opened in the type of its weights where the CPU has it."""
        from asr_adapt.models import WhisperRecogniser
        from asr_adapt.transcription.runtimes.ctranslate2_export import export_ctranslate2
        from asr_adapt.transcription.runtimes.ctranslate2_runtime import open_export

        found = export_ctranslate2(recogniser, self.output, clips, quantisation=weights)
        assert isinstance(recogniser, WhisperRecogniser)  # others were refused
        return [
            _ExportedGraph(found, self._sized(found), partial(open_export, self.output, recogniser, weights))
        ]

    def _ggml(self, recogniser: Recogniser, clips: list[np.ndarray], weights: str) -> list[_ExportedGraph]:
        from asr_adapt.models import WhisperRecogniser
        from asr_adapt.transcription.runtimes.ggml_export import export_ggml
        from asr_adapt.transcription.runtimes.ggml_runtime import open_ggml

        found = export_ggml(recogniser, self.output, clips, quantisation=weights)
        assert isinstance(recogniser, WhisperRecogniser)  # others were refused
        file = self.output / found.graph
        return [_ExportedGraph(found, self._sized(found), partial(open_ggml, file, recogniser))]

    def _sized(self, one: GraphCheck | Agreement | GgmlCheck) -> str:
        """The file, its size, and on how many clips it agrees, where some were heard."""
        size = f"{one.graph}: {(self.output / one.graph).stat().st_size / 1e6:.1f} MB"
        return size + (f", same text on {one.same_text} of {one.clips} clips" if one.clips else "")


def _verified(
    made: _Export, written: list[_ExportedGraph], rows: Manifest, rules: tuple[str, float]
) -> list[Verified]:
    """Each graph compared with torch on ``rows`` under the profile and tolerance of ``rules``."""
    from asr_adapt.transcription.runtimes.verify import verify

    recogniser = made.recogniser()
    return [
        verify(recogniser, one.open(), one.check.graph, rows, normalise=rules[0], tolerance=rules[1])
        for one in written
    ]
