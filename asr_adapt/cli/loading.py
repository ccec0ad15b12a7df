"""How ``transcribe`` and ``evaluate`` load a recogniser: runtime, decoding, device.

Knows how options become a recogniser. Does not decode.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from asr_adapt.errors import UsageError

if TYPE_CHECKING:
    from asr_adapt.models import Recogniser
    from asr_adapt.transcription.decoding.fusion import Decoding


class Runtime(StrEnum):
    """What computes the network."""

    torch = "torch"
    onnx = "onnx"
    onnx_int8 = "onnx-int8"


def load(
    model: str, runtime: Runtime, decoding: Decoding, *, device: str = "auto", compute_type: str = "auto"
) -> Recogniser:
    """The recogniser that the options ask for; raises UsageError for a device that the runtime lacks."""
    from asr_adapt.models import Recogniser
    from asr_adapt.transcription.decoding.fusion import with_decoding

    if runtime is Runtime.torch:
        return with_decoding(Recogniser.load(model, device=device, compute_type=compute_type), decoding)
    if device not in ("auto", "cpu") or compute_type not in ("auto", "float32"):
        raise UsageError(f"--runtime {runtime.value} computes on the CPU: leave --device and --compute-type.")
    from asr_adapt.transcription.onnx_runtime import OnnxRecogniser

    return with_decoding(OnnxRecogniser(model, int8=runtime is Runtime.onnx_int8), decoding)


def decoding_from(
    lm: Path | None, hotwords: Sequence[str] | None, weight: float | None, width: int | None
) -> Decoding:
    """The decoding that the options ask for; without any, the best path is taken."""
    from asr_adapt.transcription.decoding.beam import BeamOptions
    from asr_adapt.transcription.decoding.fusion import Decoding, parse_hotwords, tuned_options

    options = None
    if weight is not None or width is not None:
        options = tuned_options(lm) if lm is not None else BeamOptions()
        options = replace(options, weight=options.weight if weight is None else weight)
        options = replace(options, width=options.width if width is None else width)
    return Decoding(lm, parse_hotwords(hotwords or ()), options)
