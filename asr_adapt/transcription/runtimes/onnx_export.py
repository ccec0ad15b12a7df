"""A CTC model as an ONNX graph, checked against torch before anyone relies on it.

Knows the export, its dynamic axes, int8 quantisation and the check. Does not know how the graph is used
(``onnx_runtime``).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AutoModelForCTC

from asr_adapt.destinations import mark_folder, require_folder
from asr_adapt.errors import MissingExtraError, ModelError
from asr_adapt.files import atomic_directory
from asr_adapt.models import CtcRecogniser, Recogniser
from asr_adapt.transcription.runtimes.onnx_runtime import GRAPH, GRAPH_INT8, OnnxRecogniser

OPSET = 17
#: Largest difference of log-probabilities that float32 rounding in another order explains.
TOLERANCE = 1e-2


@dataclass(frozen=True)
class Check:
    """An exported graph against torch: clips, equal transcripts, largest difference of log-probabilities."""

    graph: str
    clips: int
    same_text: int
    largest_difference: float


class _Logits(nn.Module):
    """The model as a function of one tensor, which is what a graph is."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, values: Tensor) -> Tensor:
        return self.model(values).logits


def export_onnx(
    recogniser: Recogniser, directory: str | Path, clips: Sequence[np.ndarray] = (), *, int8: bool = False
) -> list[Check]:
    """Write a folder with the graph, its int8 form where asked, and the processor; check each on ``clips``.

    ``clips`` are float32 mono waveforms at the recogniser's rate; without any, noise of several lengths is
    taken. Raises ModelError for a model that is not CTC, and when the float32 graph differs from torch: then
    nothing is left behind.
    """
    if not isinstance(recogniser, CtcRecogniser):
        raise ModelError("only CTC models are exported to ONNX.", path=recogniser.name)
    require_folder(directory, "export", [recogniser.name], again=True)
    clips = list(clips) or _noise(recogniser.sample_rate)
    with atomic_directory(directory, replace=True) as folder:
        _write_graph(recogniser, folder)
        checks = [_check(recogniser, OnnxRecogniser(folder), clips)]
        if checks[0].largest_difference > TOLERANCE:
            raise ModelError(
                f"the exported graph differs from torch by {checks[0].largest_difference:.3g}; "
                "use the torch runtime for this architecture.",
                path=recogniser.name,
            )
        if int8:
            _quantise(folder)
            checks.append(_check(recogniser, OnnxRecogniser(folder, int8=True), clips))
        mark_folder(folder, "export")
    return checks


def _write_graph(recogniser: CtcRecogniser, folder: Path) -> None:
    """A fresh copy of the model is traced, with the plain attention that a graph can hold."""
    recogniser.save(folder)
    model = AutoModelForCTC.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32)
    example = recogniser.inputs([np.zeros(recogniser.sample_rate, np.float32)]).states.float()
    name = recogniser.anatomy.input_name
    try:
        with warnings.catch_warnings(), torch.inference_mode():
            warnings.simplefilter("ignore")  # of the tracer, about Python values that stay constant
            torch.onnx.export(
                _Logits(model).eval(),
                (example,),
                str(folder / GRAPH),
                input_names=[name],
                output_names=["logits"],
                dynamic_axes={name: {0: "batch", 1: "time"}, "logits": {0: "batch", 1: "frames"}},
                opset_version=OPSET,
                dynamo=False,
            )
    except ImportError as error:
        raise MissingExtraError("Export to ONNX", "onnx") from error
    for weights in folder.glob("*.safetensors*"):
        weights.unlink()


def _quantise(folder: Path) -> None:
    """Matrix products in int8, activations scaled at run time; convolutions stay in float32."""
    try:
        from onnxruntime.quantization import QuantType, quantize_dynamic
    except ImportError as error:
        raise MissingExtraError("Quantisation to int8", "onnx") from error
    quantize_dynamic(
        folder / GRAPH,
        folder / GRAPH_INT8,
        weight_type=QuantType.QInt8,
        op_types_to_quantize=["MatMul", "Gemm"],
        per_channel=True,
    )


def _check(recogniser: CtcRecogniser, exported: OnnxRecogniser, clips: Sequence[np.ndarray]) -> Check:
    largest, same = 0.0, 0
    for clip in clips:
        ours, theirs = _log_probabilities(recogniser, clip), _log_probabilities(exported, clip)
        if ours.shape != theirs.shape:
            return Check(exported.graph.name, len(clips), 0, float("inf"))
        largest = max(largest, float((ours - theirs).abs().max()))
        same += recogniser.transcribe([clip])[0].text == exported.transcribe([clip])[0].text
    return Check(exported.graph.name, len(clips), same, largest)


@torch.inference_mode()
def _log_probabilities(recogniser: CtcRecogniser, clip: np.ndarray) -> Tensor:
    recogniser.model.eval()
    out = recogniser.logits(recogniser.inputs([clip]).to(recogniser.device))
    return out.states[0, : int(out.lengths[0])].float().log_softmax(-1).cpu()


def _noise(rate: int) -> list[np.ndarray]:
    generator = np.random.default_rng(0)
    return [
        (0.1 * generator.standard_normal(int(rate * seconds))).astype(np.float32)
        for seconds in (0.3, 1.0, 3.7, 12.0)
    ]
