"""Models for faster runtimes, from Python.

Knows which runtime takes which weights. Does not know how a graph is made.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from asr_adapt.errors import UsageError

if TYPE_CHECKING:
    import numpy as np

    from asr_adapt.manifest import Manifest

Target = Literal["ctranslate2", "onnx", "ggml"]
#: Types of weights that each runtime stores.
ONNX_TYPES = ("float32", "int8")
CTRANSLATE2_TYPES = ("float32", "float16", "bfloat16", "int8", "int8_float32", "int8_float16", "int16")
GGML_TYPES = ("float16", "q8_0", "float32")
#: Clips of a manifest that an export is compared on.
MOST_CLIPS = 50


@dataclass(frozen=True)
class Exported:
    """One exported file in ``folder``, and on how many of the compared ``clips`` it wrote torch's text."""

    folder: Path
    graph: str
    clips: int
    same_text: int

    @property
    def megabytes(self) -> float:
        """Size of the file."""
        return (self.folder / self.graph).stat().st_size / 1e6


def export(
    model: str | Path,
    output: str | Path,
    *,
    to: Target,
    quantisation: str | None = None,
    check: str | Path | Manifest | None = None,
) -> list[Exported]:
    """Export a model: CTC models to ``onnx``, Whisper to ``ctranslate2`` (faster-whisper) or ``ggml``.

    ``quantisation`` is the type of the weights: for CTranslate2 float32, float16, bfloat16, int8,
    int8_float16 or int16, for ggml float16, q8_0 or float32; for ONNX, int8 writes a second graph. The first
    50 clips of ``check`` are written by both and compared with torch; for ggml that takes ``pywhispercpp``
    (extra ``ggml``). Raises UsageError for what a runtime cannot hold, before the model is loaded.
    """
    from asr_adapt.destinations import require_folder
    from asr_adapt.models import load_recogniser

    folder = Path(output)
    weights = quantisation_of(to, quantisation)
    require_runtime(to, compared=check is not None)
    require_folder(folder, "export", [str(model)], again=True)
    recogniser = load_recogniser(model, device="cpu", compute_type="float32")
    clips = clips_of(check, recogniser.sample_rate)
    if to == "ggml":
        from asr_adapt.transcription.runtimes.ggml_export import export_ggml

        file = export_ggml(recogniser, folder, clips, quantisation=weights)
        return [Exported(folder, file.graph, file.clips, file.same_text)]
    if to == "ctranslate2":
        from asr_adapt.transcription.runtimes.ctranslate2_export import export_ctranslate2

        one = export_ctranslate2(recogniser, folder, clips, quantisation=weights)
        return [Exported(folder, one.graph, one.clips, one.same_text)]
    from asr_adapt.transcription.runtimes.onnx_export import export_onnx

    graphs = export_onnx(recogniser, folder, clips, int8=weights == "int8")
    return [Exported(folder, one.graph, one.clips, one.same_text) for one in graphs]


def quantisation_of(to: Target, asked: str | None, *, int8: bool = False) -> str:
    """The type of the weights; raises UsageError for one that the runtime does not store."""
    if to == "ggml":
        if asked is not None and (int8 or asked not in GGML_TYPES):
            raise UsageError(f"for ggml give one --quantisation of {', '.join(GGML_TYPES)}, not {asked}.")
        return asked or ("q8_0" if int8 else "float16")
    if asked is not None and int8 and asked != "int8":
        raise UsageError(f"--int8 and --quantisation {asked} contradict each other: give one.")
    known = ONNX_TYPES if to == "onnx" else CTRANSLATE2_TYPES
    if asked is not None and asked not in known:
        raise UsageError(f"quantisation {asked!r} is unknown: use one of {', '.join(known)}.")
    return asked or ("int8" if int8 else "float32")


def require_runtime(to: Target, *, compared: bool) -> None:
    """Raise MissingExtraError where an export that is to be ``compared`` with torch cannot be heard here."""
    if to == "ggml" and compared:
        from asr_adapt.transcription.runtimes.ggml_runtime import require_whispercpp

        require_whispercpp("Comparing a ggml file with torch (--check, --verify)")


def clips_of(manifest: str | Path | Manifest | None, rate: int) -> list[np.ndarray]:
    """Waveforms of the first rows, at ``rate`` Hz; none without a manifest."""
    if manifest is None:
        return []
    from asr_adapt.api.data import rows_of
    from asr_adapt.manifest import read_waveform

    return [read_waveform(row, rate) for row in rows_of(manifest)[:MOST_CLIPS]]
